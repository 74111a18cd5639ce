"""The rules of invoices and payments: how they are numbered, summed, changed and paid."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from .books import (
    NOTHING,
    Books,
    Call,
    Listing,
    Reply,
    Shelf,
    day,
    flag,
    listed,
    money,
    needed,
    pick,
    priced,
    text,
    totals,
    whole,
)
from .limits import RefusalError, Row

FINEST = Decimal("0.000001")
MODES = "check cash creditcard banktransfer bankremittance autotransaction others"
INVOICE_FILTERS = {"sent", "draft", "overdue", "paid", "partiallypaid", "void", "unpaid"}
INVOICE_INDEXES = ("invoice_number", "customer_id", "subscription_id", "reference_number")
PAYMENT_INDEXES = ("customer_id", "reference_number")
LINE_NAMES = "item_id product_id name description price quantity item_total discount_amount tax_id"
NAMES_OF_BOTH = (
    "invoice_id customer_id customer_name due_date currency_code total "
    "payment_made balance credits_applied write_off_amount custom_fields created_time "
)


def whose(customer: Row) -> Row:
    """What an invoice or a payment repeats of its customer."""
    names = {
        "customer_name": customer["display_name"],
        "currency_symbol": customer["currency_code"],
    }
    return pick(customer, "customer_id email currency_code") | names


@dataclass(slots=True)
class Billing:
    """Invoices, payments and subscriptions over the books of one organisation."""

    books: Books
    invoice_prefix: str = "INV-"
    invoices: Shelf = field(default_factory=lambda: Shelf("invoice_id", *INVOICE_INDEXES))
    payments: Shelf = field(default_factory=lambda: Shelf("payment_id", *PAYMENT_INDEXES))
    _last_number: int = 0

    def create_invoice(self, call: Call) -> Reply:
        """POST /invoices: a draft, or sent at once (an e-mail) when send=true."""
        customer = self.customer(call.body)
        fields = self._invoice_fields(call.body, customer, day(call.body, "date", None), {})
        fields["invoice_number"] = self._number(call, None)
        row = self.add_invoice(call, customer, fields)
        if flag(call.query, "send", False):
            self._mail(call, row)
        return Reply(201, {"invoice": self.show_saved(row)}, row["invoice_id"])

    def add_invoice(self, call: Call, customer: Row, fields: Row) -> Row:
        """Put an invoice on the shelf as a draft, or in the state given."""
        row = {"invoice_id": self.books.new_id(), **whose(customer), "subscription_id": ""}
        row |= {"state": "draft", "payments": [], "balance": fields["total"]}
        row |= dict.fromkeys(("credits_applied", "write_off_amount", "payment_made"), NOTHING)
        row = self.invoices.add(self.books.fresh(call, row | fields))
        self._owe(row, self._owed(row))
        return row

    def raise_invoice(self, customer: Row, body: Row) -> Row:
        """An invoice that Zoho raises itself, for a term of a subscription: open at once."""
        fields = self._invoice_fields(body, customer, day(body, "date", None), {})
        fields |= {"invoice_number": self.next_number(), "state": "open"}
        fields["subscription_id"] = body["subscription_id"]
        return self.add_invoice(Call((), {}, {}), customer, fields)

    def update_invoice(self, call: Call) -> Reply:
        """PUT /invoices/{id}: lines are replaced; paid and void invoices are closed to it."""
        row = self.invoices.need(call.ids[0], "Invoice")
        if (status := self.status(row)) in ("paid", "void"):
            raise RefusalError(400, 1038, f"{status.capitalize()} invoices cannot be edited.")
        customer = self.customer(call.body)
        if customer["customer_id"] != row["customer_id"]:
            raise RefusalError(400, 4, "Invalid value passed for customer_id")
        made_on = day(call.body, "date", date.fromisoformat(row["date"]))
        fields = self._invoice_fields(call.body, customer, made_on, row)
        fields["invoice_number"] = self._number(call, row)
        if fields["total"] < row["payment_made"]:
            raise RefusalError(400, 1040, "The total is below the amount already paid.")
        self.change_invoice(row, {**fields, "balance": fields["total"] - row["payment_made"]})
        return Reply(200, {"invoice": self.show_saved(row)}, row["invoice_id"])

    def change_invoice(self, row: Row, fields: Row) -> None:
        """Change an invoice and what its customer owes with it."""
        before = self._owed(row)
        self.invoices.change(row, {**fields, "updated_time": self.books.stamp()})
        self._owe(row, self._owed(row) - before)

    def read_invoice(self, call: Call) -> Reply:
        """GET /invoices/{id}: number, invoice_date, updated_time, and the payments."""
        row = self.invoices.need(call.ids[0], "Invoice")
        shown = {
            **pick(row, NAMES_OF_BOTH + "updated_time email currency_symbol"),
            "number": row["invoice_number"],
            "invoice_date": row["date"],
            "status": self.status(row),
            "transaction_type": "renewal" if row["subscription_id"] else "",
            "invoice_items": [pick(line, LINE_NAMES + " code") for line in row["invoice_items"]],
            "payments": [dict(payment) for payment in row["payments"]],
            **{name: [] for name in ("credits", "coupons", "comments")},
        }
        return Reply(200, {"invoice": shown}, row["invoice_id"])

    def list_invoices(self, call: Call) -> Listing:
        """GET /invoices?customer_id=&subscription_id=&invoice_number=&filter_by=Status.X."""
        rows = self.invoices.newest(call.query, self.books.ignored_filters)
        head, _, wanted = call.query.get("filter_by", "").lower().partition(".")
        if head == "status" and wanted in INVOICE_FILTERS:
            unpaid = ("sent", "overdue", "partially_paid")
            kept = unpaid if wanted == "unpaid" else (wanted.replace("lyp", "ly_p"),)
            rows = [row for row in rows if self.status(row) in kept]
        return Listing("invoices", rows, self._list_invoice)

    def convert_to_open(self, call: Call) -> Reply:
        """POST /invoices/{id}/converttoopen: drafts and void ones; harmless on open ones."""
        row = self.invoices.need(call.ids[0], "Invoice")
        self.change_invoice(row, {"state": "open"})
        return Reply(200, {}, row["invoice_id"], "Invoice status has been changed to Open.")

    def void_invoice(self, call: Call) -> Reply:
        """POST /invoices/{id}/void: not drafts, not paid ones; part payments become credit."""
        row = self.invoices.need(call.ids[0], "Invoice")
        if row["state"] == "draft":
            raise RefusalError(400, 1043, "Draft invoices cannot be marked as void.")
        if self.status(row) == "paid":
            raise RefusalError(400, 1042, "Paid invoices cannot be marked as void.")
        for payment_id in {entry["payment_id"] for entry in row["payments"]}:
            payment = self.payments.rows[payment_id]
            kept = [use for use in payment["invoices"] if use["invoice_id"] != row["invoice_id"]]
            self._apply(payment, [(u["invoice_id"], u["amount_applied"]) for u in kept])
        self.change_invoice(row, {"state": "void"})
        return Reply(200, {}, row["invoice_id"], "Invoice status has been changed to Void.")

    def email_invoice(self, call: Call) -> Reply:
        """POST /invoices/{id}/email: counted in the ledger; a draft becomes sent."""
        row = self.invoices.need(call.ids[0], "Invoice")
        self._mail(call, row)
        return Reply(200, {}, row["invoice_id"], "Your invoice has been sent.")

    def delete_invoice(self, call: Call) -> Reply:
        """DELETE /invoices/{id}: refused while a payment is applied."""
        row = self.invoices.need(call.ids[0], "Invoice")
        if row["payments"]:
            raise RefusalError(400, 1045, "Invoices with payments applied cannot be deleted.")
        self.change_invoice(row, {"state": "void"})
        self.invoices.drop(row)
        return Reply(200, {}, row["invoice_id"], "The invoice has been deleted.")

    def status(self, row: Row) -> str:
        """draft, void, paid, partially_paid, overdue or sent."""
        if row["state"] != "open":
            return str(row["state"])
        if row["balance"] <= 0:
            return "paid"
        if row["payment_made"] > 0:
            return "partially_paid"
        return "overdue" if row["due_date"] < self.books.today().isoformat() else "sent"

    def customer(self, body: Row) -> Row:
        """The customer a body names, or RefusalError 400 (not 404: the path itself is right)."""
        row = self.books.customers.rows.get(needed(body, "customer_id"))
        if row is None:
            raise RefusalError(400, 1002, "Customer does not exist.")
        return row

    def _number(self, call: Call, row: Row | None) -> str:
        own = text(call.body, "invoice_number").strip()
        if not call.by_hand and not flag(call.query, "ignore_auto_number_generation", False):
            return row["invoice_number"] if row else self.next_number()
        if not own:
            if row or call.by_hand:
                return row["invoice_number"] if row else self.next_number()
            raise RefusalError(400, 6, "Please enter a value for invoice_number. It is mandatory.")
        if any(other is not row for other in self.invoices.find("invoice_number", own)):
            raise RefusalError(400, 1001, f'The invoice number "{own}" already exists.')
        return own

    def next_number(self) -> str:
        """The organisation's next automatic invoice number that is not taken."""
        while True:
            self._last_number += 1
            number = f"{self.invoice_prefix}{self._last_number:06d}"
            if not self.invoices.find("invoice_number", number):
                return number

    def _invoice_fields(self, body: Row, customer: Row, made_on: date, before: Row) -> Row:
        terms = whole(body, "payment_terms", before.get("payment_terms", customer["payment_terms"]))
        due = day(body, "due_date", made_on + timedelta(days=max(0, terms)))
        if due < made_on:
            raise RefusalError(400, 4, "Invalid value passed for due_date")
        inclusive = flag(body, "is_inclusive_tax", before.get("is_inclusive_tax", False))
        fields: Row = {"date": made_on.isoformat(), "due_date": due.isoformat()}
        fields |= {"payment_terms": terms, "is_inclusive_tax": inclusive}
        for name in ("adjustment", "discount", "shipping_charge"):
            fields[name] = money(body, name, before.get(name, NOTHING))
        for name in ("reference_number", "notes", "terms", "adjustment_description"):
            fields[name] = text(body, name, before.get(name, ""))
        fields["custom_fields"] = self.books.labelled(body, before.get("custom_fields", []))
        old = {line["item_id"] for line in before.get("invoice_items", [])}
        lines = [self._line(entry, inclusive, old) for entry in listed(body, "invoice_items")]
        if not lines:
            raise RefusalError(400, 6, "Please enter a value for invoice_items. It is mandatory.")
        fields |= {"invoice_items": lines, **totals(lines, fields)}
        if fields["total"] < 0:
            raise RefusalError(400, 1020, "The total must not be below zero.")
        return fields

    def _line(self, entry: Row, inclusive: bool, old: set[str]) -> Row:
        given = text(entry, "product_id")
        item = self.books.items.rows.get(given, {})
        if not item and (given or (self.books.lines_need_product and "_code" not in entry)):
            raise RefusalError(400, 1002, "Item does not exist: product_id of a line.")
        quantity = money(entry, "quantity", Decimal(1), FINEST)
        if quantity <= 0:
            raise RefusalError(400, 4, "Invalid value passed for quantity")
        line: Row = {"item_id": text(entry, "item_id"), "product_id": given}
        if line["item_id"] not in old:
            line["item_id"] = self.books.new_id()
        line |= {"quantity": quantity, "code": text(entry, "_code")}
        line["name"] = text(entry, "name", item.get("name", ""))
        line["description"] = text(entry, "description", item.get("description", ""))
        line["tax_id"] = text(entry, "tax_id", item.get("tax_id", ""))
        price = money(entry, "price", item.get("rate"), FINEST)
        discount = money(entry, "discount", NOTHING)
        tax = self.books.tax(line["tax_id"])
        return priced(line, tax, price, discount=discount, inclusive=inclusive)

    def show_saved(self, row: Row) -> Row:
        """An invoice as POST and PUT show it: invoice_number, date, last_modified_time."""
        names = "invoice_number date reference_number payment_terms is_inclusive_tax discount "
        more = "adjustment adjustment_description sub_total tax_total taxes notes terms"
        lines = row["invoice_items"]
        return {
            **pick(row, NAMES_OF_BOTH + names + more),
            "shipping_charge": str(row["shipping_charge"]),
            "last_modified_time": row["updated_time"],
            "status": self.status(row),
            "is_emailed": row.get("is_emailed", False),
            "price_precision": 2,
            "invoice_items": [
                pick(line, f"{LINE_NAMES} tax_name tax_percentage") for line in lines
            ],
        }

    def _list_invoice(self, row: Row) -> Row:
        names = "invoice_id customer_id customer_name email due_date currency_code "
        shown = pick(row, names + "currency_symbol total balance created_time updated_time")
        number = {"number": row["invoice_number"], "invoice_date": row["date"]}
        return {**shown, **number, "status": self.status(row)}

    def _mail(self, call: Call, row: Row) -> None:
        if not call.by_hand:
            self.books.ledger.emails += 1
        state = "open" if row["state"] == "draft" else row["state"]
        self.change_invoice(row, {"state": state, "is_emailed": True})

    @staticmethod
    def _owed(row: Row) -> Decimal:
        return row["balance"] if row["state"] == "open" else NOTHING

    def _owe(self, row: Row, more: Decimal) -> None:
        customer = self.books.customers.rows.get(row["customer_id"])
        if customer and more:
            customer["outstanding"] += more

    def create_payment(self, call: Call) -> Reply:
        """POST /payments: each part within its invoice's balance, all within the amount."""
        row: Row = {"payment_id": self.books.new_id(), "invoices": [], "unused_amount": NOTHING}
        row |= {"status": "success", "amount_refunded": NOTHING, **self._payment_fields(call, {})}
        uses = self._uses(call.body, row)
        row = self.payments.add(self.books.fresh(call, row))
        self._apply(row, uses)
        return Reply(201, {"payment": self.show_payment(row)}, row["payment_id"])

    def update_payment(self, call: Call) -> Reply:
        """PUT /payments/{id}: applied afresh as the body says."""
        row = self.payments.need(call.ids[0], "Payment")
        fields = self._payment_fields(call, row)
        kept = [(use["invoice_id"], use["amount_applied"]) for use in row["invoices"]]
        self._apply(row, [])
        try:
            uses = self._uses(call.body, {**row, **fields})
        except RefusalError:
            self._apply(row, kept)
            raise
        self.payments.change(row, {**fields, "updated_time": self.books.stamp()})
        self._apply(row, uses)
        return Reply(200, {"payment": self.show_payment(row)}, row["payment_id"])

    def read_payment(self, call: Call) -> Reply:
        """GET /payments/{id}. There is no list of payments."""
        row = self.payments.need(call.ids[0], "Payment")
        return Reply(200, {"payment": self.show_payment(row)}, row["payment_id"])

    def delete_payment(self, call: Call) -> Reply:
        """DELETE /payments/{id}: its invoices are owed again."""
        row = self.payments.need(call.ids[0], "Payment")
        self._apply(row, [])
        self._credit(row, -row["unused_amount"])
        self.payments.drop(row)
        return Reply(200, {}, row["payment_id"], "The payment has been deleted.")

    def show_payment(self, row: Row) -> Row:
        """A payment as every endpoint shows it."""
        names = "payment_id customer_id customer_name email amount amount_refunded date status "
        more = "payment_mode reference_number description bank_charges currency_code "
        return {
            **pick(row, names + more + "currency_symbol custom_fields"),
            "invoices": [dict(use) for use in row["invoices"]],
        }

    def _payment_fields(self, call: Call, before: Row) -> Row:
        body = call.body
        customer = self.customer(body)
        if before and customer["customer_id"] != before["customer_id"]:
            raise RefusalError(400, 4, "Invalid value passed for customer_id")
        mode = needed(body, "payment_mode")
        if mode not in MODES.split():
            raise RefusalError(400, 4, "Invalid value passed for payment_mode")
        amount = money(body, "amount")
        if amount <= 0:
            raise RefusalError(400, 4, "Invalid value passed for amount")
        fields: Row = {"payment_mode": mode, "amount": amount}
        today = before.get("date", self.books.today().isoformat())
        fields["date"] = day(body, "date", date.fromisoformat(today)).isoformat()
        for name in ("reference_number", "description"):
            fields[name] = text(body, name, before.get(name, ""))
        fields["bank_charges"] = money(body, "bank_charges", NOTHING)
        fields["custom_fields"] = self.books.labelled(body, before.get("custom_fields", []))
        return fields | whose(customer)

    def _uses(self, body: Row, row: Row) -> list[tuple[str, Decimal]]:
        """What a body applies to which invoice, refused whole when one part is wrong."""
        parts: dict[str, Decimal] = {}
        for entry in listed(body, "invoices"):
            invoice_id, amount = needed(entry, "invoice_id"), money(entry, "amount_applied")
            parts[invoice_id] = parts.get(invoice_id, NOTHING) + amount
            invoice = self.invoices.rows.get(invoice_id)
            if invoice is None:
                raise RefusalError(400, 1002, "Invoice does not exist.")
            if invoice["customer_id"] != row["customer_id"]:
                raise RefusalError(400, 24013, "The invoice belongs to another customer.")
            if invoice["state"] != "open":
                state = invoice["state"]
                raise RefusalError(400, 24014, f"Payments cannot be applied to {state} invoices.")
            if amount <= 0 or parts[invoice_id] > invoice["balance"]:
                told = f"The amount applied is above the balance of {invoice['invoice_number']}."
                raise RefusalError(400, 24016, told)
        if sum(parts.values(), NOTHING) > row["amount"]:
            raise RefusalError(400, 24017, "The amounts applied are above the payment's amount.")
        return list(parts.items())

    def _apply(self, row: Row, uses: list[tuple[str, Decimal]]) -> None:
        """Replace what a payment pays for; what is left over is the customer's credit."""
        for use in row["invoices"]:
            invoice = self.invoices.rows[use["invoice_id"]]
            left = [p for p in invoice["payments"] if p["payment_id"] != row["payment_id"]]
            self._paid(invoice, left)
        row["invoices"] = []
        for invoice_id, amount in uses:
            invoice = self.invoices.rows[invoice_id]
            entry = pick(row, "payment_id reference_number payment_mode date description")
            entry |= {"invoice_payment_id": self.books.new_id(), "amount": amount}
            entry |= {"amount_refunded": NOTHING, "bank_charges": NOTHING}
            self._paid(invoice, [*invoice["payments"], entry])
            use = {"invoice_id": invoice_id, "amount_applied": amount, "date": invoice["date"]}
            use["invoice_number"] = invoice["invoice_number"]
            use |= {"invoice_amount": invoice["total"], "balance_amount": invoice["balance"]}
            row["invoices"].append(use)
        unused = row["amount"] - sum((amount for _, amount in uses), NOTHING)
        self._credit(row, unused - row["unused_amount"])
        row["unused_amount"] = unused

    def _paid(self, invoice: Row, payments: list[Row]) -> None:
        made = sum((payment["amount"] for payment in payments), NOTHING)
        fields = {"payments": payments, "payment_made": made, "balance": invoice["total"] - made}
        self.change_invoice(invoice, fields)

    def _credit(self, row: Row, more: Decimal) -> None:
        customer = self.books.customers.rows.get(row["customer_id"])
        if customer and more:
            customer["unused_credits"] += more
