"""Jobs of upkeep that fail without a word of their own, and those that are no jobs any more."""

import asyncio

from alert_kit import later, process, virtual
from zohosync.engine.alerts import watched
from zohosync.engine.keeper import Job, Leader
from zohosync.errors import DatabaseError
from zohosync.store.upkeep import Upkeep
from zohosync.testing.virtual import run


def test_a_job_that_never_comes_to_its_end_is_an_alert_too(database_url: str) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock), asyncio.TaskGroup() as tasks:
            desk = process(database, clock)
            stuck = True

            async def slow() -> None:
                await clock.sleep(9_999.0 if stuck else 0.0)

            async def refused() -> None:
                if stuck:
                    raise DatabaseError("Deleting failed: permission denied")

            jobs = [
                Job(name, 60.0, watched(desk.book, name, run))
                for name, run in (("counts", slow), ("retention", refused))
            ]
            leader = Leader(Upkeep(database, "1", "w1"), jobs, clock=clock, tell=lambda _: None)
            running = tasks.create_task(leader.run())
            await later(desk, 100.0)
            await desk.alerts.job()
            assert desk.logged == []  # twice: the database may have been away
            await later(desk, 4 * 3_600.0)
            await desk.alerts.job()
            counts, retention = desk.logged
            assert counts.startswith("alert: upkeep fails: counts: it took longer than 60 minutes")
            assert "upkeep fails: retention: it failed" in retention
            assert "permission denied" in retention
            stuck = False
            await later(desk, 2 * 3_600.0)
            await desk.alerts.job()
            await later(desk, 601.0)
            await desk.alerts.job()
            assert sorted(line[:28] for line in desk.logged[2:]) == [
                "alert: over: upkeep fails: c", "alert: over: upkeep fails: r",
            ]  # fmt: skip
            running.cancel()

    run(main)


def test_what_is_no_job_any_more_does_not_fail_for_ever(database_url: str) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            desk = process(database, clock)
            await desk.do(
                "insert into zohosync.jobs (org_id, job, started_at)"
                " values ('1', 'heartbeat', zohosync.current_time())"
            )
            await desk.book.report("heartbeat", "it answered 404")
            await desk.alerts.job()
            assert list(await desk.standing()) == ["heartbeat"]
            await later(desk, 3 * 86_400.0)  # its address was taken out of the settings
            await desk.alerts.job()
            await later(desk, 601.0)
            await desk.alerts.job()
            assert await desk.standing() == {}

    run(main)
