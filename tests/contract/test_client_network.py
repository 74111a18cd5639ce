"""Sent or not sent: on real sockets, for every way in which a call can fail to get its reply."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from remote_kit import HandClock, RecordingGate
from zohosync.clock import Clock, ScaledClock, SystemClock
from zohosync.core.records import NORMAL
from zohosync.core.replies import Accepted, Closed, Found, Reply, Unreachable
from zohosync.zoho.door import BODY_LIMIT, Answer, Call, Door, Heard, Outgoing

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
POST = Call("api", "things.create", "POST", "/things", NORMAL, writes=True)
DONE = Accepted("1", {})
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def read(answer: Answer) -> Heard:
    return Heard(DONE)


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """A listening socket and what it does with each connection; gives its address."""
    tasks: set[asyncio.Task[Any] | None] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/things"
    finally:
        await turns(10)  # a connection that is half accepted gets its end too
        listening.close()
        await asyncio.gather(*[task for task in tasks if task])
        await turns(10)


async def turns(count: int) -> None:
    """Let the loop look at its sockets a few times."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        turn = loop.create_future()
        loop.call_later(0.001, turn.set_result, None)
        await turn


async def sent(
    url: str,
    *,
    clock: Clock | None = None,
    send_within_s: float = 2.0,
    time_limit_s: float = 5.0,
    headers: Mapping[str, str] | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    times: int = 1,
) -> Reply:
    """What one call over that address comes to; checks that the journal says the same."""
    clock = clock or SystemClock()
    gate = RecordingGate(clock, send_within_s=send_within_s, time_limit_s=time_limit_s)
    door = Door(gate=gate, clock=clock, transport=transport)
    try:
        for _ in range(times):
            heard = await door.cross(POST, Outgoing(url, headers or {}, body=b"{}"), read)
    finally:
        await door.aclose()
    assert len(gate.ends) == times
    assert gate.ends[-1].reply == heard.reply
    if isinstance(heard.reply, Unreachable):
        assert gate.ends[-1].sent == heard.reply.sent
    return heard.reply


def hurried(speed: float = 50.0) -> Clock:
    """A clock on which a time limit of seconds passes in a moment."""
    return ScaledClock(origin=datetime(2026, 1, 1, tzinfo=UTC), speed=speed)


def free_port() -> int:
    with socket.socket() as lent:
        lent.bind(("127.0.0.1", 0))
        return int(lent.getsockname()[1])


async def never_sent(url: str, **about: Any) -> str:
    reply = await sent(url, **about)
    if isinstance(reply, Closed):  # our own lateness: no failure of Zoho's, no attempt spent
        return reply.reason
    assert isinstance(reply, Unreachable), reply
    assert not reply.sent, reply
    return reply.message


async def maybe_sent(url: str, **about: Any) -> str:
    reply = await sent(url, **about)
    assert isinstance(reply, Unreachable), reply
    assert reply.sent, reply
    return reply.message


async def test_a_reply_is_a_reply() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n{}"):
            writer.write(OK)

    async with server(serve) as url:
        assert await sent(url, times=3) == DONE


async def test_a_refused_connection_was_not_sent() -> None:
    assert "ConnectError" in await never_sent(f"http://127.0.0.1:{free_port()}/things")


async def test_a_name_that_is_not_known_was_not_sent() -> None:
    await never_sent("http://nowhere.invalid/things")


async def test_a_door_without_encryption_was_not_sent_through() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with server(serve) as url:
        await never_sent(url.replace("http:", "https:"))


async def test_a_handshake_that_never_ends_was_not_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(serve) as url:
        message = await never_sent(url.replace("http:", "https:"), clock=hurried(), time_limit_s=60)
        assert message == "send deadline passed"


async def test_a_handshake_that_never_ends_is_no_lateness_of_ours() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    late = Unreachable(False, "send deadline passed")
    async with server(serve) as url:
        assert await sent(url.replace("http:", "https:"), send_within_s=0.1) == late


async def test_a_process_that_is_late_before_it_connects_blames_nobody() -> None:
    reached: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(1)

    async with server(serve) as url:
        for address in (url, url.replace("http:", "https:")):
            reply = await sent(address, send_within_s=-0.001)
            assert reply == Closed("send deadline passed", 0.0)
    assert reached == []


@pytest.mark.parametrize("url", ["http://[::1", "nonsense", "http://x.example:99999/", "ftp://x/"])
async def test_an_address_that_is_none_was_not_sent(url: str) -> None:
    await never_sent(url)


async def test_headers_that_break_the_rules_were_not_sent_and_are_not_shown() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert not await reader.read()

    async with server(serve) as url:
        message = await never_sent(url, headers={"authorization": "Zoho-oauthtoken s3cret\n"})
        assert "s3cret" not in message


async def test_too_late_is_not_sent_even_over_an_open_connection() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
            if line == b"\r\n":
                writer.write(OK)

    async with server(serve) as url:
        assert await never_sent(url, send_within_s=-0.001) == "send deadline passed"
        assert heard == []


async def test_a_process_that_froze_past_its_deadline_sends_nothing_when_it_wakes() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))

    class Frozen(HandClock):
        def monotonic(self) -> float:
            self.moment_s += 1.5  # time leaps between any two looks
            return self.moment_s

    async with server(serve) as url:
        assert await never_sent(url, clock=Frozen()) == "send deadline passed"
    assert [data for data in heard if data] == []


async def test_a_connection_closed_after_the_request_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")

    async with server(serve) as url:
        assert "RemoteProtocolError" in await maybe_sent(url)


async def test_a_connection_closed_before_the_request_was_read_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        return

    async with server(serve) as url:
        await maybe_sent(url)


async def test_a_reset_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    async with server(serve) as url:
        await maybe_sent(url)


async def test_silence_ends_at_the_time_limit_and_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(serve) as url:
        assert await maybe_sent(url, clock=hurried()) == "no whole reply in time"


async def test_a_reply_that_trickles_ends_at_the_time_limit() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 1000000\r\n\r\n{")
        await reader.read()

    async with server(serve) as url:
        assert await maybe_sent(url, clock=hurried()) == "no whole reply in time"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{}",
        b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\x00" * 200_000,
    ],
    ids=["cut", "cut-chunk", "no-gzip", "no-http", "noise"],
)
async def test_half_a_reply_is_none(reply: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(reply)

    async with server(serve) as url:
        await maybe_sent(url)


async def test_a_reply_without_end_is_not_kept() -> None:
    answers: list[Answer] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    def keep(answer: Answer) -> Heard:
        answers.append(answer)
        return Heard(Found(()))

    async with server(serve) as url:
        clock = SystemClock()
        door = Door(gate=RecordingGate(clock), clock=clock)
        await door.cross(POST, Outgoing(url, {}, body=b"{}"), keep)
        await door.aclose()
    (answer,) = answers
    assert (answer.whole, answer.body) == (False, b"")
    assert BODY_LIMIT < 10_000_000


async def test_a_redirect_is_not_followed() -> None:
    seen: list[Answer] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n")

    def keep(answer: Answer) -> Heard:
        seen.append(answer)
        return Heard(DONE)

    async with server(serve) as url:
        clock = SystemClock()
        door = Door(gate=RecordingGate(clock), clock=clock)
        await door.cross(POST, Outgoing(url, {}, body=b"{}"), keep)
        await door.aclose()
    assert [answer.status for answer in seen] == [302]


async def test_a_cookie_is_not_kept() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n{}"))
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: a=b; path=/\r\n\r\n"))

    async with server(serve) as url:
        assert await sent(url, times=2) == DONE
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


async def test_a_cancelled_call_that_did_not_leave_is_ended_in_the_journal() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(serve) as url:
        for address, ended in ((url.replace("http:", "https:"), True), (url, False)):
            clock = SystemClock()
            gate = RecordingGate(clock)
            door = Door(gate=gate, clock=clock)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await door.cross(POST, Outgoing(address, {}, body=b"{}"), read)
            await door.aclose()
            assert [end.sent for end in gate.ends] == ([False] if ended else [])
            assert all(isinstance(end.reply, Closed) for end in gate.ends)
