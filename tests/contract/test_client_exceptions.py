"""Every exception of the network library is told apart by whether the request had left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpcore2
import httpx2
import pytest

from contract.test_client_network import maybe_sent, never_sent, sent
from remote_kit import found_ids, line
from zohosync.clock import Chance, SystemClock
from zohosync.core.records import NORMAL
from zohosync.core.replies import Accepted, Unreachable
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits, serving
from zohosync.zoho.door import Call

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
POST = Call("api", "things.create", "POST", "/things", NORMAL, writes=True)
DONE = Accepted("1", {})
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Raising(httpx2.AsyncHTTPTransport):
    """A transport that raises, before or after the moment at which the request leaves."""

    def __init__(self, error: Exception, *, left: bool) -> None:
        super().__init__(verify=False)
        self.error = error
        self.left = left

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.left:
            core = httpcore2.Request("POST", "http://x.test/things")
            await request.extensions["trace"](
                "http11.send_request_headers.started", {"request": core}
            )
        raise self.error


def every_exception(module: Any) -> list[type[Exception]]:
    found = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception)
        if not issubclass(value, Warning)
    }
    return sorted(found, key=lambda each: each.__name__)


def raised(kind: type[Exception]) -> Exception:
    """An instance, whatever its signature wants."""
    for arguments in (("x",), ()):
        try:
            return kind(*arguments)
        except TypeError:
            continue
    request = httpx2.Request("POST", "http://x.test")
    return httpx2.HTTPStatusError("x", request=request, response=httpx2.Response(500))


EXCEPTIONS = [*every_exception(httpx2), *every_exception(httpcore2), OSError, RuntimeError]


@pytest.mark.parametrize("left", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
async def test_every_exception_is_told_apart_by_whether_the_request_had_left(
    kind: type[Exception], left: bool
) -> None:
    reply = await sent("http://x.test/things", transport=Raising(raised(kind), left=left))
    assert isinstance(reply, Unreachable)
    assert reply.sent == left
    assert reply.message


async def test_in_process_the_deadline_is_looked_at_right_before_the_app_is_called() -> None:
    called: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope["path"])
        raise ConnectionResetError("dropped")

    transport = httpx2.ASGITransport(app)
    url = "http://x.test/things"
    assert "dropped" in await maybe_sent(url, transport=transport)
    assert await never_sent(url, transport=transport, send_within_s=-1.0) == "send deadline passed"
    assert called == ["/things"]


@pytest.mark.parametrize("what", ["reset", "lost_reply", "late_commit"])
async def test_over_a_socket_the_sandbox_loses_replies_as_a_network_does(what: str) -> None:
    clock = SystemClock()
    sandbox = Sandbox(clock=clock, chance=Chance(1), limits=SandboxLimits.lifted())
    ann = {"display_name": "Ann", "email": "ann@x.example"}
    async with serving(sandbox) as address, line(sandbox=sandbox, base=address, clock=clock) as on:
        await on.remote.probe()
        sandbox.set_faults(Faults([Fault(what, "POST /customers")]))
        reply = await on.create("customers", ann)
        assert isinstance(reply, Unreachable)
        assert reply.sent
        sandbox.wire.catch_up()
        there = len(sandbox.ledger.records("customers"))
        assert there == (0 if what == "reset" else 1)
        found = await on.find("customers", ann)
        assert len(found_ids(found)) == there
