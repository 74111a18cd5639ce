"""The journal as the limiter on a real Postgres: what it grants, to whom, until when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from journal_kit import Granted, ask
from zohosync.core.governor import (
    DAY_GUARD_S,
    DOWN_AFTER,
    MINT_WINDOW_S,
    MINUTE_S,
    OUTAGE,
    PLANS,
    PROBE_FIRST_S,
    Effect,
    Limits,
    mint_limits,
    outage,
)
from zohosync.core.kinds import MAPPED
from zohosync.core.records import Claim
from zohosync.store.database import Database
from zohosync.store.journal import Ending, Entry, Journal
from zohosync.store.organizations import register_organization
from zohosync.store.records import Records

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIFTED = Limits(per_minute=None, in_flight=None, per_day=None)
READ = Entry("api", 5, "customers.list", "GET", "/customers")
MINT = Entry("accounts", 10, "token", "POST", "/oauth/v2/token")
TIME_LIMIT_S = 15.0


@dataclass(slots=True)
class Time:
    """The time that the database is told."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def virtual(database_url: str, time: Time) -> AsyncIterator[Database]:
    """A database in virtual time, with one organisation."""
    opened = await Database.open(database_url, now=time.now)
    await register(opened)
    yield opened
    await opened.close()


async def register(database: Database, org_id: str = "1", time_zone: str = "Europe/Berlin") -> None:
    await register_organization(
        database,
        org_id=org_id,
        data_center="eu",
        mode="sandbox",
        time_zone=time_zone,
        currency=None,
        limits=replace(PLANS["premium"], per_second=10),
        kinds=MAPPED,
    )


def journal_of(database: Database, org_id: str = "1", worker: str = "w") -> Journal:
    return Journal(
        database, org_id=org_id, worker=worker, time_limit_s=TIME_LIMIT_S, mint_key="client"
    )


async def finish(journal: Journal, granted: Granted, *, sent: bool = True) -> None:
    await journal.finish(
        [Ending(each, sent, 200, "0", "done", 12.3) for each in granted.call_ids.values()]
    )


async def rows(database: Database, text: str) -> list[dict[str, Any]]:
    async with database.transaction() as transaction:
        return await transaction.fetch_sql(text)


async def rush(url: str, limits: Limits, rounds: int) -> list[dict[str, Any]]:
    """Four processes that ask for four calls at a time; returns the journal."""

    async def process(number: int) -> None:
        database = await Database.open(url, connections=1)
        journal = journal_of(database, worker=f"w{number}")
        for _ in range(rounds):
            granted = await ask(journal, limits, READ, READ, READ, READ)
            assert len(granted.call_ids) == granted.verdict.granted
            await finish(journal, granted)
        await database.close()

    await asyncio.gather(*(process(number) for number in range(4)))
    database = await Database.open(url, connections=1)
    found = await rows(database, "select started_at, finished_at from zohosync.api_calls")
    await database.close()
    return found


async def test_four_processes_never_have_more_in_flight_than_may_be(
    any_database: Database, any_database_url: str
) -> None:
    await register(any_database)
    limits = Limits(per_minute=None, in_flight=3, per_day=None)
    calls = await rush(any_database_url, limits, 12)
    moments = sorted(
        [(call["started_at"], 1) for call in calls] + [(call["finished_at"], -1) for call in calls]
    )
    flying = most = 0
    for _, step in moments:
        flying += step
        most = max(most, flying)
    assert most == 3
    assert len(calls) > 20


async def test_four_processes_never_start_more_in_a_minute_than_may_be(
    any_database: Database, any_database_url: str
) -> None:
    await register(any_database)
    limits = Limits(per_minute=20, in_flight=3, per_day=None)
    assert len(await rush(any_database_url, limits, 12)) == 20
    counted = await rows(any_database, "select day_calls, day_by_lane from zohosync.organizations")
    assert counted == [{"day_calls": 20, "day_by_lane": {"5": 20}}]


async def test_a_place_in_the_minute_is_held_until_a_minute_after_the_finish(
    virtual: Database, time: Time
) -> None:
    journal, limits = journal_of(virtual), Limits(per_minute=2, in_flight=None, per_day=None)
    granted = await ask(journal, limits, READ, READ, READ)
    assert (len(granted.call_ids), granted.verdict.granted) == (2, 2)
    time.pass_(5)
    await finish(journal, granted)
    finished = time.at
    time.pass_(50)
    refused = await ask(journal, limits, READ)
    assert refused.verdict.not_before == finished + timedelta(seconds=MINUTE_S)
    assert refused.call_ids == {}
    time.pass_(MINUTE_S - 50)
    assert len((await ask(journal, limits, READ, READ)).call_ids) == 2


async def test_a_call_without_an_outcome_is_in_flight_until_its_deadline(
    virtual: Database, time: Time
) -> None:
    journal, limits = journal_of(virtual), Limits(per_minute=3, in_flight=2, per_day=None)
    lost = await ask(journal, limits, READ, READ)
    assert len(lost.call_ids) == 2
    time.pass_(TIME_LIMIT_S - 0.1)
    refused = (await ask(journal, limits, READ)).verdict
    assert (refused.granted, refused.not_before) == (0, NOON + timedelta(seconds=TIME_LIMIT_S))
    time.pass_(0.1)
    assert len((await ask(journal, limits, READ, READ)).call_ids) == 1  # the minute still counts
    time.pass_(MINUTE_S - 0.1)
    assert (await ask(journal, limits, READ, READ)).call_ids == {}  # … from the deadline on
    time.pass_(0.1)
    assert len((await ask(journal, limits, READ, READ)).call_ids) == 2
    await finish(journal, lost)  # an outcome after the deadline is still evidence
    ended = await rows(virtual, "select outcome from zohosync.api_calls where sent")
    assert [row["outcome"] for row in ended] == ["done", "done"]


async def test_a_call_that_never_left_frees_its_places_at_once(virtual: Database) -> None:
    journal, limits = journal_of(virtual), Limits(per_minute=1, in_flight=1, per_day=None)
    for _ in range(3):
        granted = await ask(journal, limits, READ)
        assert len(granted.call_ids) == 1
        await finish(journal, granted, sent=False)
    sent = await ask(journal, limits, READ)
    await finish(journal, sent)
    await finish(journal, sent, sent=False)  # a second end changes nothing
    assert (await ask(journal, limits, READ)).call_ids == {}


async def test_the_day_is_the_organizations_own_and_may_have_23_hours(
    virtual: Database, time: Time
) -> None:
    journal, limits = journal_of(virtual), Limits(per_minute=None, in_flight=None, per_day=2)
    midnights = [
        datetime(2026, 3, 28, 23, tzinfo=UTC),  # Berlin, winter
        datetime(2026, 3, 29, 22, tzinfo=UTC),  # clocks went forward
        datetime(2026, 3, 30, 22, tzinfo=UTC),
    ]
    for midnight in midnights:
        time.at = midnight - timedelta(seconds=TIME_LIMIT_S + DAY_GUARD_S + 1)
        granted = await ask(journal, limits, READ, READ, READ)
        assert len(granted.call_ids) == 2
        time.at = opens = midnight + timedelta(seconds=DAY_GUARD_S)
        time.pass_(-0.1)
        refused = (await ask(journal, limits, READ)).verdict
        assert (refused.granted, refused.not_before, refused.closed) == (0, opens, True)
        time.at = opens
        used = await rows(
            virtual,
            "select day_calls, (zohosync.current_time() at time zone time_zone)::date - day as old "
            "from zohosync.organizations",
        )
        assert used == [{"day_calls": 2, "old": 1}]  # yesterday's books: today is empty
    assert [(b - a).total_seconds() / 3600 for a, b in pairwise(midnights)] == [23, 24]


async def test_ten_tokens_in_ten_minutes_whichever_organization_asks(
    virtual: Database, time: Time
) -> None:
    await register(virtual, "2")
    one, two = journal_of(virtual, "1"), journal_of(virtual, "2")
    limits = mint_limits(LIFTED)
    for number in range(10):
        assert len((await ask(one if number % 2 else two, limits, MINT)).call_ids) == 1
        time.pass_(30)
    for journal in (one, two):
        refused = (await ask(journal, limits, MINT)).verdict
        assert refused.granted == 0
        assert refused.not_before == NOON + timedelta(seconds=MINT_WINDOW_S)
        assert len((await ask(journal, LIFTED, READ)).call_ids) == 1  # the other door is open
    time.at = NOON + timedelta(seconds=MINT_WINDOW_S)
    assert len((await ask(one, limits, MINT, MINT)).call_ids) == 1
    other = Journal(virtual, org_id="1", worker="w", time_limit_s=15, mint_key="another client")
    assert len((await ask(other, limits, MINT, MINT)).call_ids) == 2


async def test_of_two_closings_the_later_end_wins(virtual: Database, time: Time) -> None:
    journal = journal_of(virtual)
    midnight = datetime(2026, 3, 1, 23, tzinfo=UTC) + timedelta(seconds=DAY_GUARD_S)
    for effect, close_s, end in (
        (Effect(reason="blocked"), 1_800.0, NOON + timedelta(seconds=1_800)),
        (Effect(reason="blip"), 5.0, NOON + timedelta(seconds=1_800)),
        (Effect(close_until_midnight=True, reason="day"), None, midnight),
        (Effect(reason="blip"), 60.0, midnight),
        (Effect(healthy=True), None, midnight),
    ):
        await journal.touch(effect, close_s=close_s)
        verdict = (await ask(journal, LIFTED, READ)).verdict
        assert (verdict.granted, verdict.not_before, verdict.closed) == (0, end, True)
    assert verdict.reason == "day"  # of the closing that holds
    time.at = midnight
    assert len((await ask(journal, LIFTED, READ)).call_ids) == 1


async def test_overload_failures_in_a_row_are_counted_across_records(virtual: Database) -> None:
    journal = journal_of(virtual)
    counts = [await journal.touch(Effect(overload=True), close_s=None) for _ in range(3)]
    assert counts == [1, 2, 3]
    assert await journal.touch(Effect(healthy=True), close_s=None) == 0


async def test_the_failure_that_makes_an_outage_closes_the_organization_in_one_transaction(
    virtual: Database,
) -> None:
    await rows(
        virtual,
        "create table seen (turn xid8, overloads int, closed timestamptz); create function see() "
        "returns trigger language plpgsql as $$ begin insert into seen values "
        "(pg_current_xact_id(), new.overloads, new.closed_until); return new; end $$; "
        "create trigger see after update on zohosync.organizations for each row "
        "execute function see(); select 1",
    )
    journal = journal_of(virtual)
    counts = [
        await journal.touch(Effect(overload=True), close_s=None, judge=outage)
        for _ in range(DOWN_AFTER)
    ]
    assert counts == list(range(1, DOWN_AFTER + 1))
    verdict = (await ask(journal, LIFTED, READ)).verdict
    assert (verdict.closed, verdict.reason) == (True, OUTAGE)
    assert verdict.not_before == NOON + timedelta(seconds=PROBE_FIRST_S)
    turns = await rows(
        virtual,
        "select max(overloads) as overloads, bool_or(closed is not null) as closed "
        "from seen group by turn order by 1",
    )
    assert [row["closed"] for row in turns] == [False] * (DOWN_AFTER - 1) + [True]


async def claims_of(database: Database, time: Time, *keys: str) -> list[Claim]:
    records = Records(database, org_id="1", worker="w", lease_s=60, debounce_s=0)
    for key in keys:
        await rows(database, f"select zohosync.mark('customers', '{key}')")
    await records.fold_marks()
    time.pass_(0.001)  # they become due one after the other
    return await records.claim(len(keys))


def create(claim: Claim) -> Entry:
    return Entry(
        "api", 5, "customers.create", "POST", "/customers", claim, writes=True, intent={"a": 1}
    )


async def test_a_write_becomes_its_records_open_intent_and_a_read_does_not(
    virtual: Database, time: Time
) -> None:
    journal = journal_of(virtual)
    first, second = await claims_of(virtual, time, "1", "2")
    look = Entry("api", 5, "customers.find", "GET", "/customers", second)
    granted = await ask(journal, LIFTED, create(first), look)
    found = await rows(
        virtual,
        "select r.key, r.intent_id, c.intent, c.intent_state from zohosync.records r "
        "left join zohosync.api_calls c on c.call_id = r.intent_id order by r.key",
    )
    assert [row["key"] for row in found] == ["1", "2"]
    by_key = {row["key"]: row for row in found}
    assert by_key[first.ref.key]["intent_id"] == granted.call_ids[0]
    assert by_key[first.ref.key]["intent"] == {"a": 1}
    assert by_key[first.ref.key]["intent_state"] == "open"
    assert by_key[second.ref.key]["intent_id"] is None


async def test_a_claim_whose_lease_is_lost_gets_no_call_and_leaves_no_intent(
    virtual: Database, time: Time
) -> None:
    journal = journal_of(virtual)
    lost, expired, live = await claims_of(virtual, time, "1", "2", "3")
    await rows(
        virtual,
        f"update zohosync.records set lease_epoch = lease_epoch + 1 where key = '{lost.ref.key}' "
        "returning 1",
    )
    await rows(
        virtual,
        f"update zohosync.records set lease_until = '{time.at.isoformat()}' "
        f"where key = '{expired.ref.key}' returning 1",
    )
    granted = await ask(journal, LIFTED, create(lost), create(expired), create(live))
    assert granted.verdict.granted == 3
    assert set(granted.call_ids) == {2}
    kept = await rows(
        virtual, "select key, intent_id is not null as intent from zohosync.records order by key"
    )
    assert {row["key"] for row in kept if row["intent"]} == {live.ref.key}
    assert len(await rows(virtual, "select from zohosync.api_calls")) == 1
    counted = await rows(virtual, "select day_calls from zohosync.organizations")
    assert counted == [{"day_calls": 1}]


async def test_leave_to_call_waits_for_no_new_record_and_no_new_record_for_it(
    database: Database, database_url: str
) -> None:
    await register(database)
    async with database.transaction() as deciding:
        await deciding.execute("lock_organization", org_id="1")
        other = await Database.open(database_url, connections=1)
        await mark_and_fold(other)
        await other.close()


async def mark_and_fold(database: Database) -> None:
    await rows(database, "select zohosync.mark('customers', 'new')")
    records = Records(database, org_id="1", worker="w", lease_s=60, debounce_s=300)
    assert await records.fold_marks() == 1


async def test_a_call_is_journaled_for_good_even_where_the_database_commits_lazily(
    database: Database, database_url: str
) -> None:
    await register(database)
    await rows(
        database,
        "create table seen (how text); create function see() returns trigger language plpgsql as "
        "$$ begin insert into seen values (current_setting('synchronous_commit')); return new; "
        "end $$; create trigger see after insert on zohosync.api_calls for each row "
        "execute function see(); do $$ begin execute format("
        "'alter database %I set synchronous_commit = off', current_database()); end $$; select 1",
    )
    lazy = await Database.open(database_url, connections=1)
    assert await rows(lazy, "show synchronous_commit") == [{"synchronous_commit": "off"}]
    assert len((await ask(journal_of(lazy), LIFTED, READ)).call_ids) == 1
    assert await rows(lazy, "select how from seen") == [{"how": "local"}]
    await lazy.close()
