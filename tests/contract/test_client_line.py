"""Sent or not sent, over a line to an app in this process: what breaks on it, and when."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from remote_kit import START, HandClock, RecordingGate
from zohosync.clock import ScaledClock
from zohosync.core.records import NORMAL
from zohosync.core.replies import Accepted, Closed, Reply, Unreachable
from zohosync.zoho.door import (
    LAST_WORD_S,
    Answer,
    Call,
    CallEnd,
    Door,
    Heard,
    Outgoing,
    Ticket,
    in_process,
)

POST = Call("api", "things.create", "POST", "/things", NORMAL, writes=True)
DONE = Accepted("1", {})
STAGES = ["connect", "carry", "app", "bring"]


@dataclass
class Line:
    """A line and the app at its end; `trouble` is what a stage raises."""

    clock: HandClock = field(default_factory=HandClock)
    trouble: dict[str, BaseException] = field(default_factory=dict)
    slow_s: float = 0.0
    opens: bool = True
    passed: list[str] = field(default_factory=list)

    async def connect(self) -> None:
        if not self.opens:
            await asyncio.Event().wait()
        await self.clock.sleep(self.slow_s)
        self._pass("connect")

    async def carry(self) -> None:
        self._pass("carry")

    async def bring(self) -> None:
        self._pass("bring")

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self._pass("app")
        assert (await receive())["body"] == b"{}"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    def _pass(self, stage: str) -> None:
        self.passed.append(stage)
        if stage in self.trouble:
            raise self.trouble[stage]


def read(answer: Answer) -> Heard:
    assert (answer.status, answer.body) == (200, b"{}")
    return Heard(DONE)


async def crossed(line: Line, gate: RecordingGate) -> Reply:
    door = Door(gate=gate, clock=line.clock, transport=in_process(line.app, line))
    try:
        heard = await door.cross(POST, Outgoing("http://sandbox.test/things", {}, body=b"{}"), read)
    finally:
        await door.aclose()
    return heard.reply


async def test_a_quiet_line_is_passed_stage_by_stage() -> None:
    line = Line()
    gate = RecordingGate(line.clock)
    assert await crossed(line, gate) == DONE
    assert line.passed == STAGES
    assert [end.sent for end in gate.ends] == [True]


@pytest.mark.parametrize(("stage", "sent"), [("connect", False), ("carry", True), ("bring", True)])
@pytest.mark.parametrize(
    "trouble", [ConnectionRefusedError("refused"), ConnectionResetError("reset"), OSError("gone")]
)
async def test_only_what_broke_before_the_request_left_was_not_sent(
    stage: str, sent: bool, trouble: OSError
) -> None:
    line = Line(trouble={stage: trouble})
    gate = RecordingGate(line.clock)
    reply = await crossed(line, gate)
    assert isinstance(reply, Unreachable)
    assert reply.sent is sent
    assert str(trouble) in reply.message
    assert line.passed == STAGES[: STAGES.index(stage) + 1]
    assert [end.sent for end in gate.ends] == [sent]


async def test_a_line_that_opens_after_the_send_deadline_carries_nothing() -> None:
    line = Line(slow_s=2.5)
    gate = RecordingGate(line.clock, send_within_s=2.0)
    assert await crossed(line, gate) == Closed("send deadline passed", 0.0)
    assert line.passed == ["connect"]
    assert [end.sent for end in gate.ends] == [False]


@pytest.mark.parametrize(
    ("send_within_s", "reply"),
    [
        (0.01, Unreachable(False, "send deadline passed")),  # begun in time, and it does not open
        (-0.01, Closed("send deadline passed", 0.0)),  # our own lateness
    ],
)
async def test_a_line_that_never_opens_is_zohos_fault_only_if_we_were_in_time(
    send_within_s: float, reply: Reply
) -> None:
    line = Line(opens=False)
    gate = RecordingGate(line.clock, send_within_s=send_within_s)
    assert await crossed(line, gate) == reply
    assert line.passed == []
    assert [(end.reply, end.sent) for end in gate.ends] == [(reply, False)]


@pytest.mark.parametrize(("stage", "ends"), [("connect", [False]), ("carry", []), ("bring", [])])
async def test_a_call_that_is_killed_stays_open_in_the_journal_once_it_may_have_left(
    stage: str, ends: list[bool]
) -> None:
    line = Line(trouble={stage: asyncio.CancelledError()})
    gate = RecordingGate(line.clock)
    with pytest.raises(asyncio.CancelledError):
        await crossed(line, gate)
    assert [end.sent for end in gate.ends] == ends


class SilentGate(RecordingGate):
    """A gate whose database does not answer any more."""

    async def finish(self, ticket: Ticket, end: CallEnd) -> None:
        await super().finish(ticket, end)
        await asyncio.Event().wait()


async def test_a_call_that_is_killed_waits_for_a_silent_journal_not_for_long() -> None:
    clock = ScaledClock(origin=START, speed=50.0)
    line = Line(clock=HandClock())
    gate = SilentGate(clock, send_within_s=50.0, time_limit_s=100.0)
    door = Door(gate=gate, clock=clock, transport=in_process(line.app, line))
    outgoing = Outgoing("http://sandbox.test/things", {}, body=b"{}")
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        crossing = tasks.create_task(door.cross(POST, outgoing, read))
        while not gate.ends:
            await clock.sleep(0.1)
        began = clock.monotonic()
        crossing.cancel()
        await asyncio.wait([crossing])
    assert crossing.cancelled()
    assert clock.monotonic() - began >= LAST_WORD_S
    assert [end.reply for end in gate.ends] == [DONE]
    await door.aclose()
