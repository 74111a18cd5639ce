"""A webhook on a socket, and one process's alerts over a book of its own, for the tests."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import simplejson

from zohosync.clock import Clock
from zohosync.core.alerts import Alert
from zohosync.core.options import Secret
from zohosync.engine.alerts import Alerts, Channels, manners_of
from zohosync.events import Event, Noted
from zohosync.store.alerts import AlertBook
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock

CANARY = "canary-5f2a-password"
BOOK = """
insert into zohosync.organizations (org_id, data_center, mode, time_zone, active, kinds)
values ('1', 'us', 'sandbox', 'Africa/Johannesburg', true, '{customers,invoices,payments}');
insert into zohosync.workers (worker, org_id, host, pid, version, started_at)
values ('w1', '1', 'h', 1, '0', zohosync.current_time() - interval '9 days');
"""


@dataclass
class Inbox:
    """A webhook on a socket: what it was sent; it answers `status`."""

    port: int = 0
    status: int = 200
    messages: list[dict[str, Any]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"json://user:{CANARY}@127.0.0.1:{self.port}/hook/{CANARY}"

    @property
    def titles(self) -> list[str]:
        return [str(message["title"]).removeprefix("zohosync: ") for message in self.messages]


@contextmanager
def inbox() -> Iterator[Inbox]:
    box = Inbox()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if box.status < 300:
                box.messages.append(simplejson.loads(body))
            self._answer()

        def do_GET(self) -> None:
            box.fetched.append(self.path)
            self._answer()

        def _answer(self) -> None:
            self.send_response(box.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        box.port = server.server_port
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield box
        finally:
            server.shutdown()
            serving.join()


@dataclass
class Desk:
    """One process's alerts, and what it told the log."""

    database: Database
    clock: Clock
    alerts: Alerts
    book: AlertBook
    events: list[Event]

    @property
    def logged(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Noted)]

    async def sql(self, text: str) -> list[dict[str, Any]]:
        async with self.database.transaction() as transaction:
            return await transaction.fetch_sql(text)

    async def do(self, text: str) -> None:
        async with self.database.transaction() as transaction:
            await transaction.execute_sql(text)

    async def fail(self, kind: str, first: int, last: int, *, name: str = "email") -> None:
        await self.do(
            "insert into zohosync.records (org_id, kind, key, status, error_class, error_field, "
            f"error_message, settled_at) select '1', '{kind}', n, 'failed', 'validation', '{name}',"
            f" 'bad {name} of ann@example.com', zohosync.current_time() from "
            f"generate_series({first}, {last}) n"
        )

    async def standing(self) -> dict[str, Alert]:
        books = await self.book.books()
        assert books is not None
        return {alert.fingerprint: alert for alert in books.alerts if alert.stands}


def process(
    database: Database,
    clock: Clock,
    *,
    channels: str = "",
    worker: str = "w1",
    quiet: tuple[str, str] | None = None,
    threshold: int = 1,
) -> Desk:
    events: list[Event] = []
    book = AlertBook(database, "1")
    begins, ends = quiet or (None, None)
    alerts = Alerts(
        book, Channels.of(Secret(channels)), worker=worker, clock=clock, tell=events.append,
        manners=manners_of(threshold, begins, ends),
    )  # fmt: skip
    return Desk(database, clock, alerts, book, events)


@asynccontextmanager
async def virtual(url: str) -> AsyncIterator[tuple[Database, VirtualClock]]:
    """A book in virtual time, which begins at 08:00 of its time zone."""
    clock = VirtualClock()
    database = await Database.open(url, now=clock.now)
    async with database.transaction() as transaction:
        await transaction.execute_sql(BOOK)
    yield database, clock
    await database.close()


async def later(desk: Desk, seconds: float) -> None:
    """Time passes; the worker says that it lives."""
    await desk.clock.sleep(seconds)
    await desk.do("update zohosync.workers set heartbeat_at = zohosync.current_time()")
