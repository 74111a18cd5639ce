"""Upkeep in a simulation: old rows go, who left is forgotten; and the judges of what is kept."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from zohosync.bootstrap import House
from zohosync.clock import Clock
from zohosync.core.kinds import KINDS
from zohosync.core.privacy import forbids
from zohosync.core.records import Ref
from zohosync.core.sections import Upkeep
from zohosync.errors import LeaseLostError
from zohosync.jobs import CACHE_EVERY_S, FORGET_EVERY_S, PRUNE_EVERY_S
from zohosync.sandbox import Sandbox
from zohosync.simulate.process import Errand
from zohosync.simulate.promises import CUSTOMERS, GONE, Diary
from zohosync.simulate.world import World
from zohosync.store.settling import Settling
from zohosync.store.tapped import Overseer
from zohosync.store.upkeep import Forgetting
from zohosync.wiring import policy_of

AGED = "long-ago"
"""The key of what was done long before the run began."""

TRIES = 6
"""How often somebody asks to forget whom a worker is busy with."""

DONE_WITHIN_S = 2_700.0
"""How late a job may be in the quiet after the trouble, when it failed or was broken off before."""

LISTED_AFTER_S = 700.0
"""How long Zoho's lists may lack what was just written, as the faults have it."""

_OLD = """
with logs as (
  insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, step, status,
    result, attempt_number, duration_ms, calls, worker, created_at)
  select org_id, 'customers', %(aged)s, 1, 'customers', 'update', 'success', 'accepted', 1, 1, 1,
         'aged', %(now)s - make_interval(days => 200 + n)
    from zohosync.organizations, generate_series(1, 40) n where active)
insert into zohosync.api_calls (org_id, door, lane, worker, operation, method, path, kind, key,
  started_at, deadline, finished_at, counts_until, outcome, status)
select org_id, 'api', 1, 'aged', 'customers.update', 'PUT', '/customers/1', 'customers', %(aged)s,
       at, at, at, at, 'accepted', 200
  from zohosync.organizations, generate_series(1, 40) n,
       lateral (select %(now)s - make_interval(days => 200 + n) as at) t where active
"""


async def aged(world: World) -> None:
    """The books hold attempts and calls of half a year ago: they are to go by themselves."""
    while not world.over and not world.overseer.rows("select 1 from zohosync.organizations"):
        await world.clock.sleep(60.0)
    now = world.ground.database_now()
    world.overseer.transact([(_OLD, {"aged": AGED, "now": now})])


# -------------------------------------------------------------------------------- who is forgotten


async def forgotten(world: World) -> None:
    """Somebody who has left asks to be forgotten, and an operator does as the command does."""
    left = [each for each in world.company.picture.people.values() if each.gone and each.email]
    if not left:
        return
    person = left[world.aside.integer(0, len(left) - 1)]
    email, ref = str(person.email), Ref(CUSTOMERS, person.id)
    for tries in range(1, TRIES + 1):
        said: list[str] = []
        ended = await world.command(forget(ref, said))
        if ended and said:
            world.note(f"operator: {ref} is {said[0]}")
            if said[0] == "forgotten":
                world.diary.forgotten[person.id] = (world.clock.monotonic(), email)
            return
        await world.clock.sleep(45.0 * tries)


def forget(ref: Ref, said: list[str]) -> Errand:
    """`zohosync forget KIND KEY`; says what came of it, nothing where it is to be said again."""

    async def errand(house: House, _: Clock) -> None:
        project = house.project
        rows = await project.source.desired([ref])
        if ref not in rows:
            return
        standing = await Settling(project.database, project.org_id).standing(ref)
        policy = policy_of(project.settings, project.installation)
        claim = standing.claim if standing else None
        refusal = forbids(ref, claim, policy, row=rows[ref] is not None)
        if refusal is not None:
            said.append(f"not forgotten: {refusal.what}")
            return
        try:
            await Forgetting(project.database, project.org_id).forget(ref, "asked to")
        except LeaseLostError:
            return
        said.append("forgotten")

    return errand


# ------------------------------------------------------------------------------------- the judges


def judged(world: World) -> Iterator[tuple[str, str]]:
    """What is wrong with what upkeep is there for, after quiet: (oracle, words)."""
    read, now = world.overseer, world.ground.database_now()
    for oracle, found in (
        ("counts", _counted(read)),
        ("retention", _pruned(read)),
        ("forgotten", _unheard(read, world.diary, now)),
        ("keeper", _kept_up(world, read, now)),
        ("alerts", _told(read, now)),
        ("caches", _copied(read, world.sandbox, now, world.ground.database_skew_s)),
    ):
        for what in found:
            yield oracle, what


def _counted(read: Overseer) -> Iterator[str]:
    """The maintained counts are what a full count says."""
    for row in read.rows(
        """
        select kind, status, linked, timed, sum(records)::int as off from (
          select kind, status, linked, timed, records from zohosync.record_counts
          union all select kind, status, linked, timed, records from zohosync.count_deltas
          union all select kind, status, zoho_id is not null, due_at is not null, -1
                      from zohosync.records) c
         group by 1, 2, 3, 4 having sum(records) <> 0 order by 1, 2, 3, 4"""
    ):
        yield f"{row['kind']} {row['status']} are counted {row['off']} too many"


def _pruned(read: Overseer) -> Iterator[str]:
    """What is too old is gone; that nothing else is, the judge of the journal sees."""
    for table in ("sync_logs", "api_calls"):
        (row,) = read.rows(
            f"select count(*)::int as old from zohosync.{table} where key = %(aged)s",  # noqa: S608
            {"aged": AGED},
        )
        if row["old"]:
            yield f"{row['old']} rows of {table} are half a year old"


_TABLES = ("records", "sync_logs", "api_calls", "audit", "alerts", "notices", "marks")


def _unheard(read: Overseer, diary: Diary, now: datetime) -> Iterator[str]:
    """Nothing of ours tells of whom we forgot, unless there is a row of theirs again.

    While a write of theirs is in doubt, that much may stay.
    """
    emails = Counter(
        str(entry.said[0]).lower()
        for name, entries in diary.rows.items() if name[0] == CUSTOMERS
        for entry in {each.said[0]: each for each in entries if each.said}.values()
    )  # fmt: skip
    for key, (at_s, email) in sorted(diary.forgotten.items()):
        last = diary.rows[CUSTOMERS, key][-1]
        if last.stand != GONE or last.at_s > at_s or emails[email.lower()] > 1:
            continue
        held = read.rows(
            "select 1 from zohosync.records where kind = 'customers' and key = %(key)s and ("
            "intent_id is not null or settled_at > %(now)s - interval '30 minutes')",
            {"key": key, "now": now},
        )
        if held:
            continue
        for table in _TABLES:
            found = read.rows(
                f"select count(*)::int as rows from zohosync.{table} t "  # noqa: S608
                "where strpos(lower(t::text), lower(%(email)s)) > 0",
                {"email": email},
            )
            if found[0]["rows"]:
                yield f"customers {key} was forgotten, and {table} tells of them"


def _kept_up(world: World, read: Overseer, now: datetime) -> Iterator[str]:
    """Every job ran, none is late or failing, none ran oftener than its time and its failures."""
    every = Upkeep()
    often_s = {
        "retention": PRUNE_EVERY_S, "forgetting": FORGET_EVERY_S, "cache": CACHE_EVERY_S,
        "counts": every.health_every_s, "health": every.health_every_s,
        "alerts": every.alerts_every_s, "metrics": every.metrics_every_s,
    }  # fmt: skip
    jobs = {row["job"]: row for row in read.rows("select * from zohosync.jobs")}
    shut = read.rows("select paused is not null as shut from zohosync.organizations")[0]["shut"]
    for name, every_s in often_s.items():
        row = jobs.get(name)
        if row is None:
            yield f"the job {name} is not known"
            continue
        age_s = (now - row["noted_at"]).total_seconds()
        most = age_s / every_s + 2 + row["failed"] + world.started
        if row["runs"] > most:
            yield f"{name} ran {row['runs']} times in {age_s:.0f} s"
        if shut or name == "metrics":  # runs once a day: its figures are judged elsewhere
            continue
        rested_s = (now - (row["ended_at"] or row["noted_at"])).total_seconds()
        if rested_s > every_s + DONE_WITHIN_S:
            yield f"{name} ran last {rested_s:.0f} s ago, every {every_s:.0f} s"
        if row["failures"] and row["state"] == "failed":
            yield f"{name} fails: {row['told']}"


def _told(read: Overseer, now: datetime) -> Iterator[str]:
    """What failed a while ago was told, once for one state; and nothing waits to be told."""
    since = now - timedelta(seconds=Upkeep().alerts_every_s + DONE_WITHIN_S)
    standing = {
        (row["topic"], row["kind"])
        for row in read.rows(
            "select topic, kind from zohosync.alerts "
            "where resolved_at is null and told_at is not null"
        )
    }
    for row in read.rows(
        "select kind, count(*)::int as failed, max(settled_at) as at from zohosync.records "
        "where status = 'failed' group by kind having min(settled_at) < %(since)s order by kind",
        {"since": since},
    ):
        if ("failed", row["kind"]) not in standing:
            yield f"{row['failed']} {row['kind']} failed, and nobody was told"
    last: dict[str, tuple[str, str]] = {}
    for row in read.rows("select * from zohosync.notices order by notice_id"):
        if row["done_at"] is None and row["made_at"] < since:
            yield f"'{row['title']}' of {row['made_at']} waits for {row['pending']}"
        for name in row["fingerprints"]:
            words = (row["title"], row["body"])
            if not row["good"] and last.get(name) == words:
                yield f"{name} was told twice in the same words: {row['title']}"
            last[name] = ("", "") if row["good"] else words


def _copied(read: Overseer, sandbox: Sandbox, now: datetime, skew_s: float) -> Iterator[str]:
    """A copy of a list of Zoho's is that list, and nobody holds one back."""
    for row in read.rows("select * from zohosync.org_data_cache order by cache_key"):
        kind = row["cache_key"]
        if row["lease_until"] is not None and row["lease_until"] > now:
            yield f"the list of {kind} is being read until {row['lease_until']}"
        if row["data"] is None or kind not in KINDS:
            continue
        if kind == "taxes":
            there: Mapping[str, Any] = sandbox.books.tax_rows
        else:
            id_field = KINDS[kind].id_field
            there = {str(each[id_field]): each for each in sandbox.ledger.records(kind)}
        skew = timedelta(seconds=skew_s)
        written = [
            request.at + skew for request in sandbox.ledger.requests
            if request.method != "GET" and request.path.startswith(f"/{kind}")
        ]  # fmt: skip
        settled = max(written, default=row["cached_at"] - timedelta(days=1))
        if row["cached_at"] < settled + timedelta(seconds=LISTED_AFTER_S):
            continue
        lacking, extra = there.keys() - row["data"].keys(), row["data"].keys() - there.keys()
        if lacking or extra:
            yield f"the copy of {kind} lacks {sorted(lacking)} and has {sorted(extra)} besides"
