"""What is sold: products, plans and items, and the subscriptions that bill by themselves."""

import heapq
from calendar import monthrange
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

from .billing import Billing
from .books import (
    NOTHING,
    Books,
    Call,
    Listing,
    Reply,
    Shelf,
    day,
    flag,
    money,
    needed,
    pick,
    priced,
    text,
    whole,
)
from .limits import RefusalError, Row

PLAN_TEXTS = "description unit product_type store_markup_description hsn_or_sac"
ALIVE = ("live", "trial", "non_renewing")
SUBSCRIPTION_FILTERS = (
    "all active live future trial past_due unpaid non_renewing cancelled_from_dunning cancelled "
    "expired trial_expired cancelled_last_month cancelled_this_month"
)


def later(start: date, count: int, unit: str) -> date:
    """The date `count` units after start; a month's end stays within the month."""
    if unit == "weeks":
        return start + timedelta(weeks=count)
    months = start.year * 12 + start.month - 1 + count * (12 if unit == "years" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def shown(name: str, row: Row) -> Row:
    """A product, plan or item as every endpoint shows it (items without their times)."""
    hidden = ("created_time", "updated_time") if name == "item" else ()
    return {key: value for key, value in row.items() if key[0] != "_" and key not in hidden}


@dataclass(slots=True)
class Catalog:
    """Products, plans, items and subscriptions over the books of one organisation."""

    books: Books
    billing: Billing
    subscriptions: Shelf = field(
        default_factory=lambda: Shelf("subscription_id", "customer_id", "reference_id")
    )
    _due: list[tuple[str, str]] = field(default_factory=list)

    def save_product(self, call: Call) -> Reply:
        """POST /products and PUT /products/{id}."""
        name = needed(call.body, "name")
        row = self.books.products.need(call.ids[0], "Product") if call.ids else {}
        fields: Row = {"name": name}
        for key in ("description", "email_ids", "redirect_url"):
            fields[key] = text(call.body, key, row.get(key, ""))
        return self._save(call, "product", row, fields)

    def save_plan(self, call: Call) -> Reply:
        """POST /plans and PUT /plans/{code}; the code is the key and stays as it is."""
        code = needed(call.body, "plan_code")
        row = self.books.plans.need(call.ids[0], "Plan") if call.ids else {}
        body = call.body
        if not row:
            product = needed(body, "product_id")
            if product not in self.books.products.rows:
                raise RefusalError(400, 1002, "Product does not exist.")
            if code in self.books.plans.rows:
                raise RefusalError(400, 1001, f'The plan code "{code}" already exists.')
        elif code != row["plan_code"]:
            raise RefusalError(400, 4, "Invalid value passed for plan_code")
        else:
            product = row["product_id"]
        unit = text(body, "interval_unit", row.get("interval_unit", "months"))
        interval = whole(body, "interval", 0)
        cycles = whole(body, "billing_cycles", row.get("billing_cycles", -1))
        if unit not in ("weeks", "months", "years") or not 1 <= interval <= 999:
            raise RefusalError(400, 4, "Invalid value passed for interval")
        if cycles == 0 or cycles < -1:  # -1 is until cancelled
            raise RefusalError(400, 4, "Invalid value passed for billing_cycles")
        tax_id = text(body, "tax_id", row.get("tax_id", ""))
        self.books.tax(tax_id)
        fields: Row = {"plan_code": code, "name": needed(body, "name"), "product_id": product}
        fields |= {"interval": interval, "interval_unit": unit, "billing_cycles": cycles}
        fields |= {"recurring_price": money(body, "recurring_price"), "tax_id": tax_id}
        fields["setup_fee"] = money(body, "setup_fee", row.get("setup_fee", Decimal("0.00")))
        fields["trial_period"] = whole(body, "trial_period", row.get("trial_period", 0))
        for key in PLAN_TEXTS.split():
            fields[key] = text(body, key, row.get(key, ""))
        return self._save(call, "plan", row, fields)

    def save_item(self, call: Call) -> Reply:
        """POST /items and PUT /items/{id}; an SKU stands once."""
        row = self.books.items.need(call.ids[0], "Item") if call.ids else {}
        sku = text(call.body, "sku", row.get("sku", ""))
        if sku and any(other is not row for other in self.books.items.find("sku", sku)):
            raise RefusalError(400, 1001, f'Item with the SKU "{sku}" already exists.')
        fields: Row = {"name": needed(call.body, "name"), "rate": money(call.body, "rate")}
        fields |= {"sku": sku, "tax_id": text(call.body, "tax_id", row.get("tax_id", ""))}
        tax = self.books.tax(fields["tax_id"]) or {}
        for key in ("tax_name", "tax_percentage", "tax_type"):
            fields[key] = tax.get(key, "")
        for key in ("description", "product_type", "unit"):
            fields[key] = text(call.body, key, row.get(key, ""))
        return self._save(call, "item", row, fields)

    def _save(self, call: Call, name: str, row: Row, fields: Row) -> Reply:
        shelf: Shelf = getattr(self.books, f"{name}s")
        if row:
            shelf.change(row, {**fields, "updated_time": self.books.stamp()})
        else:
            first = {shelf.id_field: self.books.new_id(), "status": "active"}
            row = shelf.add(self.books.fresh(call, first | fields))
        return Reply(200 if call.ids else 201, {name: shown(name, row)}, row[shelf.id_field])

    def create_subscription(self, call: Call) -> Reply:
        """POST /subscriptions: a live one raises its first invoice at once."""
        body = call.body
        if isinstance(body.get("customer"), dict) and not body.get("customer_id"):
            made = self.books.create_customer(Call((), {}, body["customer"]))
            body = {**body, "customer_id": made.zoho_id}
        customer = self.billing.customer(body)
        plan = self._plan(body, {})
        starts = day(body, "starts_at", self.books.today())
        code = self.books.plans.rows[plan["plan_code"]]
        trial_days = 0 if flag(plan, "exclude_trial", False) else plan["trial_days"]
        row: Row = {
            "subscription_id": self.books.new_id(),
            "customer_id": customer["customer_id"],
            "status": "future",
            "starts_at": starts.isoformat(),
            "bills_from": (starts + timedelta(days=trial_days)).isoformat(),
            **pick(code, "interval interval_unit"),
            "billing_cycles": whole(plan, "billing_cycles", code["billing_cycles"]),
            "auto_collect": flag(body, "auto_collect", True),
            "child_invoice_id": "",
            **dict.fromkeys(("terms_billed", "next_plan")),
            "plan": plan,
            **self._subscription_fields(body, {}),
        }
        self.books.ledger.charges += bool(row["auto_collect"] and not call.by_hand)
        row = self.subscriptions.add(self.books.fresh(call, row))
        self._advance(row)
        return self._shown(row, 201)

    def update_subscription(self, call: Call) -> Reply:
        """PUT /subscriptions/{id}: the plan at once, or at the term's end with end_of_term."""
        row = self.subscriptions.need(call.ids[0], "Subscription")
        if row["status"] in ("cancelled", "expired"):
            raise RefusalError(400, 3004, f"The subscription is {row['status']}.")
        if needed(call.body, "customer_id") != row["customer_id"]:
            raise RefusalError(400, 4, "Invalid value passed for customer_id")
        plan = self._plan(call.body, row["plan"])
        fields = self._subscription_fields(call.body, row)
        auto_collect = flag(call.body, "auto_collect", row["auto_collect"])
        new = auto_collect and not row["auto_collect"]
        self.books.ledger.charges += new and not call.by_hand
        postponed = flag(call.body, "end_of_term", False)
        fields |= {"next_plan": plan} if postponed else {"plan": plan, "next_plan": None}
        self._change(row, {**fields, "auto_collect": auto_collect})
        reply = self._shown(row, 200)
        del reply.payload["subscription"]["customer"]["customer_id"]  # PUT alone leaves it out
        return reply

    def read_subscription(self, call: Call) -> Reply:
        """GET /subscriptions/{id}."""
        return self._shown(self.subscriptions.need(call.ids[0], "Subscription"), 200)

    def list_subscriptions(self, call: Call) -> Listing:
        """GET /subscriptions: customer_id, reference_contains, filter_by (wrong prefix: 400)."""
        wanted = call.query.get("filter_by", "").lower()
        prefix, _, value = wanted.partition(".")
        allowed = {"subscriptionstatus": SUBSCRIPTION_FILTERS, "subscriptionmode": "online offline"}
        if wanted and value not in allowed.get(prefix, "").split():
            raise RefusalError(400, 4, "Invalid value passed for filter_by")
        rows = self.subscriptions.newest(call.query, self.books.ignored_filters)
        part = call.query.get("reference_contains", "").casefold()
        if part and "reference_contains" not in self.books.ignored_filters:
            rows = [row for row in rows if part in row["reference_id"].casefold()]
        if prefix == "subscriptionmode":
            rows = [row for row in rows if row["auto_collect"] == (value == "online")]
        elif wanted and value != "all":
            kept = ALIVE if value == "active" else (value.partition("_last")[0],)
            kept = ("cancelled",) if value.startswith("cancelled_") else kept
            rows = [row for row in rows if row["status"] in kept]
        return Listing("subscriptions", rows, self._list_subscription)

    def cancel(self, call: Call) -> Reply:
        """POST /subscriptions/{id}/cancel: now, or at the term's end; harmless when cancelled."""
        row = self.subscriptions.need(call.ids[0], "Subscription")
        if row["status"] != "cancelled":
            at_end = flag(call.query, "cancel_at_end", False) and row["status"] == "live"
            self._change(row, {"status": "non_renewing" if at_end else "cancelled"})
        return self._shown(row, 200)

    def set_reference(self, call: Call) -> Reply:
        """POST /subscriptions/{id}/reference."""
        row = self.subscriptions.need(call.ids[0], "Subscription")
        self._change(row, {"reference_id": needed(call.body, "reference_id")})
        return self._shown(row, 200)

    def set_auto_collect(self, call: Call) -> Reply:
        """POST /subscriptions/{id}/autocollect: switching it on is a charge in the ledger."""
        row = self.subscriptions.need(call.ids[0], "Subscription")
        self._change(row, {"auto_collect": flag(call.body, "auto_collect", False)})
        self.books.ledger.charges += row["auto_collect"] and not call.by_hand
        return self._shown(row, 200)

    def refund_payment(self, call: Call) -> Reply:
        """POST /payments/{id}/refunds: counted in the ledger."""
        row = self.billing.payments.need(call.ids[0], "Payment")
        amount = money(call.body, "amount")
        if not 0 < amount <= row["amount"] - row["amount_refunded"]:
            raise RefusalError(400, 4, "Invalid value passed for amount")
        self.books.ledger.refunds += 0 if call.by_hand else 1
        self.billing.payments.change(row, {"amount_refunded": row["amount_refunded"] + amount})
        refund_id = self.books.new_id()
        return Reply(201, {"refund": {"refund_id": refund_id, "amount": amount}}, refund_id)

    def collect(self, call: Call) -> Reply:
        """POST /invoices/{id}/collect: takes the balance from the customer's card; a CHARGE."""
        row = self.billing.invoices.need(call.ids[0], "Invoice")
        self.books.ledger.charges += 0 if call.by_hand else 1
        part = {"invoice_id": row["invoice_id"], "amount_applied": row["balance"]}
        body: Row = {"customer_id": row["customer_id"], "payment_mode": "creditcard"}
        body |= {"amount": row["balance"], "invoices": [part]}
        return replace(self.billing.create_payment(Call((), {}, body)), status=200)

    def charge(self, call: Call) -> Reply:
        """POST /subscriptions/{id}/charge: a one-time invoice, counted as a charge."""
        row = self.subscriptions.need(call.ids[0], "Subscription")
        self.books.ledger.charges += 0 if call.by_hand else 1
        line = {
            "name": text(call.body, "description", "Charge"),
            "price": money(call.body, "amount"),
        }
        invoice = self._raise(
            row, self.books.today(), [{**line, "quantity": 1, "tax_id": "", "_code": ""}]
        )
        return self.billing.read_invoice(Call((invoice["invoice_id"],), {}, {}))

    def advance(self) -> None:
        """Let the terms that have begun by now begin: activate, renew, expire, cancel."""
        today = self.books.today().isoformat()
        while self._due and self._due[0][0] <= today:
            _, subscription_id = heapq.heappop(self._due)
            if subscription_id in self.subscriptions.rows:
                self._advance(self.subscriptions.rows[subscription_id])

    def _advance(self, row: Row) -> None:
        today = self.books.today()
        first = date.fromisoformat(row["bills_from"])
        if today < first:
            started = row["starts_at"] <= today.isoformat()
            self._change(row, {"status": "trial" if started else "future"})
            turn = row["bills_from"] if started else row["starts_at"]
            heapq.heappush(self._due, (turn, row["subscription_id"]))
            return
        interval, unit, cycles = row["interval"], row["interval_unit"], row["billing_cycles"]
        term = row["terms_billed"]
        if term is None:  # a past start: only the current term is invoiced, not those before
            term = 0
            while later(first, (term + 1) * interval, unit) <= today:
                term += 1
        while row["status"] not in ("cancelled", "expired"):
            begins, ends = (later(first, n * interval, unit) for n in (term, term + 1))
            if begins > today:
                heapq.heappush(self._due, (begins.isoformat(), row["subscription_id"]))
                break
            if row["status"] == "non_renewing" or 0 < cycles <= term:
                over = "cancelled" if row["status"] == "non_renewing" else "expired"
                self._change(row, {"status": over})
                break
            self._begin(row, term, begins, ends)
            term += 1

    def _begin(self, row: Row, term: int, begins: date, ends: date) -> None:
        """One term: its dates, and the invoice that Zoho raises for it, dated its first day."""
        plan = row["next_plan"] or row["plan"]
        terms = {"status": "live", "plan": plan, "next_plan": None, "terms_billed": term + 1}
        terms |= {"current_term_starts_at": begins.isoformat()}
        terms |= {"current_term_ends_at": ends.isoformat(), "next_billing_at": ends.isoformat()}
        terms |= {"last_billing_at": begins.isoformat()}
        if not row.get("activated_at"):
            terms["activated_at"] = begins.isoformat()
        self._change(row, terms)
        lines = [{**pick(plan, "name price quantity tax_id"), "_code": plan["plan_code"]}]
        lines[0]["description"] = plan["plan_description"]
        if term == 0 and plan["setup_fee"]:
            fee = {"name": f"{plan['name']} setup fee", "price": plan["setup_fee"], "quantity": 1}
            lines.append({**fee, "tax_id": plan["tax_id"], "_code": ""})
        invoice = self._raise(row, begins, lines)
        self._change(row, {"child_invoice_id": invoice["invoice_id"]})

    def _raise(self, row: Row, dated: date, lines: list[Row]) -> Row:
        terms = {"payment_terms": row["payment_terms"], "subscription_id": row["subscription_id"]}
        body = {**terms, "date": dated.isoformat(), "invoice_items": lines}
        customer = self.books.customers.rows[row["customer_id"]]
        return self.billing.raise_invoice(customer, body)

    def _plan(self, body: Row, before: Row) -> Row:
        given = body.get("plan")
        if not isinstance(given, dict):
            raise RefusalError(400, 6, "Please enter a value for plan. It is mandatory.")
        plan = self.books.plans.rows.get(needed(given, "plan_code"))
        if plan is None:
            raise RefusalError(400, 1002, "Plan does not exist.")
        old = before if before.get("plan_code") == plan["plan_code"] else {}
        quantity = whole(given, "quantity", old.get("quantity", 1))
        if quantity < 1 or given.get("billing_cycles") == 0:
            raise RefusalError(400, 4, "Invalid value passed for quantity")
        tax_id = text(given, "tax_id", old.get("tax_id", plan["tax_id"]))
        self.books.tax(tax_id)
        fee = NOTHING if flag(given, "exclude_setup_fee", False) else plan["setup_fee"]
        trial = 0 if flag(given, "exclude_trial", False) else plan["trial_period"]
        fields = pick(plan, "plan_code name") | pick(given, "billing_cycles")
        fields |= {
            "tax_id": tax_id,
            "quantity": quantity,
            "setup_fee": money(given, "setup_fee", fee),
        }
        fields["price"] = money(given, "price", old.get("price", plan["recurring_price"]))
        fields["plan_description"] = text(given, "plan_description", plan["description"])
        fields["trial_days"] = whole(given, "trial_days", trial)
        return fields | {"total": fields["price"] * quantity}

    def _subscription_fields(self, body: Row, before: Row) -> Row:
        customer = self.billing.customer(body)
        terms = before.get("payment_terms", customer["payment_terms"])
        fields = {
            name: text(body, name, before.get(name, ""))
            for name in ("reference_id", "salesperson_name", "payment_terms_label")
        }
        custom_fields = self.books.labelled(body, before.get("custom_fields", []))
        terms = whole(body, "payment_terms", terms)
        return {**fields, "payment_terms": terms, "custom_fields": custom_fields}

    def _change(self, row: Row, fields: Row) -> None:
        self.subscriptions.change(row, {**fields, "updated_time": self.books.stamp()})

    def _amounts(self, row: Row) -> Row:
        plan, tax = row["plan"], self.books.tax(row["plan"]["tax_id"])
        line = priced({"quantity": plan["quantity"]}, tax, plan["price"])
        shown = {"tax_id": plan["tax_id"], "tax_name": line["tax_name"]}
        taxes = [{**shown, "tax_amount": str(line["_tax"])}] if tax else []
        return {"amount": plan["total"] + line["_tax"], "taxes": taxes}

    def _head(self, row: Row) -> Row:
        names = "subscription_id reference_id status auto_collect activated_at "
        dates = "current_term_starts_at current_term_ends_at next_billing_at last_billing_at "
        customer = self.books.customers.rows[row["customer_id"]]
        return {
            **pick(row, names + dates + "salesperson_name created_time updated_time"),
            "name": row["plan"]["name"],
            "created_at": row["created_time"][:10],
            "interval": str(row["interval"]),
            "interval_unit": row["interval_unit"],
            **dict.fromkeys(("currency_code", "currency_symbol"), customer["currency_code"]),
        }

    def _list_subscription(self, row: Row) -> Row:
        customer = self.books.customers.rows[row["customer_id"]]
        return {
            **self._head(row),
            **pick(customer, "customer_id email"),
            "customer_name": customer["display_name"],
            "plan_name": row["plan"]["name"],
            "amount": self._amounts(row)["amount"],
        }

    def _shown(self, row: Row, status: int) -> Reply:
        """The full shape, with nested customer and plan and the latest invoice Zoho raised."""
        customer = self.books.customers.rows[row["customer_id"]]
        plan = {key: value for key, value in row["plan"].items() if key != "billing_cycles"}
        names = "customer_id display_name email first_name last_name company_name payment_terms "
        product = self.books.plans.rows[plan["plan_code"]]["product_id"]
        shown = {
            **self._head(row),
            **self._amounts(row),
            **pick(row, "child_invoice_id payment_terms payment_terms_label custom_fields"),
            "customer": pick(customer, names + "payment_terms_label"),
            "plan": plan,
            "product_id": product,
            "product_name": self.books.products.rows[product]["name"],
            "end_of_term": row["next_plan"] is not None,
            **{name: [] for name in ("addons", "contactpersons", "notes")},
        }
        return Reply(status, {"subscription": shown}, row["subscription_id"])
