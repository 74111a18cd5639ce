"""The one door to the remote: waits for leave, journals each call, records how it ended.

All calls of a process that want to leave wait in one line, most urgent first; one loop asks the
journal for as many as the governor grants and sleeps until the next place comes free.
"""

import asyncio
import heapq
import itertools
import logging
from dataclasses import dataclass, field, replace

from zohosync.clock import Clock
from zohosync.core.adaptive import MANY
from zohosync.core.brake import is_ending
from zohosync.core.governor import (
    DAY_SPENT,
    DOWN_AFTER,
    Effect,
    JournalView,
    Limits,
    admit,
    effect_of,
    is_daily,
    mint_limits,
    outage,
)
from zohosync.core.lanes import Asked, Books, Choice, choose, in_line
from zohosync.core.replies import Quota, Throttled
from zohosync.errors import DatabaseError, LeaseLostError
from zohosync.events import Listener, Noted, OrganizationTouched
from zohosync.store.journal import Admission, Ending, Entry, Journal
from zohosync.zoho.client import Call, CallEnd, GateClosedError, Ticket

BATCH = 32
"""Calls that are asked for in one transaction at the most."""

NAP_S = 1.0
"""The longest sleep between two questions: another process may have freed a place."""

QUOTA_S = 5.0
"""How often what Zoho says of the day's quota is written down."""

BRAKED_S = 1.0
"""When a record that the brake stopped is due again, if its kind is not paused by then."""

TOKEN_CLOSED_S = 600.0
"""How long the token door stays closed after "Access Denied … continuously" (documented)."""


@dataclass(order=True, slots=True)
class _Waiter:
    rank: int
    number: int
    call: Call = field(compare=False)
    leave: "asyncio.Future[Ticket]" = field(compare=False)


class Gate:
    """Lets calls leave as the journal and the limits allow, for one organisation."""

    def __init__(
        self,
        journal: Journal,
        *,
        clock: Clock,
        limits: Limits,
        time_limit_s: float,
        send_within_s: float,
        tell: Listener,
        pauses: bool = True,
    ) -> None:
        """`send_within_s`: how long after its admission a call's first byte may still leave.

        `pauses`: refused credentials pause the organisation for everybody.
        """
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._time_limit_s = time_limit_s
        self._send_within_s = send_within_s
        self._tell = tell
        self._pauses = pauses
        self._waiting: list[_Waiter] = []
        self._numbers = itertools.count()
        self._news = asyncio.Event()
        self._overloads = 0
        self._reopening = False
        self._size = MANY
        self._quota_at = -QUOTA_S
        self._closing = False
        self._probes: set[int] = set()
        self._endings: list[Ending] = []
        self._writing = asyncio.Lock()

    @property
    def down(self) -> bool:
        """Whether the organisation does not answer at the moment."""
        return self._overloads >= DOWN_AFTER

    @property
    def size(self) -> int:
        """How many calls may be in flight, as far as the last ones went well."""
        return self._size

    @property
    def waiting(self) -> int:
        """How many calls wait for leave."""
        return len(self._waiting)

    async def admit(self, call: Call) -> Ticket:
        """Wait until the call may leave; it is journaled then.

        Raises GateClosedError when no call may leave for a while, LeaseLostError when the claim
        behind the call is no longer ours.
        """
        if self._closing:
            raise GateClosedError("stopping", 0.0)
        leave: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        rank = 0 if call.door == "accounts" or call.probe else -call.lane
        if call.door == "accounts":
            rank = -100
        heapq.heappush(self._waiting, _Waiter(rank, next(self._numbers), call, leave))
        self._news.set()
        return await leave

    async def finish(self, ticket: Ticket, end: CallEnd) -> None:
        """Journal how a call ended, and what the reply does to the organisation."""
        ending = Ending(
            ticket.call_id,
            sent=end.sent,
            status=end.status,
            code=getattr(end.reply, "code", None),
            outcome=type(end.reply).__name__.lower(),
            latency_ms=end.latency_ms,
        )
        self._endings.append(ending)
        async with self._writing:  # those that end meanwhile are written together
            if ending in self._endings:
                together, self._endings = self._endings, []
                try:
                    await self._journal.finish(together)
                except BaseException:
                    self._endings += together  # whoever comes next tries again
                    raise
        effect = effect_of(end.reply, self._limits)
        if not self._pauses:
            effect = replace(effect, pause=None)
        tokens = isinstance(end.reply, Throttled) and end.reply.code == "token"
        close_mints_s = None
        if tokens:
            close_mints_s = max(TOKEN_CLOSED_S, effect.close_s or 0.0)
            effect = Effect()
        close_s = effect.close_s
        probe = ticket.call_id in self._probes
        self._probes.discard(ticket.call_id)
        quota = self._news_of(end.quota)
        if (
            close_s
            or effect.close_until_midnight
            or effect.pause
            or effect.overload
            or tokens
            or (effect.healthy and (self._overloads or self._reopening))
            or quota
        ):
            before = self._overloads
            self._overloads = await self._journal.touch(
                effect,
                close_s=close_s,
                close_mints_s=close_mints_s,
                quota=quota,
                overloads_max=None if probe else DOWN_AFTER,
                judge=outage if effect.overload else None,
            )
            if effect.overload and self._overloads > before:  # not once more for each of the rest
                effect = outage(self._overloads)
                close_s = effect.close_s
        if effect.reason or effect.pause:
            self._tell(OrganizationTouched(effect.pause or effect.reason or "", close_s))
        self._news.set()

    def _news_of(self, quota: Quota | None) -> Quota | None:
        """What Zoho says of the day, if it is and now and then: each costs a statement."""
        if quota is None or not is_daily(quota, self._limits):
            return None
        if self._clock.monotonic() < self._quota_at:
            return None
        self._quota_at = self._clock.monotonic() + QUOTA_S
        return quota

    async def pause(self, reason: str) -> None:
        """Let nothing of the organisation run until somebody resumes it."""
        await self._journal.touch(Effect(pause=reason), close_s=None)
        self._tell(OrganizationTouched(reason, None))

    def close(self) -> None:
        """Let no further call leave; those that wait are refused now."""
        self._closing = True
        for waiter in self._waiting:
            _refuse(waiter, GateClosedError("stopping", 0.0))
        self._waiting.clear()

    async def run(self) -> None:
        """Let waiting calls leave until cancelled."""
        self._closing = False
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                nap_s = await self._round()
                if nap_s is None or not self._waiting:
                    continue
                await self._nap(nap_s)

    async def _nap(self, seconds: float) -> None:
        try:
            async with self._clock.timeout(min(seconds, NAP_S)):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    async def _round(self) -> float | None:
        """Ask once for the most urgent calls; returns how long the rest must wait, in seconds."""
        door, probe = self._waiting[0].call.door, self._waiting[0].call.probe
        batch: list[_Waiter] = []
        while self._waiting and len(batch) < BATCH:
            call = self._waiting[0].call
            if (call.door, call.probe) != (door, probe):
                break
            batch.append(heapq.heappop(self._waiting))
        batch = [waiter for waiter in batch if not waiter.leave.done()]
        if not batch:
            return None
        asked = [_asked(waiter.call) for waiter in batch]

        def decide(view: JournalView, books: Books, limits: Limits) -> Choice:
            if door == "accounts":
                return in_line(admit(view, mint_limits(limits), len(asked)))
            self._overloads = view.overloads
            self._reopening = view.closed_until is not None
            return choose(view, books, limits, asked, probe=probe)

        asked_at = self._clock.monotonic()
        try:
            granted = await self._journal.admit([_entry(waiter.call) for waiter in batch], decide)
        except DatabaseError as error:
            for waiter in batch:
                _refuse(waiter, error)
            return None
        self._limits = granted.limits
        choice = granted.choice
        for why in granted.braked:
            self._tell(Noted(why, logging.WARNING))
        if door == "api":
            self._size = choice.size
        for place in choice.places:
            self._release(batch[place], granted, place, asked_at)
        wait_s = 0.0
        if choice.not_before is not None:
            wait_s = max(0.005, (choice.not_before - granted.now).total_seconds())
        for place, waiter in enumerate(batch):
            if place in choice.places:
                continue
            lane_closed = choice.lanes_closed.get(waiter.call.lane)
            if choice.closed:
                _refuse(waiter, GateClosedError(choice.reason or "closed", wait_s))
            elif lane_closed is not None and door == "api":
                closed_s = (lane_closed - granted.now).total_seconds()
                _refuse(waiter, GateClosedError("the day's share of its lane", closed_s))
            else:
                heapq.heappush(self._waiting, waiter)
        if choice.reason == DAY_SPENT:
            await self._close_day()
        return None if choice.closed else wait_s

    def _release(self, waiter: _Waiter, granted: Admission, place: int, asked_at: float) -> None:
        """Let a chosen call leave, unless its lease is lost or the brake stops it."""
        call_id = granted.call_ids.get(place)
        if place in granted.stopped:
            _refuse(waiter, GateClosedError(granted.stopped[place], BRAKED_S))
        elif call_id is None:
            _refuse(waiter, LeaseLostError("the lease was lost before the call left"))
        elif not waiter.leave.done():
            if waiter.call.probe:
                self._probes.add(call_id)
            send_by = asked_at + self._send_within_s
            waiter.leave.set_result(Ticket(call_id, send_by, self._time_limit_s))

    async def _close_day(self) -> None:
        """Let nobody claim before midnight what could not be sent before midnight."""
        try:
            await self._journal.touch(
                Effect(close_until_midnight=True, reason=DAY_SPENT), close_s=None
            )
        except DatabaseError as error:  # whoever asks next finds the day spent, and tries again
            self._tell(Noted(f"the day could not be closed: {error}", logging.WARNING))


def _refuse(waiter: _Waiter, error: Exception) -> None:
    if not waiter.leave.done():
        waiter.leave.set_exception(error)


def _asked(call: Call) -> Asked:
    return Asked(call.lane, call.claim.ref.kind if call.claim else None)


def _entry(call: Call) -> Entry:
    return Entry(
        door=call.door,
        lane=call.lane,
        operation=call.operation,
        method=call.method,
        path=call.path,
        claim=call.claim,
        writes=call.writes,
        intent=call.intent,
        intent_total=call.intent_total,
        ends=call.writes and is_ending(call.operation),
    )
