"""A worker's doors: /healthz, /readyz and what else is mounted, served beside its work."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import simplejson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zohosync.bootstrap import Project
from zohosync.clock import Clock
from zohosync.core.causes import ALIVE_S
from zohosync.core.health import Verdict, judge_readiness
from zohosync.errors import DatabaseError, SchemaError, SettingsError
from zohosync.store.health import Vitals
from zohosync.store.migrate import verify

REUSE_S = 1.0
"""How long an answer serves: whoever asks more often costs the database nothing."""

ANSWER_S = 5.0
"""How long a page may take; a prober waits no longer."""

AWAY = "the database does not answer as it should; the worker's log says more"
"""All that a page says of it: its own words may name hosts, users and rows."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""What Prometheus asks of a page of metrics."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its status, its body, and what kind of text that is."""

    status: int
    body: str
    content_type: str = "application/json"


Answer = Callable[[], Awaitable[Page]]
Text = Callable[[], Awaitable[str]]


def listen(where: str) -> socket.socket:
    """A socket that listens there (HOST:PORT; port 0: any free one).

    Raises SettingsError when the port is in use, not ours to take, or the host is not here.
    """
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        raise SettingsError(
            f"Nothing can be served at {where}: {error.strerror or error}",
            place="worker.http, or --http",
            next_step="choose another port, or end what listens there",
        ) from None


def pages_of(
    project: Project,
    stop: asyncio.Event,
    *,
    clock: Clock,
    texts: Mapping[str, Text] | None = None,
) -> dict[str, Answer]:
    """The pages of a project's worker by their path; `texts` are others, which give plain text."""
    doors = _Doors(project, stop, clock)
    pages: dict[str, Answer] = {"/healthz": doors.alive, "/readyz": doors.ready}
    for path, text in (texts or {}).items():
        pages[path] = _as_page(text)
    return pages


class _Doors:
    """What one worker says of itself."""

    def __init__(self, project: Project, stop: asyncio.Event, clock: Clock) -> None:
        self._database = project.database
        self._vitals = Vitals(project.database, project.org_id)
        self._worker = project.worker
        self._mapped = tuple(project.settings.kinds)
        self._clock = clock
        self._began_s = self._clock.monotonic()
        self._stop = stop

    async def alive(self) -> Page:
        """Whether this process works: it says so to the database, or waits for one that is away.

        A database that is away is no reason to start the process again: it waits by itself.
        """
        told: dict[str, object] = {"worker": self._worker, "version": version("zohosync")}
        try:
            async with self._clock.timeout(ANSWER_S):
                seen_s = await self._vitals.seen_s(self._worker)
        except (DatabaseError, TimeoutError):
            return _json({"alive": True, **told, "heartbeat_s": None, "database": "away"})
        fresh = seen_s is not None and seen_s < ALIVE_S
        starting = seen_s is None and self._clock.monotonic() - self._began_s < ALIVE_S
        alive = fresh or starting
        shown = None if seen_s is None else round(seen_s, 1)
        told |= {"heartbeat_s": shown, "database": "there"}
        return _json({"alive": alive, **told}, 200 if alive else 503)

    async def ready(self) -> Page:
        """Whether records can be brought into step now: database, schema, organisation."""
        if self._stop.is_set():
            return _not_ready("worker", "it is stopping")
        try:
            async with self._clock.timeout(ANSWER_S):
                await verify(self._database)
                organization = await self._vitals.organization()
        except SchemaError as error:
            return _not_ready("schema", error.what)
        except (DatabaseError, TimeoutError):
            return _not_ready("database", AWAY)
        if organization is None:
            return _not_ready("organisation", "its row is gone")
        check = judge_readiness(organization, self._mapped)
        if check.verdict is Verdict.FAIL:
            return _not_ready("organisation", check.words)
        return _json({"ready": True, "organisation": check.words})


def _json(value: Mapping[str, object], status: int = 200) -> Page:
    return Page(status, simplejson.dumps(value))


def _not_ready(what: str, why: str) -> Page:
    return _json({"ready": False, "what": what, "why": why}, 503)


def _as_page(text: Text) -> Answer:
    async def answer() -> Page:
        return Page(200, await text(), TEXT)

    return answer


@asynccontextmanager
async def serving(
    listener: socket.socket, pages: Mapping[str, Answer], *, clock: Clock
) -> AsyncIterator[str]:
    """Serve these pages while the block runs; gives the address. What they do not know is 404."""
    routes = [Route(path, _Kept(answer, clock).endpoint) for path, answer in pages.items()]
    config = uvicorn.Config(
        Starlette(routes=routes), ws="none", lifespan="off", log_level="warning",
        access_log=False, server_header=False, timeout_graceful_shutdown=1, limit_concurrency=64,
    )  # fmt: skip
    server = _QuietServer(config)
    host, port = listener.getsockname()[:2]
    raised: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
        except Exception as error:  # noqa: BLE001 - it leaves as it is, not in a group
            raised = error
        finally:
            server.should_exit = True
    if raised is not None:
        raise raised


class _Kept:
    """A page that is made once for all who ask within REUSE_S."""

    def __init__(self, answer: Answer, clock: Clock) -> None:
        self._answer = answer
        self._clock = clock
        self._turn = asyncio.Lock()
        self._page: Page | None = None
        self._until_s = 0.0

    async def endpoint(self, request: Request) -> Response:
        """As Starlette calls it; no error leaves it, and none tells where the database is."""
        del request
        try:
            async with self._clock.timeout(2 * ANSWER_S), self._turn:
                if self._page is None or self._clock.monotonic() >= self._until_s:
                    self._page = await self._answer()
                    self._until_s = self._clock.monotonic() + REUSE_S
                page = self._page
        except DatabaseError:
            page = _json({"error": AWAY}, 503)
        except TimeoutError:
            page = _json({"error": "no answer in time"}, 503)
        except Exception as error:  # noqa: BLE001 - a page that fails must not end the worker
            page = _json({"error": f"a bug: {type(error).__name__}"}, 500)
        headers = {"content-type": page.content_type, "cache-control": "no-store"}
        return Response(page.body, page.status, headers)


class _QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the worker."""
        yield
