"""The pretend Zoho's wire: who may call, envelopes, paging, and trouble made on purpose."""

import heapq
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from itertools import islice
from math import inf
from typing import Any
from urllib.parse import parse_qsl

import simplejson
from starlette.types import Receive, Scope, Send

from zohosync.clock import Chance, Clock

from .books import Call, Listing, Reply
from .limits import INVALID_CODE, Ledger, Limiter, RefusalError, Request, Row, Tokens

TOKEN_OPERATION = "POST /oauth/v2/token"
TRANSPORT = "zohosync.transport"
ORGANIZATION_HEADER = b"x-com-zoho-subscriptions-organizationid"
HTML_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>Zoho is busy.</body></html>"
BEFORE = (
    *("rate_limit", "unauthorized", "error_before_commit", "reset", "html", "refused_200"),
    "late_commit",
)
AFTER = (
    *("error_after_commit", "lost_reply", "truncated", "without_id", "slow", "stale_list"),
    "reordered",
)

Rule = Callable[[Call], Reply | Listing]


@dataclass(frozen=True, slots=True)
class Fault:
    """One sort of trouble and when it strikes (docs/sandbox.md tells what each does).

    It strikes the nth matching request (1 unless a rate is given) and the `times` - 1 after it,
    or each matching request with probability `rate`. `operation` is a pattern over the method
    and path template ("POST /customers", "GET *"); `contains` a text that the body must hold.
    """

    what: str
    operation: str = "*"
    nth: int | None = None
    times: int = 1
    rate: float = 0.0
    contains: str = ""
    seconds: float | None = None
    code: int = 44
    status: int = 500
    drop: bool = True

    def __post_init__(self) -> None:
        if self.what not in (*BEFORE, *AFTER):
            raise ValueError(f"no such fault: {self.what}; there are {[*BEFORE, *AFTER]}")


class Faults:
    """A script of trouble; the same seed and the same requests give the same trouble."""

    def __init__(self, script: Iterable[Fault] = (), chance: Chance | None = None) -> None:
        self.script = list(script)
        self._chance = chance or Chance(0)
        self._seen = [0] * len(self.script)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Faults":
        """From JSON: {"seed": 1, "script": [{"what": …}, …]}; ValueError names what is wrong."""
        known = {field.name for field in fields(Fault)}
        for entry in told.get("script", []):
            if unknown := set(entry) - known:
                raise ValueError(f"no such field of a fault: {sorted(unknown)}")
        script = [Fault(**entry) for entry in told.get("script", [])]
        return cls(script, Chance(told.get("seed", 0)))

    def take(self, operation: str, body: bytes) -> Fault | None:
        """The trouble that this request meets, if any."""
        struck: Fault | None = None
        for index, fault in enumerate(self.script):
            if not fnmatchcase(operation, fault.operation) or fault.contains.encode() not in body:
                continue
            if operation == TOKEN_OPERATION and "/oauth" not in fault.operation:
                continue  # "*" and "POST *" mean the API; the accounts server is named
            self._seen[index] += 1
            first = fault.nth or (None if fault.rate else 1)
            hit = self._chance.random() < fault.rate if fault.rate else False
            if first is not None and first <= self._seen[index] < first + fault.times:
                hit = True
            struck = fault if hit and struck is None else struck
        return struck


def page(
    listing: Listing,
    query: Mapping[str, str],
    moment: float,
    fault: Fault | None,
    most: int = 200,
) -> Row:
    """One page of a list with its page_context; rows not listed yet are left out."""
    per_page, given = query.get("per_page", ""), query.get("page", "")
    size = min(most, int(per_page)) if per_page.isdigit() and int(per_page) > 0 else most
    number = int(given) if given.isdigit() and int(given) > 0 else 1
    rows: Iterable[Row] = listing.rows
    if fault and fault.what == "reordered":
        rows = reversed(list(rows))
    late = (fault.seconds or 60.0) if fault and fault.what == "stale_list" else 0.0
    seen = (row for row in rows if row.get("_listed_s", -inf) + late <= moment)
    found = list(islice(seen, (number - 1) * size, number * size + 1))
    context = {"page": number, "per_page": size, "has_more_page": len(found) > size}
    return {listing.name: [listing.show(row) for row in found[:size]], "page_context": context}


@dataclass(frozen=True, slots=True)
class Operation:
    """A path template ("POST /customers") with its rule and the scope that it needs."""

    name: str
    parts: tuple[str | None, ...]
    rule: Rule
    scope: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over the wire; None for content means the connection dies without a byte."""

    status: int
    content: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False


def as_json(status: int, body: Row, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON, money as exact numbers."""
    content = simplejson.dumps(body, use_decimal=True, separators=(",", ":")).encode()
    return Answer(status, content, {"content-type": "application/json", **(headers or {})})


async def send_answer(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send it, or hang up: through the lent transport, in process by ConnectionResetError."""
    if answer.content is None:
        transport = scope.get("extensions", {}).get(TRANSPORT)
        if transport is None:
            raise ConnectionResetError("the sandbox dropped the connection, as its script says")
        if answer.reset:  # no lingering: the peer sees a reset instead of an orderly end
            sock: socket.socket = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    headers = {**answer.headers, "content-length": str(len(answer.content))}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": answer.content})


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


@dataclass(slots=True)
class Wire:
    """Answers HTTP as Zoho does: one call from its arrival to its last byte, or to its silence.

    A call is decided on at the moment it arrives; latency is waited for after that. So a client
    that gives up while waiting has changed the books all the same, as with the real one.
    """

    find: Callable[[str, str], tuple[Operation, tuple[str, ...]]]
    limiter: Limiter
    tokens: Tokens
    ledger: Ledger
    faults: Faults
    clock: Clock
    chance: Chance
    organization: Row
    latency_s: tuple[float, float]
    keep_bodies: bool
    renew: Callable[[], None]
    _late: list[tuple[float, int, Callable[[], Answer]]] = field(default_factory=list)
    _late_count: int = 0

    async def api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The API, mounted at /billing/v1."""
        content = await read_body(receive)
        raw_path = scope.get("raw_path") or scope["path"].encode()  # an id may hold %2F
        method, path = scope["method"], raw_path.decode("latin-1").partition("/billing/v1")[2]
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        entry = self._log(f"{method} {path}", method, path, query)
        self.catch_up()
        try:
            answer, wait_s = self._judge(scope, entry, content)
            wait_s += self._latency()
            if wait_s > 0:
                await self.clock.sleep(wait_s)
            if entry.fault == "late_commit" and answer.content == b"":
                self.catch_up()
                answer = Answer(504, HTML_PAGE, {"content-type": "text/html"})
        finally:
            self.limiter.leave()
            entry.left_s = self.clock.monotonic()
        entry.status = answer.status if answer.content is not None else 0
        self.ledger.rate_limit_hits += entry.status == 429
        await send_answer(answer, scope, receive, send)

    async def oauth(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /oauth/v2/token: form or query string, decided by the body and not the status."""
        content = await read_body(receive)
        told = scope["query_string"].decode("latin-1") + "&" + content.decode("utf-8", "replace")
        form = dict(parse_qsl(told))
        entry = self._log(TOKEN_OPERATION, scope["method"], scope["path"], {})
        host = dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1")
        fault = self.faults.take(entry.operation, content)
        entry.fault = fault.what if fault else None
        if scope["method"] != "POST":
            answer = Answer(405, HTML_PAGE, {"content-type": "text/html"})
        elif fault and fault.what in ("rate_limit", "unauthorized", "refused_200"):
            throttled = fault.what == "rate_limit"
            answer = as_json(*(self.tokens.throttle() if throttled else (200, INVALID_CODE)))
        elif fault and fault.what in BEFORE:
            answer = self._trouble_before(fault, lambda: Answer(200, b""))
        else:
            answer = as_json(*self.tokens.exchange(form, f"{scope['scheme']}://{host}"))
            answer = self._trouble_after(fault, answer) if fault else answer
        wait_s = self._latency() + (fault.seconds or 0.0 if fault else 0.0)
        if wait_s > 0:
            await self.clock.sleep(wait_s)
        entry.status = answer.status if answer.content is not None else 0
        await send_answer(answer, scope, receive, send)

    def by_hand(self, method: str, path: str, query: Mapping[str, str], content: bytes) -> Answer:
        """What a person does in the web interface: the same rules, no call, no e-mail counted."""
        self.catch_up()
        try:
            operation, ids = self.find(method, path)
            reply = operation.rule(Call(ids, query, _body(content), by_hand=True))
        except RefusalError as refusal:
            return as_json(refusal.status, {"code": refusal.code, "message": refusal.message})
        payload = page(reply, query, inf, None) if isinstance(reply, Listing) else reply.payload
        return as_json(200, {"code": 0, "message": "success", **payload})

    def catch_up(self) -> None:
        """Do what the clock has made due: writes that commit late, and subscriptions' terms."""
        while self._late and self._late[0][0] <= self.clock.monotonic():
            heapq.heappop(self._late)[2]()
        self.renew()

    def _log(self, operation: str, method: str, path: str, query: dict[str, str]) -> Request:
        moment = (self.clock.now(), self.clock.monotonic())
        entry = Request(*moment, operation=operation, method=method, path=path, query=query)
        self.ledger.requests.append(entry)
        return entry

    def _latency(self) -> float:
        low, high = self.latency_s
        return low + (high - low) * self.chance.random() if high > 0 else 0.0

    def _judge(self, scope: Scope, entry: Request, content: bytes) -> tuple[Answer, float]:
        """The answer to a call that has just arrived, and the seconds to hold it back."""
        fault: Fault | None = None
        try:
            operation, ids = self._admit(scope, entry)
            fault = self.faults.take(operation.name, content)
            entry.fault = fault.what if fault else None
            call = Call(ids, entry.query, {})
            if fault and fault.what == "stale_list" and entry.method == "POST":
                call = replace(call, hide_s=fault.seconds or 60.0)

            def act() -> Answer:
                body = _body(content)
                entry.body = body if self.keep_bodies else None
                return self._act(operation, replace(call, body=body), entry, fault)

            if fault and fault.what in BEFORE:
                answer = self._trouble_before(fault, act)
                held = (
                    (fault.seconds or 0.0) if fault.what == "late_commit" and not fault.drop else 0
                )
                return answer, held
            answer = act()
        except RefusalError as refusal:
            entry.code = refusal.code
            told: Row = {"code": refusal.code, "message": refusal.message}
            entry.reply = told if self.keep_bodies else None
            return as_json(refusal.status, told, refusal.headers), 0.0
        answer = self._trouble_after(fault, answer) if fault else answer
        return answer, (fault.seconds or 30.0) if fault and fault.what == "slow" else 0.0

    def _admit(self, scope: Scope, entry: Request) -> tuple[Operation, tuple[str, ...]]:
        self.limiter.arrive()
        operation, ids = self.find(entry.method, entry.path)
        entry.operation = operation.name
        headers = dict(scope["headers"])
        self.tokens.check(headers.get(b"authorization", b"").decode("latin-1"), operation.scope)
        named = headers.get(ORGANIZATION_HEADER, b"").decode() or entry.query.get("organization_id")
        own = self.organization["organization_id"]
        if named != own and operation.name != "GET /organizations":
            raise RefusalError(
                403, 6041, f"This user is not associated with the CompanyID/CompanyName: {named}."
            )
        return operation, ids

    def _act(self, operation: Operation, call: Call, entry: Request, fault: Fault | None) -> Answer:
        reply = operation.rule(call)
        entry.code = 0
        if isinstance(reply, Listing):
            most = self.limiter.limits.per_page
            payload = page(reply, call.query, self.clock.monotonic(), fault, most)
            status, told = 200, {"code": 0, "message": "success", **payload}
        else:
            entry.zoho_id, status = reply.zoho_id, reply.status
            self.ledger.deletions += entry.method == "DELETE"
            told = {"code": 0, "message": reply.message, **reply.payload}
        entry.reply = told if self.keep_bodies else None
        return as_json(status, told, self.limiter.headers())

    def _trouble_before(self, fault: Fault, act: Callable[[], Answer]) -> Answer:
        match fault.what:
            case "rate_limit":
                raise self.limiter.refusal(fault.code, fault.seconds)
            case "unauthorized":
                raise RefusalError(401, 14, "The access token has expired.")
            case "error_before_commit":
                return as_json(fault.status, {"code": 5, "message": "Internal Error"})
            case "refused_200":
                code = 1002 if fault.code == 44 else fault.code
                return as_json(200, {"code": code, "message": "The request was not done."})
            case "html":
                return Answer(502, HTML_PAGE, {"content-type": "text/html"})
            case "late_commit":
                self._late_count += 1
                due = self.clock.monotonic() + (fault.seconds or 0.0)
                heapq.heappush(self._late, (due, self._late_count, _quietly(act)))
                return Answer(0, None if fault.drop else b"")
            case _:
                return Answer(0, None, reset=True)

    @staticmethod
    def _trouble_after(fault: Fault, answer: Answer) -> Answer:
        content = answer.content or b""
        match fault.what:
            case "lost_reply":
                return Answer(answer.status, None)
            case "error_after_commit":
                return as_json(fault.status, {"code": 5, "message": "Internal Error"})
            case "truncated":
                return replace(answer, content=content[: len(content) // 2])
            case "without_id":
                return as_json(answer.status, {"code": 0, "message": "success"})
            case _:
                return answer


def _quietly(act: Callable[[], Answer]) -> Callable[[], Answer]:
    def late() -> Answer:
        try:
            return act()
        except RefusalError as refusal:
            return as_json(refusal.status, {"code": refusal.code, "message": refusal.message})

    return late


def _body(content: bytes) -> Row:
    if not content.strip():
        return {}
    try:
        body = simplejson.loads(content, use_decimal=True)
    except (ValueError, RecursionError) as fault:
        raise RefusalError(400, 4, "The body is not well formed JSON.") from fault
    if not isinstance(body, dict):
        raise RefusalError(400, 4, "The body must be a JSON object.")
    return body
