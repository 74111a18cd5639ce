"""Tells people of trouble: looks, writes notices down, and sends them through their channels.

Theory of operation. `core/alerts.py` decides what is told; the decision, and the notices that
follow from it, are written in one transaction by one process at a time, so a state is told once
whatever else is running or dies. A notice is claimed before it is sent and settled afterwards; a
channel that refuses is tried again with growing pauses. Sending runs in threads (the library is
synchronous), is looked after in the keeper's rounds, and holds up nothing.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from zohosync.clock import Clock
from zohosync.core.alerts import (
    Decision,
    Manners,
    Notice,
    channel_urls,
    decide,
    quiet_of,
    retry_in_s,
)
from zohosync.core.causes import causes_of
from zohosync.core.options import Secret
from zohosync.errors import DatabaseError, ZohosyncError
from zohosync.events import Listener, Noted
from zohosync.store.alerts import AlertBook, Books, Sending

GLANCE_S = 10.0
"""How often a process looks whether something grave has come or gone: one small query."""

LOG = "log"
"""The channel that is always there."""

SEND_S = 20.0
"""How long a channel may take; then it counts as refused."""

GRACE_S = 1.0
"""How long a round waits for a notice that it sent, so that it is settled at once: most are."""

BUSY_S = 5.0
"""When it is looked again after another process was found looking."""


def send(url: str, notice: Notice) -> str | None:
    """Send one notice to one channel; blocks. Returns why it was not taken, None when it was."""
    import apprise  # noqa: PLC0415 - takes most of a second, and most processes never send

    _quiet("apprise", "urllib3")
    asset = apprise.AppriseAsset(app_id="zohosync", app_desc="zohosync", async_mode=False)
    channel = apprise.Apprise(asset=asset)
    if not channel.add(url):
        return "it is no address of a channel that is known"
    kind = apprise.NotifyType.WARNING
    if notice.good:
        kind = apprise.NotifyType.SUCCESS
    elif notice.grave:
        kind = apprise.NotifyType.FAILURE
    taken = channel.notify(
        body=notice.body, title=f"zohosync: {notice.title}", notify_type=kind,
        body_format=apprise.NotifyFormat.TEXT,
    )  # fmt: skip
    return None if taken else _reason(taken)


def _quiet(*names: str) -> None:
    """Keep to themselves those whose lines hold an address, which is a secret here."""
    for name in names:
        logging.getLogger(name).propagate = False


def is_address(url: str) -> bool:
    """Whether it is one of a channel that is known; asks nobody, and keeps it out of the log."""
    import apprise  # noqa: PLC0415 - takes most of a second

    log = logging.getLogger("apprise")
    log.disabled = True
    try:
        return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None
    finally:
        log.disabled = False


def _reason(result: object) -> str:
    """Why a send failed, as far as it can be said without quoting what may hold a secret."""
    lines = [
        str(entry.message)
        for service in getattr(result, "__iter__", list)()
        for attempt in service
        for entry in attempt
    ]
    text = " ".join(lines)
    if code := re.search(r"\berror=(\d{3})\b", text):
        return f"it answered {code[1]}"
    if re.search(r"connection|socket|timed? ?out", text, re.IGNORECASE):
        return "it cannot be reached"
    return "it refused the message"


def in_thread(work: Callable[[], str | None]) -> "asyncio.Future[str | None]":
    """Run `work` in a thread of its own, which no end of ours waits for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str | None] = loop.create_future()

    def set_result(result: str | None) -> None:
        if not future.done():
            future.set_result(result)

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - its text may hold the address
            result = f"it failed ({type(error).__name__})"
        if not loop.is_closed():
            loop.call_soon_threadsafe(set_result, result)

    threading.Thread(target=run, name="zohosync-alert", daemon=True).start()
    return future


@dataclass(frozen=True, slots=True)
class Channels:
    """Where alerts go besides the log: addresses by the names that may be shown."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, secret: Secret) -> "Channels":
        """The channels of the settings."""
        return cls(channel_urls(secret.reveal()))

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return list(self.urls)

    def start(
        self, names: Sequence[str], notice: Notice
    ) -> "dict[str, asyncio.Future[str | None]]":
        """Begin to send to these; each future brings why it was not taken."""

        def work(url: str) -> Callable[[], str | None]:
            return lambda: send(url, notice)

        return {name: in_thread(work(self.urls[name])) for name in names}

    async def deliver(self, notice: Notice, clock: Clock) -> dict[str, str | None]:
        """Send to all and wait, for SEND_S at the most; why each did not take it."""
        flying = self.start(self.names, notice)
        await wait_for(flying, clock)
        return {name: outcome(future) for name, future in flying.items()}


async def wait_for(
    flying: "Mapping[str, asyncio.Future[str | None]]", clock: Clock, limit_s: float = SEND_S
) -> None:
    """Return when all have come back, after `limit_s` at the latest."""
    try:
        async with clock.timeout(limit_s):
            for future in flying.values():
                await asyncio.shield(future)
    except TimeoutError:
        pass


def outcome(future: "asyncio.Future[str | None]") -> str | None:
    """Why it was not taken."""
    return future.result() if future.done() else f"it did not answer within {SEND_S:.0f} s"


@dataclass(slots=True)
class _Flight:
    """A notice on its way."""

    sending: Sending
    flying: "dict[str, asyncio.Future[str | None]]"
    until_s: float

    @property
    def landed(self) -> bool:
        return all(future.done() for future in self.flying.values())


class Alerts:
    """The alerts of one organisation, as one process sees to them."""

    def __init__(
        self,
        book: AlertBook,
        channels: Channels,
        *,
        worker: str,
        clock: Clock,
        tell: Listener,
        manners: Callable[[Books], Manners],
    ) -> None:
        """`worker` names this process; `manners` are the settings, with the mutes of the books."""
        self._book = book
        self._channels = channels
        self._worker = worker
        self._clock = clock
        self._tell = tell
        self._manners = manners
        self._signs: tuple[object, ...] | None = None
        self._glance_at_s = clock.monotonic()
        self._look_at_s: float | None = None
        self._flight: _Flight | None = None
        self._refused: dict[str, str] = {}
        self._names = [LOG, *channels.names]

    async def round(self) -> None:
        """What every process does every few seconds; waits for hardly anything but the database.

        A look when something grave may have come or gone, or when the last look said so; and a step
        of sending. Raises DatabaseError.
        """
        await self._send()
        now_s = self._clock.monotonic()
        if now_s < self._glance_at_s:
            return
        self._glance_at_s = now_s + GLANCE_S
        glance = await self._book.glance(self._names)
        if glance is None:
            return
        news = glance.notices
        due = self._look_at_s is not None and now_s >= self._look_at_s
        if due or glance.signs != self._signs:
            decision = await self.look()
            if decision is not None:
                self._signs = glance.signs
                news = news or bool(decision.notices)
        if news:
            await self._send(more=True)

    async def look(self) -> Decision | None:
        """Judge all causes now, and write down and log what is told; None: somebody else does.

        Raises DatabaseError.
        """

        def judge(books: Books) -> Decision:
            return decide(
                causes_of(books.facts), books.alerts, self._manners(books), books.facts.now
            )

        found = await self._book.look(judge, self._names)
        if found is None:
            self._look_at_s = self._clock.monotonic() + BUSY_S
            return None
        decision, now = found
        self._look_at_s = None
        if decision.again_at is not None:
            wait_s = (decision.again_at - now).total_seconds()
            self._look_at_s = self._clock.monotonic() + max(1.0, wait_s)
        return decision

    async def job(self) -> str | None:
        """The regular look: judge, send what there is to send, tidy up. Raises DatabaseError.

        Takes SEND_S and a little at the most where a channel does not answer.
        """
        decision = await self.look()
        await self._book.prune()
        await self._send(more=True)
        while self._flight is not None:
            await wait_for(self._flight.flying, self._clock)
            await self._send(late=True)
        return f"{len(decision.notices)} notices" if decision and decision.notices else None

    async def _send(self, *, more: bool = False, late: bool = False) -> None:
        """Settle the notice on its way once it has landed; then, or with `more`, send the next.

        `late`: it has had its time, and where it was refused no other one is tried now. Where the
        database is away it stays ours until another round.
        """
        while self._flight is not None or more:
            if self._flight is None:
                sending = await self._book.take(self._names, self._worker)
                if sending is None:
                    return
                self._flight = self._depart(sending)
                await wait_for(self._flight.flying, self._clock, GRACE_S)
            flight = self._flight
            if not (flight.landed or late or self._clock.monotonic() >= flight.until_s):
                return
            refused = await self._settle(flight)
            self._flight, more, late = None, not (late and refused), False

    def _depart(self, sending: Sending) -> _Flight:
        """Begin to send a notice; the log has it at once."""
        notice = Notice(sending.title, sending.body, (), sending.grave, sending.good)
        if LOG in sending.pending:
            self._tell(Noted(logged(notice), logging.INFO if notice.good else logging.WARNING))
        ours = [name for name in sending.pending if name in self._channels.urls]
        until_s = self._clock.monotonic() + SEND_S
        return _Flight(sending, self._channels.start(ours, notice), until_s)

    async def _settle(self, flight: _Flight) -> bool:
        """Write down who took the notice; tell of a channel that refuses, once. Whether one did."""
        outcomes = {name: outcome(future) for name, future in flight.flying.items()}
        taken = [LOG, *(name for name, why in outcomes.items() if why is None)]
        refused = {name: why for name, why in outcomes.items() if why is not None}
        error = "; ".join(f"{name}: {why}" for name, why in refused.items()) or None
        retry_s = retry_in_s(flight.sending.tries) if refused else 0.0
        await self._book.settle(flight.sending, self._worker, taken, error, retry_s)
        for name in taken:
            self._refused.pop(name, None)
        for name, why in refused.items():
            if self._refused.get(name) != why:
                self._tell(
                    Noted(
                        f"alerts: {name} does not take notices: {why}; tried again by itself "
                        "(zohosync alerts test)",
                        logging.WARNING,
                    )
                )
            self._refused[name] = why
        return bool(refused)


def logged(notice: Notice) -> str:
    """A notice as one line of the log."""
    return f"alert: {notice.title}: {' '.join(notice.body.split())}"


def watched(
    book: AlertBook, name: str, run: Callable[[], Awaitable[str | None]]
) -> Callable[[], Awaitable[str | None]]:
    """The job, whose failures are an alert, and whose next success ends that.

    Raises what the job raises.
    """

    async def watching() -> str | None:
        try:
            done = await run()
        except DatabaseError:  # nothing can be written down: whoever looks at the database tells
            raise
        except Exception as error:
            await book.report(f"job/{name}", failure_words(error))
            raise
        await book.report(f"job/{name}", None)
        return done

    return watching


def failure_words(error: Exception) -> str:
    """What a failure is called: our own errors hold no secret, of others only the name is told."""
    return str(error) if isinstance(error, ZohosyncError) else type(error).__name__


class Heartbeat:
    """Fetches the address of a dead-man's switch, for as long as there is a heart that beats."""

    def __init__(
        self, fetch: Callable[[], Awaitable[str | None]], book: AlertBook, tell: Listener
    ) -> None:
        """`fetch` returns why it failed, in words without a secret."""
        self._fetch = fetch
        self._book = book
        self._tell = tell

    async def beat(self) -> str | None:
        """Fetch it if the database answers. A failure is told once, until it works again.

        Raises DatabaseError, and fetches nothing then.
        """
        if await self._book.glance(()) is None:
            return None
        why = await self._fetch()
        news = await self._book.report("heartbeat", why)
        if news and why is not None:
            self._tell(Noted(f"the dead-man's switch cannot be reached: {why}", logging.WARNING))
        return None


def manners_of(
    threshold: int, quiet_from: str | None, quiet_to: str | None
) -> Callable[[Books], Manners]:
    """How people want to be told, in the organisation's time zone as the database has it."""

    def manners(books: Books) -> Manners:
        zone = ZoneInfo(books.facts.organization["time_zone"])
        return Manners(zone, threshold, quiet_of(quiet_from, quiet_to, zone), books.mutes)

    return manners
