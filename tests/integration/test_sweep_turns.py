"""Whose turn it is to sweep: one process at a time, once a night of the organisation's own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.store.database import Database
from zohosync.store.organizations import Presence, register_organization
from zohosync.store.source import Source
from zohosync.store.sweeps import LEASE_S, Sweeps

ONE = "select p.id as key, p.name as display_name from people p"
OTHER = "select p.id as key, upper(p.name) as display_name from people p"
AT = "02:30"


class Night:
    """An instant that the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def to(self, hour: int, minute: int, days: int = 0) -> None:
        """That time of day in UTC, so many days later."""
        later = self.now + timedelta(days=days)
        self.now = later.replace(hour=hour, minute=minute)


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.fixture
async def here(database_url: str, night: Night) -> AsyncIterator[Database]:
    database = await Database.open(database_url, now=lambda: night.now)
    async with database.transaction() as transaction:
        await transaction.execute_sql("create table people (id integer primary key, name text)")
    await register_organization(
        database, org_id="1", data_center="us", mode="sandbox",
        time_zone="Africa/Johannesburg",  # two hours ahead of UTC
        currency="ZAR", limits=PLANS["unlimited"], kinds=MAPPED,
    )  # fmt: skip
    yield database
    await database.close()


async def sweeps(database: Database, worker: str, text: str = ONE) -> Sweeps:
    source = await Source.open(
        database, {"customers": text}, installation="x", marker_field=None, time_zone="UTC"
    )
    await alive(database, worker)
    return Sweeps(database, source, org_id="1", worker=worker)


async def alive(database: Database, worker: str) -> None:
    presence = Presence(database, worker=worker, org_id="1", host="here", pid=1, version="0")
    await presence.beat()


async def test_it_is_due_once_a_night_of_the_organizations_time_zone(
    here: Database, night: Night
) -> None:
    one = await sweeps(here, "one")
    assert not (await one.turn(AT)).taken  # known since noon
    night.to(0, 29, days=1)
    assert not (await one.turn(AT)).taken
    night.to(0, 31)  # 02:31 there
    turn = await one.turn(AT)
    assert (turn.taken, turn.night) == (True, True)
    await one.done((), over=True, night=True)
    assert not (await one.turn(AT)).taken
    night.to(23, 0)
    assert not (await one.turn(AT)).taken
    night.to(0, 31, days=1)
    assert (await one.turn(AT)).taken


async def test_it_is_made_up_for_when_nobody_was_there_at_night(
    here: Database, night: Night
) -> None:
    one = await sweeps(here, "one")
    night.to(9, 0, days=3)
    assert (await one.turn(AT)).night


async def test_of_two_processes_one_sweeps_until_it_is_done_or_dead(
    here: Database, night: Night
) -> None:
    one, two = await sweeps(here, "one"), await sweeps(here, "two")
    night.to(0, 31, days=1)
    await alive(here, "one")
    assert (await one.turn(AT)).taken
    assert not (await two.turn(AT)).taken
    assert (await one.turn(AT)).taken  # still its own
    await two.done((), over=True, night=True)  # not its turn: nothing
    assert (await one.turn(AT)).taken
    night.now += timedelta(seconds=31)  # no beat since
    assert (await two.turn(AT)).taken
    await alive(here, "two")
    assert not (await one.turn(AT)).taken
    night.now += timedelta(seconds=LEASE_S + 1)
    await alive(here, "two")
    assert (await one.turn(AT)).taken  # alive, and yet it takes too long


async def test_a_changed_mapping_is_held_until_one_who_has_it_has_counted(
    here: Database, night: Night
) -> None:
    one = await sweeps(here, "one")
    assert await one.note_mappings() == ()  # the first there ever was: nothing to compare with
    assert not (await one.turn(AT)).taken
    two = await sweeps(here, "two", OTHER)
    assert await two.note_mappings() == ("customers",)
    told = await one.turn(AT)
    assert (told.taken, told.others) == (False, ("customers",))
    turn = await two.turn(AT)
    assert (turn.taken, turn.night, turn.held) == (True, False, ("customers",))
    await one.done(["customers"], over=True)  # neither its turn nor its mapping
    assert (await two.turn(AT)).held == ("customers",)
    await two.done(["customers"], over=False)
    await two.done((), over=True)
    assert not (await two.turn(AT)).taken


async def test_a_mapping_that_changes_while_it_is_counted_stays_held(
    here: Database, night: Night
) -> None:
    one, two = await sweeps(here, "one"), await sweeps(here, "two", OTHER)
    await one.note_mappings()
    await two.note_mappings()
    assert (await two.turn(AT)).taken
    assert await one.note_mappings() == ("customers",)  # turned back meanwhile
    await two.done(["customers"], over=True)
    assert (await one.turn(AT)).held == ("customers",)
