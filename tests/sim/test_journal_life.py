"""Journal and governor, driven at random beside a remote that would cry at every crossed limit."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import psycopg
import pytest
import simplejson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from sim.journal_model import MINT_LATEST, RemoteModel, Sent
from zohosync.core.governor import (
    DOWN_AFTER,
    Effect,
    JournalView,
    Limits,
    Verdict,
    admit,
    mint_limits,
)
from zohosync.core.kinds import MAPPED
from zohosync.core.lanes import Books, Choice, in_line
from zohosync.store.database import Database
from zohosync.store.journal import Ending, Entry, Journal
from zohosync.store.organizations import register_organization

ZONE = "Europe/Berlin"
TIME_LIMIT_S = 15.0
READ = Entry("api", 5, "customers.list", "GET", "/customers")
MINT = Entry("accounts", 10, "token", "POST", "/oauth/v2/token")
BEGINS = st.sampled_from(
    [
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        datetime(2026, 3, 28, 22, 58, 30, tzinfo=UTC),  # a day of 23 hours begins soon
        datetime(2026, 10, 25, 22, 58, 30, tzinfo=UTC),  # and one of 25 hours ends
    ]
)
LIMITS = st.sampled_from(
    [
        Limits(per_minute=6, in_flight=3, per_day=None),
        Limits(per_minute=8, in_flight=9, per_day=None, per_second=2),
        Limits(per_minute=None, in_flight=4, per_day=12),
        Limits(per_minute=6, in_flight=4, per_day=20, per_second=3, mints=4),
        Limits(per_minute=None, in_flight=9, per_day=9, mints=3),
    ]
)
CLEAN = """
truncate zohosync.api_calls;
update zohosync.organizations set paused = null, closed_until = null, closed_reason = null,
       mints_closed_until = null, overloads = 0, day = null, day_calls = 0, day_by_lane = '{}'
"""
T = TypeVar("T")


@dataclass
class Ground:
    """A database in virtual time; its clock may be set back against the true one."""

    runner: asyncio.Runner
    plain: psycopg.Connection
    at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    behind: timedelta = timedelta(0)
    database: Database = field(init=False)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.get_loop().run_until_complete(work)

    async def open(self, url: str) -> None:
        self.database = await Database.open(url, now=lambda: self.at - self.behind)
        await register_organization(
            self.database,
            org_id="1",
            data_center="eu",
            mode="sandbox",
            time_zone=ZONE,
            currency=None,
            limits=Limits(None, None, None),
            kinds=MAPPED,
        )


class JournalLife(RuleBasedStateMachine):
    """Three processes that ask for calls, end some, lose others, and are blocked at times."""

    ground: Ground
    remote: RemoteModel
    limits: Limits

    def __init__(self) -> None:
        super().__init__()
        ground = self.ground
        self.journals = [
            Journal(
                ground.database,
                org_id="1",
                worker=f"w{number}",
                time_limit_s=TIME_LIMIT_S,
                mint_key="client",
            )
            for number in range(3)
        ]
        self.flying: list[Sent] = []

    @initialize(limits=LIMITS, at=BEGINS)
    def begin(self, limits: Limits, at: datetime) -> None:
        self.ground.at, self.ground.behind = at, timedelta(0)
        self.ground.plain.execute(CLEAN.encode())
        told = simplejson.dumps(asdict(limits))
        self.ground.plain.execute("update zohosync.organizations set limits = %s", [told])
        self.limits, self.remote = limits, RemoteModel(limits, ZoneInfo(ZONE))

    def ask(self, who: int, entries: list[Entry], *, probe: bool = False) -> Verdict:
        """Ask for calls; let go what is granted, and hear whether the remote may cry."""
        mints = entries[0].door == "accounts"
        limits = mint_limits(self.limits) if mints else self.limits

        verdicts = []

        def decide(view: JournalView, books: Books, told: Limits) -> Choice:
            del books
            assert told == self.limits
            verdicts.append(admit(view, limits, len(entries), probe=probe))
            return in_line(verdicts[0])

        granted = self.ground.run(self.journals[who].admit(entries, decide))
        now, verdict = self.ground.at, verdicts[0]
        latest = MINT_LATEST if mints else timedelta(seconds=TIME_LIMIT_S)
        sent = [Sent(each, now, now + latest, mints) for each in granted.call_ids.values()]
        assert len(sent) == verdict.granted
        self.flying += sent
        self.remote.calls += sent
        if sent and not mints:
            shut = self.remote.closed_until
            assert shut is None or shut <= now - self.ground.behind, "a block cost another call"
            assert not list(self.remote.cries(now))
        assert not list(self.remote.cries_of_mints(now))
        return verdict

    @rule(who=st.integers(0, 2), wanted=st.sampled_from([1, 2, 5, 9]))
    def a_process_asks(self, who: int, wanted: int) -> None:
        self.ask(who, [READ] * wanted)

    @rule(
        who=st.integers(0, 2), rounds=st.integers(1, 12), step_s=st.sampled_from([0.3, 4.0, 20.0])
    )
    def a_process_keeps_asking(self, who: int, rounds: int, step_s: float) -> None:
        """As a busy worker does; every other call is answered in time."""
        for _ in range(rounds):
            self.ask(who, [READ, READ])
            self.time_passes(step_s)
            self.calls_end(1, left=True)

    @rule(who=st.integers(0, 2), rounds=st.integers(2, 8), slow_s=st.sampled_from([10.0, 14.0]))
    def the_remote_is_slow(self, who: int, rounds: int, slow_s: float) -> None:
        """As many calls as may be, and each of them takes long."""
        for _ in range(rounds):
            self.ask(who, [READ] * 9)
            self.time_passes(slow_s)
            self.calls_end(9, left=True)

    @rule(
        who=st.integers(0, 2),
        before=st.integers(1, 9),
        ended=st.booleans(),
        after_s=st.sampled_from([41.0, 15.0]),
    )
    def midnight_comes_while_calls_are_under_way(
        self, who: int, before: int, ended: bool, after_s: float
    ) -> None:
        self.midnight_comes(-45.0)
        for wait_s in (35.0, after_s):
            self.ask(who, [READ] * before)
            if ended:
                self.calls_end(before, left=True)
            self.time_passes(wait_s)
        self.ask(who, [READ] * 20)

    @rule(who=st.integers(0, 2), until_end=st.booleans())
    def a_process_asks_again_when_it_is_told_to(self, who: int, until_end: bool) -> None:
        """No later than needed: once the tight limit has room, a call may leave."""
        verdict = self.ask(who, [READ])
        for _ in range(6):
            if verdict.granted or verdict.not_before is None or verdict.reason == "down":
                return
            now = self.ground.at - self.ground.behind
            assert verdict.not_before > now
            if verdict.closed and not until_end:
                return
            self.time_passes((verdict.not_before - now).total_seconds())
            verdict = self.ask(who, [READ])
        assert verdict.granted, f"told to wait again and again: {verdict}"

    @rule(
        who=st.integers(0, 2),
        wanted=st.integers(1, 4),
        lost=st.booleans(),
        again_s=st.sampled_from([1.0, 601.0, 620.0]),
    )
    def a_process_mints(self, who: int, wanted: int, lost: bool, again_s: float) -> None:
        for _ in range(2):
            self.ask(who, [MINT] * wanted)
            if not lost:
                self.calls_end(wanted, left=True)
            self.time_passes(again_s)

    @rule(some=st.integers(1, 4), left=st.sampled_from([True, True, True, False]))
    def calls_end(self, some: int, left: bool) -> None:
        """The latest calls are answered; or not one byte of them had left."""
        ended, self.flying = self.flying[-some:], self.flying[:-some]
        if ended:
            ends = [Ending(each.call_id, left, 200, "0", "done", 1.0) for each in ended]
            self.ground.run(self.journals[0].finish(ends))
            again = [Ending(each.call_id, False, None, None, "x", 1.0) for each in ended]
            self.ground.run(self.journals[1].finish(again))  # a second end changes nothing
        for each in ended:
            self.remote.end(each, self.ground.at, left=left)

    @rule()
    def processes_are_killed(self) -> None:
        """What is under way is never ended in the journal, though the remote may see it."""
        self.flying.clear()

    @rule(who=st.integers(0, 2), close_s=st.sampled_from([60.0, 600.0, None]))
    def the_remote_blocks(self, who: int, close_s: float | None) -> None:
        """Until the end of the block nobody may call, whatever a call under way hears later."""
        for seconds in (close_s, 5.0):
            self.hears_of_a_block(seconds)
            self.ask(who, [READ])
        self.time_passes(10.0)
        self.ask(who, [READ])
        if close_s is None:
            self.midnight_comes(1.0)
            self.ask(who, [READ])

    def hears_of_a_block(self, close_s: float | None) -> None:
        """For so many seconds, or until the day ends."""
        effect = Effect(reason="blocked", close_until_midnight=close_s is None)
        self.ground.run(self.journals[0].touch(effect, close_s=close_s))
        now = self.ground.at - self.ground.behind
        if close_s is None:
            zone = self.remote.zone
            day = (now - timedelta(seconds=30)).astimezone(zone).date() + timedelta(days=1)
            until = datetime(day.year, day.month, day.day, 0, 0, 30, tzinfo=zone).astimezone(UTC)
        else:
            until = now + timedelta(seconds=close_s)
        self.remote.closed_until = max(self.remote.closed_until or until, until)

    @rule(who=st.integers(0, 2))
    def the_remote_is_down_and_is_probed(self, who: int) -> None:
        """Only one probing read at a time leaves, and it brings everybody back."""
        journal = self.journals[who]
        for _ in range(DOWN_AFTER):
            self.ground.run(journal.touch(Effect(overload=True), close_s=None))
        assert self.ask(who, [READ]).granted == 0
        for _ in range(2):
            before = [call for call in self.remote.calls if call.last > self.ground.at]
            under_way = any(not call.mint and call.ended is None for call in before)
            verdict = self.ask(who, [READ], probe=True)
            assert not (verdict.granted and under_way), "two probes at a time"
        self.calls_end(1, left=True)
        self.ground.run(journal.touch(Effect(healthy=True), close_s=None))

    @rule(seconds=st.sampled_from([0.05, 0.5, 1.0, 5.0, 14.9, 15.1, 30.0, 59.9, 60.3, 601.0]))
    def time_passes(self, seconds: float) -> None:
        self.ground.at += timedelta(seconds=seconds)
        self.flying = [call for call in self.flying if call.latest > self.ground.at]

    @rule(off_s=st.sampled_from([-40.0, -29.0, -1.0, 1.0, 29.0, 31.0, 40.0]))
    def midnight_comes(self, off_s: float) -> None:
        zone = self.remote.zone
        here = (self.ground.at + timedelta(days=1)).astimezone(zone)
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        later = midnight + timedelta(seconds=off_s) - self.ground.at
        self.time_passes(max(0.0, later.total_seconds()))

    @rule(step_s=st.sampled_from([0.2, 2.0]))
    def the_clock_is_set_back(self, step_s: float) -> None:
        if self.ground.behind < timedelta(seconds=4):
            self.ground.behind += timedelta(seconds=step_s)


@pytest.fixture
def ground(database_url: str) -> Iterator[Ground]:
    with psycopg.connect(database_url, autocommit=True) as plain, asyncio.Runner() as runner:
        made = Ground(runner, plain)
        made.run(made.open(database_url))
        JournalLife.ground = made
        yield made
        made.run(made.database.close())


def test_no_limit_is_crossed_whatever_the_latency(ground: Ground, depth: settings) -> None:
    assert JournalLife.ground is ground
    run_state_machine_as_test(JournalLife, settings=depth)
