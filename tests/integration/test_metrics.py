"""The daily roll-up equals a plain count of the rows, whatever the rows and whatever the day."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import simplejson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zohosync.core.kpis import KPIS, day_bounds
from zohosync.errors import SettingsError
from zohosync.store.database import Database
from zohosync.store.metrics import Metrics

NEW_YORK = "America/New_York"
LONG, SHORT = date(2026, 11, 1), date(2026, 3, 8)
KINDS = ("customers", "invoices")
ORGANIZATION = """
insert into zohosync.organizations (org_id, data_center, mode, time_zone, kinds, created_at)
values (%(org_id)s, 'us', 'sandbox', %(zone)s, %(kinds)s, %(since)s)
"""
LOG = """
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, step, status, result,
  attempt_number, duration_ms, calls, worker, changes, reads_saved, sync_ms, sync_calls, created_at)
select '1', l.kind, l.key, 1, 'x', l.step, l.status, l.result, 1, l.ms, l.calls, 'w', l.changes,
       l.reads, l.ms + l.before_ms, l.calls + l.before_calls, l.at
  from jsonb_to_recordset(%(rows)s::jsonb) as l (kind text, key text, step text, status text,
    result text, ms integer, calls integer, before_ms integer, before_calls integer,
    changes integer, reads integer, at timestamptz)
"""
CALL = """
insert into zohosync.api_calls (org_id, door, lane, kind, key, worker, operation, method, path,
  started_at, deadline, counts_until, sent, outcome)
select '1', c.door, 5, c.kind, '1', 'w', 'x', 'GET', '/', c.at, c.at, c.at, c.sent, c.outcome
  from jsonb_to_recordset(%(rows)s::jsonb) as c (door text, kind text, sent boolean, outcome text,
    at timestamptz)
"""
ENDINGS = (
    ("success", "created", "create"), ("success", "unchanged", "nothing"),
    ("failed", "failed", "fail"), ("retrying", "retrying", "update"),
    ("retrying", "retrying", "later"), ("pending", "created", "create"),
    ("pending", "closed: 429", "create"), ("pending", "throttled", "create"),
    ("pending", "absent", "verify"), ("pending", "woken", "wait"),
    ("uncertain", "uncertain", "create"), ("uncertain", "undecided", "verify"),
    ("uncertain", "throttled", "verify"), ("waiting", "waiting", "wait"),
    ("waiting", "orphaned", "create"), ("skipped", "skipped", "skip"),
)  # fmt: skip


@asynccontextmanager
async def books(url: str, *, now: datetime, zone: str = NEW_YORK) -> AsyncIterator[Database]:
    """A database in which organisation 1 is known, at that instant."""
    database = await Database.open(url, now=lambda: now)
    try:
        since = now - timedelta(days=400)
        await run(database, "truncate zohosync.organizations, zohosync.sync_logs cascade")
        await run(database, "truncate zohosync.api_calls")
        told = {"org_id": "1", "zone": zone, "kinds": list(KINDS), "since": since}
        await run(database, ORGANIZATION, told)
        yield database
    finally:
        await database.close()


async def run(database: Database, text: str, params: dict[str, Any] | None = None) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(text, params)


async def rows_of(database: Database, text: str) -> list[dict[str, Any]]:
    async with database.transaction() as transaction:
        return await transaction.fetch_sql(text)


async def write(
    database: Database, logs: list[dict[str, Any]], calls: list[dict[str, Any]]
) -> None:
    for text, rows in ((LOG, logs), (CALL, calls)):
        await run(database, text, {"rows": simplejson.dumps(rows, default=str)})


def log(
    at: datetime, ending: int = 0, before: tuple[int, int] | None = (0, 0), **otherwise: Any
) -> dict[str, Any]:
    """An attempt; `before` is what its sync took already, None where that was not kept yet."""
    status, result, step = ENDINGS[ending]
    before_ms, before_calls = before or (None, None)
    return {
        "kind": "customers", "key": "1", "status": status, "result": result, "step": step,
        "ms": 100, "calls": 1, "before_ms": before_ms, "before_calls": before_calls,
        "changes": 1, "reads": 0, "at": at,
    } | otherwise  # fmt: skip


def call(at: datetime, **otherwise: Any) -> dict[str, Any]:
    told = {"door": "api", "kind": "customers", "sent": True, "outcome": "accepted", "at": at}
    return told | otherwise


def values_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, Decimal]]:
    """The figures by kind and name."""
    found: dict[str, dict[str, Decimal]] = {}
    for row in rows:
        found.setdefault(row["entity_type"], {})[row["metric_type"]] = row["metric_value"]
    return found


def ending_of(row: dict[str, Any]) -> str:
    """What an attempt was: the rule in plain Python."""
    if row["status"] == "success":
        return "done"
    if row["status"] == "failed" or row["result"] == "undecided":
        return "failed"
    if row["result"] == "orphaned":
        return "try"
    given_back = row["result"].startswith("closed") or row["result"] in (
        "throttled", "unauthorized", "woken",
    )  # fmt: skip
    if given_back or row["status"] in ("waiting", "skipped") or row["step"] == "later":
        return "none"
    if row["status"] in ("retrying", "uncertain") or row["result"] == "absent":
        return "try"
    return "step"


def model(
    logs: list[dict[str, Any]], calls: list[dict[str, Any]], kind: str | None
) -> dict[str, Decimal]:
    """The figures of these rows, counted one by one."""
    mine = [row for row in logs if kind in (None, row["kind"])]
    spent = [row for row in calls if kind in (None, row["kind"]) and row["sent"] is not False]
    done = failed = tries = saved = 0
    times: list[int] = []
    for row in mine:
        ending = ending_of(row)
        paid = row["calls"] + (row["before_calls"] or 0) > 0
        failed += ending == "failed"
        tries += ending == "try"
        if ending == "done" and paid:
            done += 1
            times.append(row["ms"] + (row["before_ms"] or 0))
        elif ending == "done":
            saved += row["step"] == "nothing" and row["changes"] > 0
    saved += sum(max(row["changes"] - 1, 0) + row["reads"] for row in mine)
    times.sort()
    api = [row for row in spent if row["door"] == "api"]

    def over(part: float, whole: float) -> Decimal:
        return round(Decimal(part) / Decimal(whole), 4) if whole else Decimal(0)

    def at_most(percent: int) -> int:
        return next(
            (ms for place, ms in enumerate(times, 1) if 100 * place >= percent * len(times)), 0
        )

    return {
        "success_rate": over(100 * done, done + failed),
        "avg_sync_time": over(sum(times), len(times)),
        "p50_sync_time": Decimal(at_most(50)),
        "p95_sync_time": Decimal(at_most(95)),
        "avg_attempts": over(done + failed + tries, done + failed),
        "failed_syncs": Decimal(failed),
        "rate_limit_hits": Decimal(sum(row["outcome"] == "throttled" for row in spent)),
        "stale_syncs": Decimal(0),
        "api_calls": Decimal(len(api)),
        "calls_per_record": over(len(api), done),
        "calls_saved": Decimal(saved),
    }


INSTANTS = st.integers(0, 3 * 86_400).map(
    lambda s: datetime(2026, 10, 31, 2, tzinfo=UTC) + timedelta(seconds=s)
)
LOGS = st.lists(
    st.builds(
        log, INSTANTS, st.integers(0, len(ENDINGS) - 1), kind=st.sampled_from(KINDS),
        key=st.sampled_from("123"), ms=st.integers(0, 90_000), calls=st.integers(0, 2),
        before=st.none() | st.tuples(st.integers(0, 90_000), st.integers(0, 2)),
        changes=st.integers(0, 4), reads=st.integers(0, 2),
    ),
    max_size=60,
)  # fmt: skip
CALLS = st.lists(
    st.builds(
        call, INSTANTS, door=st.sampled_from(["api", "api", "accounts"]),
        kind=st.sampled_from([*KINDS, None]), sent=st.sampled_from([True, False, None]),
        outcome=st.sampled_from(["accepted", "throttled", None]),
    ),
    max_size=40,
)  # fmt: skip


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(logs=LOGS, calls=CALLS)
def test_a_days_figures_are_a_plain_count_of_its_rows(
    database_url: str, logs: list[dict[str, Any]], calls: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        began, ended = day_bounds(LONG, ZoneInfo(NEW_YORK))
        async with books(database_url, now=ended + timedelta(hours=1)) as database:
            await write(database, logs, calls)
            metrics = Metrics(database, "1")
            found = values_of(await metrics.roll_up(LONG, 90))
            mine, spent = (
                [row for row in rows if began <= row["at"] < ended] for rows in (logs, calls)
            )
            assert set(found) == {"all", *KINDS}
            for kind in found:
                assert found[kind] == model(mine, spent, None if kind == "all" else kind)
            assert values_of(await metrics.between(LONG, LONG)) == found
            assert values_of(await metrics.roll_up(LONG, 90)) == found, "again, the same"

    asyncio.run(main())


async def test_a_day_is_the_organisations_own_also_when_the_clocks_change(
    database_url: str,
) -> None:
    for day, hours in ((LONG, 25), (SHORT, 23)):
        began, ended = day_bounds(day, ZoneInfo(NEW_YORK))
        assert ended - began == timedelta(hours=hours)
        second = timedelta(seconds=1)
        instants = [began - second, began, began + timedelta(hours=2), ended - second, ended]
        async with books(database_url, now=ended + timedelta(days=2)) as database:
            logs = [log(at, key=str(place)) for place, at in enumerate(instants)]
            await write(database, logs, [call(at) for at in instants])
            metrics = Metrics(database, "1")
            counted = [
                values_of(await metrics.roll_up(each, 90))["all"]["api_calls"]
                for each in (day - timedelta(days=1), day, day + timedelta(days=1))
            ]
            assert counted == [1, 3, 1]


async def test_a_silent_day_has_a_row_for_everything(database_url: str) -> None:
    _, ended = day_bounds(LONG, ZoneInfo(NEW_YORK))
    async with books(database_url, now=ended + timedelta(hours=1)) as database:
        await Metrics(database, "1").roll_up(LONG, 90)
        kept = await rows_of(
            database,
            "select entity_type, count(*) as rows, sum(metric_value) as total"
            " from zohosync.sync_metrics where entity_type is not null group by 1 order by 1",
        )
    assert kept == [
        {"entity_type": name, "rows": len(KPIS), "total": 0} for name in ("all", *KINDS)
    ]


async def test_only_days_that_are_over_and_still_kept_are_rolled_up(database_url: str) -> None:
    _, ended = day_bounds(LONG, ZoneInfo(NEW_YORK))
    async with books(database_url, now=ended + timedelta(minutes=5)) as database:
        metrics = Metrics(database, "1")
        for day, words in (
            (LONG, "2026-11-01 is not over yet"),
            (LONG + timedelta(days=1), "is not over yet"),
            (LONG + timedelta(days=2), "2026-11-03 is in the future"),
            (LONG - timedelta(days=10), "are not kept any more"),
        ):
            with pytest.raises(SettingsError, match=words):
                await metrics.roll_up(day, 10)
        assert not await rows_of(database, "select 1 as one from zohosync.sync_metrics")


async def test_what_is_missing_is_caught_up_once_and_what_is_there_is_left(
    database_url: str,
) -> None:
    _, ended = day_bounds(LONG, ZoneInfo(NEW_YORK))
    async with books(database_url, now=ended + timedelta(hours=1)) as database:
        metrics = Metrics(database, "1")
        await metrics.roll_up(LONG - timedelta(days=3), 10)
        days = [LONG - timedelta(days=back) for back in (8, 7, 6, 5, 4, 2, 1, 0)]
        assert await metrics.catch_up(10) == days
        assert await metrics.keep_up(10) is None
        await run(database, "delete from zohosync.sync_metrics where metric_date > '2026-10-30'")
        said = await metrics.keep_up(10)
        assert said == "key figures rolled up: 2 days, 2026-10-31 to 2026-11-01"


async def test_late_on_a_day_after_a_long_one_the_oldest_day_is_not_whole_any_more(
    database_url: str,
) -> None:
    """It must not stand in the way of the others, either."""
    _, ended = day_bounds(LONG + timedelta(days=7), ZoneInfo(NEW_YORK))
    async with books(database_url, now=ended - timedelta(minutes=30)) as database:
        days = [LONG + timedelta(days=more) for more in range(-1, 7)]
        assert await Metrics(database, "1").catch_up(10) == days


async def test_what_is_out_of_step_for_over_a_week_is_stale_and_stays_written(
    database_url: str,
) -> None:
    began, ended = day_bounds(LONG, ZoneInfo(NEW_YORK))
    week = timedelta(days=7)
    async with books(database_url, now=ended + timedelta(days=3)) as database:
        records = [
            ("old", "failed", ended - week - timedelta(seconds=1), None),
            ("young", "failed", ended - week, None),
            ("lately", "synced", began - week, ended + timedelta(hours=5)),
            ("in step", "synced", began - week, ended - timedelta(hours=5)),
        ]
        for key, status, marked, success in records:
            await run(
                database,
                "insert into zohosync.records (org_id, kind, key, status, version, synced_version,"
                " marked_at) values ('1', 'customers', %(key)s, %(status)s, 2, %(had)s, %(at)s)",
                {"key": key, "status": status, "had": 2 * (status == "synced"), "at": marked},
            )
            if success:
                await write(database, [log(success, key=key)], [])
        metrics = Metrics(database, "1")
        found = values_of(await metrics.roll_up(LONG, 90))
        assert [found[kind]["stale_syncs"] for kind in ("all", "customers")] == [2, 2]
        assert found["invoices"]["stale_syncs"] == 0
        await run(database, "delete from zohosync.records")
        await metrics.roll_up(LONG, 90)
        kept = await metrics.between(LONG, LONG)
        assert values_of(kept)["all"]["stale_syncs"] == 2, "its first answer stays"
        (told,) = [
            row["metadata"]
            for row in kept
            if (row["metric_type"], row["entity_type"]) == ("stale_syncs", "all")
        ]
        assert told == {"at_least": True}, "it was asked two days late"


async def test_today_is_shown_so_far_and_never_written(database_url: str) -> None:
    began, _ = day_bounds(LONG, ZoneInfo(NEW_YORK))
    async with books(database_url, now=began + timedelta(hours=12)) as database:
        await write(database, [log(began), log(began, 2, key="2")], [call(began)])
        found = values_of(await Metrics(database, "1").so_far())
        assert [found["all"][name] for name in ("success_rate", "api_calls")] == [50, 1]
        assert not await rows_of(database, "select 1 as one from zohosync.sync_metrics")
