"""A pretend Zoho Billing: good enough that a client cannot tell, and with a ledger of the truth."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import simplejson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from zohosync.clock import Chance, Clock

from .app import TRANSPORT, Fault, Faults, Operation, Rule, Wire
from .billing import Billing
from .books import Books, Call, Listing, Reply, Shelf, Tax, by_status, pick
from .catalog import Catalog, shown
from .limits import (
    FULL_ACCESS,
    GrantCode,
    Ledger,
    Limiter,
    RefusalError,
    Request,
    Row,
    SandboxLimits,
    Tokens,
)

__all__ = [
    "FULL_ACCESS", "Fault", "Faults", "GrantCode", "Ledger", "Request", "Sandbox", "SandboxLimits",
    "Tax", "run", "serve", "serving",
]  # fmt: skip
TAXES = (Tax("VAT 15", "15"), Tax("Standard Rate", "15"), Tax("Zero Rate", "0"))


class Operations:
    """Every operation that the pretend Zoho knows, found by method and path."""

    def __init__(self, books: Books, billing: Billing, catalog: Catalog, organization: Row) -> None:
        self._by_shape: dict[tuple[str, int], list[Operation]] = {}
        self.books = books
        self._organization = organization
        self._transacted = (billing.invoices, billing.payments, catalog.subscriptions)
        for name, rule in self._table(billing, catalog).items():
            method, path = name.split(" ")
            parts = path.strip("/").split("/")
            verb = {"GET": "READ", "PUT": "UPDATE", "DELETE": "DELETE"}.get(method, "CREATE")
            module = {"transactions": "customers", "organizations": "settings"}.get(
                parts[0], parts[0]
            )
            shape = tuple(None if part[0] == "{" else part for part in parts)
            known = Operation(name, shape, rule, f"ZohoSubscriptions.{module}.{verb}")
            self._by_shape.setdefault((method, len(parts)), []).append(known)

    def find(self, method: str, path: str) -> tuple[Operation, tuple[str, ...]]:
        """The operation and the ids in its path; RefusalError 404 or 405."""
        parts = path.strip("/").split("/")
        for candidate in ("", "GET", "POST", "PUT", "DELETE"):
            for known in self._by_shape.get((candidate or method, len(parts)), []):
                pairs = list(zip(known.parts, parts, strict=True))
                if all(want in (None, part) for want, part in pairs):
                    if candidate:
                        raise RefusalError(405, 5, "The HTTP method is not allowed for this URL.")
                    return known, tuple(unquote(part) for want, part in pairs if want is None)
        raise RefusalError(404, 5, "Invalid URL Passed")

    def _table(self, billing: Billing, catalog: Catalog) -> dict[str, Rule]:
        books = self.books
        table: dict[str, Rule] = {
            "GET /organizations": lambda _: Reply(200, {"organizations": [self._organization]}),
            "GET /settings/taxes": lambda _: Listing("taxes", list(books.tax_rows.values()), dict),
            "POST /customers": books.create_customer,
            "GET /customers": books.list_customers,
            "GET /customers/{customer_id}": books.read_customer,
            "PUT /customers/{customer_id}": books.update_customer,
            "GET /transactions": lambda call: transactions(billing, call),
            "POST /subscriptions": catalog.create_subscription,
            "GET /subscriptions": catalog.list_subscriptions,
            "GET /subscriptions/{subscription_id}": catalog.read_subscription,
            "PUT /subscriptions/{subscription_id}": catalog.update_subscription,
            "POST /subscriptions/{subscription_id}/cancel": catalog.cancel,
            "POST /subscriptions/{subscription_id}/reference": catalog.set_reference,
            "POST /subscriptions/{subscription_id}/autocollect": catalog.set_auto_collect,
            "POST /subscriptions/{subscription_id}/charge": catalog.charge,
            "POST /invoices": billing.create_invoice,
            "GET /invoices": billing.list_invoices,
            "GET /invoices/{invoice_id}": billing.read_invoice,
            "PUT /invoices/{invoice_id}": billing.update_invoice,
            "DELETE /invoices/{invoice_id}": billing.delete_invoice,
            "POST /invoices/{invoice_id}/converttoopen": billing.convert_to_open,
            "POST /invoices/{invoice_id}/void": billing.void_invoice,
            "POST /invoices/{invoice_id}/email": billing.email_invoice,
            "POST /invoices/{invoice_id}/collect": catalog.collect,
            "POST /payments": billing.create_payment,
            "GET /payments/{payment_id}": billing.read_payment,
            "PUT /payments/{payment_id}": billing.update_payment,
            "DELETE /payments/{payment_id}": billing.delete_payment,
            "POST /payments/{payment_id}/refunds": catalog.refund_payment,
        }
        for name, key, prefix, active, save in (
            ("product", "product_id", "Status", "markas", catalog.save_product),
            ("plan", "plan_code", "PlanStatus", "markas", catalog.save_plan),
            ("item", "item_id", "Status", "", catalog.save_item),
        ):
            shelf: Shelf = getattr(books, f"{name}s")
            path = f"/{name}s/{{{key}}}"
            table[f"POST /{name}s"] = table[f"PUT {path}"] = save
            table[f"GET /{name}s"] = self._lister(shelf, name, prefix)
            table[f"GET {path}"] = self._reader(shelf, name)
            table |= self._shared(shelf, path, active)
        table |= self._shared(books.customers, "/customers/{customer_id}", "markas")
        return table | self._shared(catalog.subscriptions, "/subscriptions/{subscription_id}", None)

    def _shared(self, shelf: Shelf, path: str, active: str | None) -> dict[str, Rule]:
        def in_use(name: str, value: str) -> bool:
            return any(other.find(name, value) for other in self._transacted)

        def delete(call: Call) -> Reply:
            row = shelf.need(call.ids[0], "Record")
            if shelf is self.books.customers and in_use("customer_id", call.ids[0]):
                raise RefusalError(400, 1003, "A customer with transactions cannot be deleted.")
            shelf.drop(row)
            return Reply(200, {}, row[shelf.id_field], "The record has been deleted.")

        def mark(status: str) -> Rule:
            def answer(call: Call) -> Reply:
                row = shelf.need(call.ids[0], "Record")
                shelf.change(row, {"status": status, "updated_time": self.books.stamp()})
                return Reply(200, {}, row[shelf.id_field], f"Marked as {status}.")

            return answer

        states = () if active is None else ("active", "inactive")
        marks = {f"POST {path}/{active}{status}": mark(status) for status in states}
        return {f"DELETE {path}": delete, **marks}

    @staticmethod
    def _reader(shelf: Shelf, name: str) -> Rule:
        def answer(call: Call) -> Reply:
            row = shelf.need(call.ids[0], name.capitalize())
            return Reply(200, {name: shown(name, row)}, row[shelf.id_field])

        return answer

    def _lister(self, shelf: Shelf, name: str, prefix: str) -> Rule:
        def answer(call: Call) -> Listing:
            rows = shelf.newest(call.query, self.books.ignored_filters)
            for suffix, test in (("startswith", str.startswith), ("contains", str.__contains__)):
                part = call.query.get(f"name_{suffix}", "").casefold()
                rows = [row for row in rows if not part or test(row["name"].casefold(), part)]
            rows = by_status(rows, call.query.get("filter_by", ""), prefix)
            return Listing(f"{name}s", rows, lambda row: shown(name, row))

        return answer


def transactions(billing: Billing, call: Call) -> Listing:
    """GET /transactions?customer_id=&filter_by=TransactionType.X: invoices and payments."""
    wanted = call.query.get("filter_by", "").rpartition(".")[2].upper()
    narrowed = pick(call.query, "customer_id")
    rows = [] if wanted == "PAYMENT" else billing.invoices.newest(narrowed)
    rows = rows + ([] if wanted == "INVOICE" else billing.payments.newest(narrowed))

    def show(row: Row) -> Row:
        kind = "payment" if "payment_id" in row else "invoice"
        number = row["invoice_number" if kind == "invoice" else "reference_number"]
        status = billing.status(row) if kind == "invoice" else row["status"]
        amount = row["total" if kind == "invoice" else "amount"]
        told = {"transaction_id": row[f"{kind}_id"], "type": kind, "reference_id": number}
        return {**told, "status": status, "amount": str(amount), "date": row["date"]}

    return Listing("transactions", rows, show)


class Sandbox:
    """One organisation of a pretend Zoho: `app` serves it, `ledger` tells what really happened.

    A setting of the organisation that the real one may have either way is a parameter:
    `custom_fields` (labels that exist; None: any), `allow_duplicate_names`, `lines_need_product`,
    `ignored_filters` (query parameters without effect), `throttle_status` (400 or 200).
    """

    def __init__(
        self,
        *,
        clock: Clock,
        chance: Chance,
        organization_id: str = "10001",
        name: str = "Sandbox",
        mode: str = "test",
        time_zone: str = "UTC",
        currency: str = "ZAR",
        limits: SandboxLimits | None = None,
        faults: Faults | None = None,
        latency_s: tuple[float, float] = (0.0, 0.0),
        taxes: Sequence[Tax] = TAXES,
        client_id: str = "1000.CLIENT",
        client_secret: str = "secret",
        refresh_token: str = "1000.refresh",
        scopes: Sequence[str] = (FULL_ACCESS,),
        grants: Sequence[GrantCode] = (),
        throttle_status: int = 400,
        active_tokens: int = 15,
        custom_fields: Sequence[str] | None = None,
        allow_duplicate_names: bool = True,
        lines_need_product: bool = True,
        ignored_filters: Sequence[str] = (),
        keep_bodies: bool = False,
    ) -> None:
        zone, limits = ZoneInfo(time_zone), limits or SandboxLimits()
        self.client_id, self.client_secret = client_id, client_secret
        self.refresh_token, self.organization_id = refresh_token, organization_id
        self.ledger = Ledger()
        self.books = Books(
            clock=clock, zone=zone, currency=currency, ledger=self.ledger, taxes=tuple(taxes),
            custom_fields=None if custom_fields is None else tuple(custom_fields),
            allow_duplicate_names=allow_duplicate_names, lines_need_product=lines_need_product,
            ignored_filters=frozenset(ignored_filters),
        )  # fmt: skip
        self.billing = Billing(self.books)
        self.catalog = Catalog(self.books, self.billing)
        self.limiter = Limiter(limits, clock, zone, self.ledger)
        self.tokens = Tokens(
            client=(client_id, client_secret), refresh_tokens={refresh_token: tuple(scopes)},
            grants=grants, limits=limits, ledger=self.ledger, clock=clock, chance=chance,
            throttle_status=throttle_status, active_tokens=active_tokens,
        )  # fmt: skip
        organization = {"organization_id": organization_id, "name": name, "mode": mode}
        organization |= {"time_zone": time_zone, "currency_code": currency}
        self.wire = Wire(
            find=Operations(self.books, self.billing, self.catalog, organization).find,
            limiter=self.limiter, tokens=self.tokens, ledger=self.ledger,
            faults=faults or Faults(), clock=clock, chance=chance, organization=organization,
            latency_s=latency_s, keep_bodies=keep_bodies, renew=self.catalog.advance,
        )  # fmt: skip
        self._tell_ledger()
        self.app = self._application()

    def set_faults(self, faults: Faults) -> None:
        """Replace the script of trouble."""
        self.wire.faults = faults

    def by_hand(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Row:
        """A person works in the web interface: ("POST", "/customers", {…}); the reply's body.

        Nothing is counted: no call, no e-mail, no charge, no deletion. ValueError when refused.
        """
        content = simplejson.dumps(body or {}, use_decimal=True).encode()
        answer = self.wire.by_hand(method, path, {}, content)
        told: Row = simplejson.loads(answer.content or b"{}", use_decimal=True)
        if told.get("code"):
            raise ValueError(f"{method} {path} by hand: {told['code']} {told['message']}")
        return told

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Mount("/billing/v1", app=self.wire.api),
                Mount("/oauth", app=self.wire.oauth),
                Route("/_sandbox/ledger", self._show_ledger),
                Route("/_sandbox/faults", self._set_faults, methods=["POST"]),
                Route("/_sandbox/tokens/{act}", self._end_tokens, methods=["POST"]),
                Route("/_sandbox/records/{path:path}", self._records, methods=[*METHODS]),
            ]
        )

    def _tell_ledger(self) -> None:
        books, billing, catalog = self.books, self.billing, self.catalog
        shelves = {"products": books.products, "plans": books.plans, "items": books.items}
        shelves |= {"customers": books.customers, "subscriptions": catalog.subscriptions}
        shelves |= {"invoices": billing.invoices, "payments": billing.payments}

        def reader(kind: str, shelf: Shelf) -> Callable[[], list[Row]]:
            def rows() -> list[Row]:
                self.wire.catch_up()
                found = [
                    {key: value for key, value in row.items() if key[0] != "_"}
                    for row in shelf.rows.values()
                ]
                if kind == "invoices":
                    for row in found:
                        row["status"] = billing.status(row)
                return found

            return rows

        self.ledger.kinds = {kind: reader(kind, shelf) for kind, shelf in shelves.items()}

    async def _show_ledger(self, _: HttpRequest) -> Response:
        return _response(self.ledger.summary())

    async def _set_faults(self, request: HttpRequest) -> Response:
        try:
            self.set_faults(Faults.of(simplejson.loads(await request.body())))
        except (ValueError, TypeError) as fault:
            return _response({"error": str(fault)}, 400)
        return _response({"faults": len(self.wire.faults.script)})

    async def _end_tokens(self, request: HttpRequest) -> Response:
        acts = {"revoke": self.tokens.revoke, "expire": self.tokens.expire}
        if request.path_params["act"] not in acts:
            return _response({"error": f"not one of {sorted(acts)}"}, 404)
        acts[request.path_params["act"]]()
        return _response({})

    async def _records(self, request: HttpRequest) -> Response:
        path = request.path_params["path"].strip("/")
        if request.method == "GET" and path in self.ledger.kinds:
            return _response({path: self.ledger.records(path)})
        query, content = dict(request.query_params), await request.body()
        answer = self.wire.by_hand(request.method, path, query, content)
        return Response(answer.content, answer.status, dict(answer.headers))


METHODS = ("GET", "POST", "PUT", "DELETE")


def _response(body: Row, status: int = 200) -> Response:
    content = simplejson.dumps(body, use_decimal=True)
    return Response(content, status, media_type="application/json")


class DroppableProtocol(H11Protocol):
    """uvicorn's HTTP protocol that lends its transport to the application, so it can hang up."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the application of this connection."""
        super().connection_made(transport)
        self.app = _lending(self.app, transport)


def _lending(app: Any, transport: asyncio.Transport) -> ASGIApp:
    async def lend(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[TRANSPORT] = transport
        await app(scope, receive, send)

    return lend


class _QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process that hosts us."""
        yield


@asynccontextmanager
async def serving(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve on a real socket while the block runs; gives the URL with the real port."""
    config = uvicorn.Config(
        sandbox.app, http=DroppableProtocol, ws="none", lifespan="off", log_level="warning",
        access_log=False, timeout_graceful_shutdown=1, timeout_keep_alive=75,  # a client's is less
    )  # fmt: skip
    server = _QuietServer(config)
    listener = socket.create_server((host, port))
    raised: Exception | None = None
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        except Exception as error:  # noqa: BLE001  # it leaves as it is, not in a group
            raised = error
        finally:
            server.should_exit = True
    if raised is not None:
        raise raised


async def serve(
    sandbox: Sandbox,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until cancelled; `announce` is told the URL once the socket listens."""
    async with serving(sandbox, host, port) as url:
        announce(url)
        await asyncio.Event().wait()


def run(
    sandbox: Sandbox,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted; the body of `zohosync sandbox`."""
    try:
        asyncio.run(serve(sandbox, host, port, announce))
    except KeyboardInterrupt:
        return
