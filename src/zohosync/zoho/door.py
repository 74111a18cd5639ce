"""The one way out to the network: leave is asked before each call, its end is told after it.

Theory of operation. The gate journals a call and hands back a ticket that names the last moment
at which its first byte may leave (D6). The check stands where the connection is open and the
headers are about to be written: HTTPX tells of that moment through its `trace` extension, and
raising there aborts the request with nothing sent. The same event tells, for every failure
later, whether the request may have reached Zoho; no exception type is ever asked that question.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Any, Protocol

import httpcore2
import httpx2

from zohosync.clock import Clock
from zohosync.core.records import Claim, Payload
from zohosync.core.replies import Closed, Quota, Reply, Unreachable
from zohosync.zoho.sealing import without

BODY_LIMIT = 8_000_000
"""Bytes of a reply that we read; a page of 200 invoices has about 200,000."""

LAST_WORD_S = 1.0
"""How long a call that is cancelled may take to tell how it ended; untold, it counts as under way
until its deadline, and what it wrote is looked up."""

CONNECTIONS = 100
"""Connections at once; the gate's limit on calls in flight is far below."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call that wants to leave.

    `door` is `api` or `accounts` (token mints, which have a window of their own). A `writes` call
    of a claim is fenced by the claim's epoch; `intent` is what a create or change carries into
    the journal. `left` is called when it may leave.
    """

    door: str
    operation: str
    method: str
    path: str
    lane: int
    claim: Claim | None = None
    writes: bool = False
    intent: Payload | None = None
    intent_total: str | None = None
    probe: bool = False
    left: Callable[[], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to make one call: it is journaled; its first byte must leave by `send_by`."""

    call_id: int
    send_by: float  # on clock.monotonic()
    time_limit_s: float


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended, for the journal: `sent` is False only when not one byte left."""

    reply: Reply
    status: int | None
    latency_ms: float
    sent: bool
    quota: Quota | None = None


class GateClosedError(Exception):
    """The gate will not let calls leave for a while; nothing was journaled or sent."""

    def __init__(self, reason: str, retry_in_s: float) -> None:
        """`retry_in_s` seconds from now it is worth asking again."""
        super().__init__(reason)
        self.reason = reason
        self.retry_in_s = retry_in_s


class Gate(Protocol):
    """The one door to the remote; `engine.gate` is the real one."""

    async def admit(self, call: Call) -> Ticket:
        """Wait until the call may leave. Raises GateClosedError, or LeaseLostError."""
        ...

    async def finish(self, ticket: Ticket, end: CallEnd) -> None:
        """Journal how the call ended."""
        ...


class OpenGate:
    """Leave for every call and no journal: for `login`, before there is a database."""

    def __init__(self, clock: Clock, *, time_limit_s: float = 30.0) -> None:
        """Calls may take `time_limit_s` seconds."""
        self._clock = clock
        self._time_limit_s = time_limit_s

    async def admit(self, call: Call) -> Ticket:
        """At once."""
        del call
        return Ticket(0, self._clock.monotonic() + self._time_limit_s, self._time_limit_s)

    async def finish(self, ticket: Ticket, end: CallEnd) -> None:
        """Nothing is written."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as it came: header names in lower case; `whole` is False over BODY_LIMIT."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Heard:
    """What an answer means; `document` is the parsed body of a success (it may hold a token)."""

    reply: Reply
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stale_token: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What goes on the wire for a call; `secrets` are those in it, in clear."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)


class _LateError(Exception):
    """The send deadline had passed when the request could have left."""


class _Departure:
    """Watches one request leave, and stops it when it is too late (HTTPX's `trace`)."""

    def __init__(self, clock: Clock, send_by: float, window: asyncio.Timeout) -> None:
        self._clock = clock
        self._send_by = send_by
        self._window = window
        self._opened: httpcore2.AsyncNetworkStream | None = None
        self.connecting = False
        self.sent = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        match event:
            case "connection.connect_tcp.started":
                self.connect()
            case "http11.send_request_headers.started":
                if info["request"].method != b"CONNECT":  # a proxy's tunnel: not the request yet
                    self.leave()
            case "http11.send_request_headers.failed":
                # Our headers broke HTTP's rules: nothing was written.
                if isinstance(info["exception"], httpcore2.LocalProtocolError):
                    self.sent = False
            case "connection.connect_tcp.complete":
                self._opened = info["return_value"]
            case "connection.start_tls.failed":
                # httpcore2 2.16 forgets the socket when a handshake is cancelled.
                if self._opened is not None:
                    await self._opened.aclose()

    def connect(self) -> None:
        """A connection is about to be opened, and silence is not ours now; raises as `leave`."""
        self._check()
        self.connecting = True

    def leave(self) -> None:
        """The first byte is about to leave; raises when it may not any more."""
        self._check()
        self._window.reschedule(None)
        self.sent = True

    def _check(self) -> None:
        if self._clock.monotonic() > self._send_by:
            raise _LateError


class Door:
    """Makes calls, each with a ticket of the gate and within its time limit."""

    def __init__(
        self,
        *,
        gate: Gate,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
        time_limit_s: float = 30.0,
    ) -> None:
        """`transport` None is the network; `time_limit_s` caps what the gate's tickets allow."""
        self._gate = gate
        self._clock = clock
        self._time_limit_s = time_limit_s
        real = transport is None or isinstance(transport, httpx2.AsyncHTTPTransport)
        self._traced = real or isinstance(transport, _InProcess)
        self._client = httpx2.AsyncClient(
            transport=transport,
            # A proxy of the environment is for the world, not for a sandbox on this machine.
            mounts=None if transport else dict.fromkeys(_LOOPBACK),
            timeout=httpx2.Timeout(None),  # the clock's time limits hold, on its own seconds
            limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"user-agent": f"zohosync/{version('zohosync')}"},
            follow_redirects=False,
        )

    async def cross(self, call: Call, outgoing: Outgoing, read: Callable[[Answer], Heard]) -> Heard:
        """Make the call once and tell the gate how it ended; `read` says what an answer means.

        Never raises for anything that the network or the remote does: a failure is Unreachable.
        Raises what the gate raises. A cancelled call that may have left stays open in the
        journal, one that did not leave is ended there.
        """
        ticket = await self._gate.admit(call)
        if call.left is not None:
            call.left()
        began = self._clock.monotonic()
        window = self._clock.timeout(max(0.0, ticket.send_by - began))
        departure = _Departure(self._clock, ticket.send_by, window)
        answer: Answer | None = None
        try:
            answer = await self._exchange(call, outgoing, ticket, departure, window)
            body, headers = without(outgoing.secrets, answer.body, answer.headers)
            answer = replace(answer, body=body, headers=headers)
            heard = read(answer)
        except asyncio.CancelledError:
            if not departure.sent:
                await self._finish(
                    ticket, CallEnd(Closed("cancelled", 0.0), None, self._since(began), sent=False)
                )
            raise
        except (TimeoutError, _LateError) as error:
            heard = Heard(_overdue(error, departure))
        except Exception as error:  # noqa: BLE001 - what is not understood may have been sent
            heard = Heard(Unreachable(departure.sent, words_of(error)))
        end = CallEnd(
            heard.reply,
            answer.status if answer else None,
            self._since(began),
            sent=departure.sent,
            quota=quota_of(answer),
        )
        await self._finish(ticket, end)
        return heard

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _exchange(
        self,
        call: Call,
        outgoing: Outgoing,
        ticket: Ticket,
        departure: _Departure,
        window: asyncio.Timeout,
    ) -> Answer:
        limit_s = min(ticket.time_limit_s, self._time_limit_s)
        async with self._clock.timeout(limit_s), window:
            request = self._client.build_request(
                call.method,
                outgoing.url,
                params=outgoing.query or None,
                headers=outgoing.headers,
                content=outgoing.body,
                extensions={"trace": departure},
            )
            if not self._traced:
                departure.leave()
            response = await self._client.send(request, stream=True)
            try:
                return await _read(response)
            finally:
                await response.aclose()

    async def _finish(self, ticket: Ticket, end: CallEnd) -> None:
        """Tell the gate; a cancellation waits until that is done, if it is within LAST_WORD_S."""
        telling = asyncio.get_running_loop().create_task(_tell(self._gate, ticket, end))
        try:
            await asyncio.shield(telling)
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with self._clock.timeout(LAST_WORD_S):
                    await telling
            raise

    def _since(self, began: float) -> float:
        return (self._clock.monotonic() - began) * 1_000.0


def _overdue(error: Exception, departure: _Departure) -> Reply:
    """What a call that ran out of time comes to."""
    if departure.sent:
        return Unreachable(True, "no whole reply in time")
    if isinstance(error, _LateError) or not departure.connecting:
        # Our own lateness (a starved or frozen process) says nothing of Zoho: no attempt is spent.
        return Closed("send deadline passed", 0.0)
    return Unreachable(False, "send deadline passed")


_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")


async def _tell(gate: Gate, ticket: Ticket, end: CallEnd) -> None:
    await gate.finish(ticket, end)


async def _read(response: httpx2.Response) -> Answer:
    body = bytearray()
    whole = True
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > BODY_LIMIT:
            whole = False
            break
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(body) if whole else b"", whole)


class Line(Protocol):
    """What lies between us and an app in this process; each method may wait, or raise OSError."""

    async def connect(self) -> None:
        """Nothing has left yet."""
        ...

    async def carry(self) -> None:
        """The request has left and has not arrived."""
        ...

    async def bring(self) -> None:
        """The app has answered, and we have not heard it."""
        ...


class _InProcess(httpx2.ASGITransport):
    """The app behind a line, with the moment at which a request leaves."""

    def __init__(self, app: Any, line: Line) -> None:
        super().__init__(app=app)
        self._line = line

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions["trace"].connect()
        await self._line.connect()
        request.extensions["trace"].leave()
        await self._line.carry()
        response = await super().handle_async_request(request)
        await self._line.bring()
        return response


def in_process(app: Any, line: Line | None = None) -> httpx2.AsyncBaseTransport:
    """A transport to an ASGI app in this process: the sandbox without a socket."""
    return httpx2.ASGITransport(app=app) if line is None else _InProcess(app, line)


def words_of(error: Exception) -> str:
    """What went wrong on the way, in a sentence that cannot hold a header."""
    if isinstance(error, httpx2.LocalProtocolError):  # its text quotes the header at fault
        return "the request breaks the rules of HTTP"
    said = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def quota_of(answer: Answer | None) -> Quota | None:
    """What the remote says of its quota, where it says so and it can be so."""
    headers = answer.headers if answer else {}
    told = [headers.get(f"x-rate-limit-{name}", "") for name in ("limit", "remaining")]
    if not all(each.isascii() and each.isdigit() and len(each) < 10 for each in told):
        return None
    limit, left = map(int, told)
    return Quota(limit, left) if limit > 0 and left <= limit else None
