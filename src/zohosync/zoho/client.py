"""The remote as the engine sees it: perform a step, through the gate, and say what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from zohosync.core.outcome import Reply
from zohosync.core.plan import Step
from zohosync.core.records import Claim, Payload


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call that wants to leave.

    `door` is `api` or `accounts` (token mints, which have a window of their own). A `writes` call
    of a claim is fenced by the claim's epoch; `intent` is what a create or change carries into
    the journal.
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
    quota_left: int | None = None


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
