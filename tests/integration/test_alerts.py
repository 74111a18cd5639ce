"""Alerts in a real database: one a cause, told once whoever looks, and sent until it is taken."""

import asyncio

from alert_kit import BOOK, CANARY, inbox, later, process, virtual
from zohosync.clock import Chance, SystemClock
from zohosync.core.options import Secret
from zohosync.engine.alerts import Heartbeat, watched
from zohosync.errors import RemoteError
from zohosync.events import Noted
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import world
from zohosync.zoho.beacon import fetch


def test_one_cause_is_one_alert_however_many_records_and_its_end_is_told(database_url: str) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            desk = process(database, clock)
            await desk.fail("customers", 1, 3)
            await desk.do(
                "insert into zohosync.records (org_id, kind, key, status, waiting_kind, "
                "waiting_key, settled_at) values ('1', 'invoices', '7', 'waiting', 'customers', "
                "'2', zohosync.current_time()), ('1', 'payments', '9', 'waiting', 'invoices', '7', "
                "zohosync.current_time())"
            )
            await desk.alerts.job()
            await desk.alerts.job()
            (line,) = desk.logged
            assert line.startswith("alert: 3 customers failed: validation, email: ")
            for words in ("2 more wait for them", "2026-11-22 08:00 (Africa/Johannesburg)",
                          "For example customers 1", "zohosync why customers 1"):  # fmt: skip
                assert words in line
            assert "ann@" not in line
            await desk.fail("customers", 4, 29)
            await later(desk, 60)
            await desk.alerts.job()
            assert len(desk.logged) == 1
            await desk.fail("customers", 30, 30)  # tenfold
            await desk.alerts.job()
            assert desk.logged[1].startswith("alert: worse: 30 customers failed")
            await desk.do("update zohosync.records set status = 'synced', waiting_kind = null")
            await desk.alerts.job()
            await later(desk, 599)
            await desk.alerts.job()
            assert len(desk.logged) == 2
            await later(desk, 2)
            await desk.alerts.job()
            assert desk.logged[2].startswith("alert: over: 30 customers failed")
            assert await desk.standing() == {}

    run(main)


def test_processes_that_look_at_once_and_again_tell_once(database_url: str) -> None:
    async def main() -> None:
        database = await Database.open(database_url)
        with inbox() as box:
            desks = [
                process(database, SystemClock(), channels=box.url, worker=f"w{n}") for n in range(4)
            ]
            await desks[0].do(BOOK)
            await desks[0].fail("customers", 1, 2)
            await desks[0].do("update zohosync.organizations set paused = 'somebody said so'")
            for _ in range(3):
                await asyncio.gather(*(desk.alerts.round() for desk in desks))
                await asyncio.gather(*(desk.alerts.job() for desk in desks))
            assert sorted(box.titles) == [
                "2 customers failed: validation, email",
                "the organisation is paused",
            ]
            logged = [line for desk in desks for line in desk.logged]
            assert len(logged) == 2
            left = await desks[0].sql(
                "select notice_id from zohosync.notices where done_at is null"
            )
            assert left == []
        await database.close()

    asyncio.run(main())


def test_a_grave_one_is_told_at_the_next_glance_and_the_rest_when_the_quiet_hours_end(
    database_url: str,
) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            desk = process(database, clock, quiet=("07:00", "09:00"))
            await desk.alerts.round()
            await desk.fail("customers", 1, 1)
            await desk.fail("invoices", 1, 1)
            await desk.alerts.job()
            assert desk.logged == []
            await desk.do("update zohosync.organizations set paused = 'stop'")
            await later(desk, 11)
            await desk.alerts.round()
            (line,) = desk.logged
            assert line.startswith("alert: the organisation is paused: stop.")
            await later(desk, 3_540)
            await desk.alerts.round()
            assert len(desk.logged) == 1
            await later(desk, 60)
            await desk.alerts.round()
            assert desk.logged[1].startswith("alert: 2 alerts: - 1 customer failed")
            assert len(desk.logged) == 2

    run(main)


def test_a_channel_that_refuses_is_tried_again_and_the_others_are_not_told_twice(
    database_url: str,
) -> None:
    async def main() -> None:
        database = await Database.open(database_url)
        with inbox() as good, inbox() as bad:
            bad.status = 401
            desk = process(database, SystemClock(), channels=f"{good.url}\n{bad.url}")
            await desk.do(BOOK)
            await desk.fail("customers", 1, 1)
            await desk.alerts.job()
            await desk.alerts.job()
            assert (len(good.messages), len(bad.messages)) == (1, 0)
            (left,) = await desk.book.unsent()
            assert left["pending"] == ["json://127.0.0.1 (2)"]
            assert left["error"] == "json://127.0.0.1 (2): it answered 401"
            assert sum("does not take notices" in line for line in desk.logged) == 1
            bad.status = 200
            await desk.do("update zohosync.notices set try_at = zohosync.current_time()")
            await desk.alerts.job()
            assert (len(good.messages), len(bad.messages)) == (1, 1)
            assert await desk.book.unsent() == []
            kept = [str(await desk.sql(f"select * from zohosync.{table}"))
                    for table in ("alerts", "notices", "audit")]  # fmt: skip
            assert CANARY not in str((kept, desk.logged, desk.alerts.__dict__))
        await database.close()

    asyncio.run(main())


def test_what_is_muted_is_not_told_until_the_mute_ends(database_url: str) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            desk = process(database, clock)
            assert await desk.book.mute("customers", 3_600) is not None
            await desk.fail("customers", 1, 1)
            await desk.fail("invoices", 1, 1)
            await desk.alerts.job()
            assert [line[:24] for line in desk.logged] == ["alert: 1 invoice failed:"]
            await later(desk, 3_601)
            await desk.alerts.round()
            assert desk.logged[1].startswith("alert: 1 customer failed")
            acts = await desk.sql("select act, target from zohosync.audit")
            assert acts == [{"act": "mute alerts", "target": "customers"}]

    run(main)


def test_a_worker_that_went_silent_is_told_by_another_and_over_when_it_is_replaced(
    database_url: str,
) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            desk = process(database, clock)
            await desk.do(
                "insert into zohosync.workers (worker, org_id, host, pid, version, started_at, "
                "heartbeat_at) values ('w2', '1', 'far', 2, '0', zohosync.current_time() - "
                "interval '1 day', zohosync.current_time() - interval '5 min')"
            )
            await desk.alerts.round()
            assert desk.logged[0].startswith("alert: 1 of the workers on far went silent")
            await desk.do(
                "insert into zohosync.workers (worker, org_id, host, pid, version) "
                "values ('w3', '1', 'far', 3, '0')"
            )
            await desk.alerts.job()
            await clock.sleep(601)
            await desk.do("update zohosync.workers set heartbeat_at = zohosync.current_time() "
                          "where worker <> 'w2'")  # fmt: skip
            await desk.alerts.job()
            assert desk.logged[1].startswith("alert: over: 1 of the workers on far")
            await clock.sleep(180)  # and now all of them
            await desk.alerts.job()
            assert desk.logged[2].startswith("alert: nobody is at work: The last worker went")

    run(main)


def test_a_silent_day_stalled_work_doubles_and_the_day_s_budget_are_alerts(
    database_url: str,
) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            desk = process(database, clock)
            await desk.do(
                "insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, "
                "step, status, result, attempt_number, duration_ms, calls, worker) values ('1', "
                "'customers', '1', 1, 'x', 'create', 'success', 'created', 1, 1, 1, 'w1')"
            )
            await desk.alerts.job()
            assert desk.logged == []
            await later(desk, 86_401)
            await desk.alerts.job()
            assert desk.logged[0].startswith("alert: a day without a change")
            await desk.do(
                "insert into zohosync.records (org_id, kind, key, due_at) values ('1', "
                "'customers', '1', zohosync.current_time() - interval '2 hours'); "
                "insert into zohosync.comparisons (org_id, kind, finished_at, counts) values "
                "('1', 'invoices', zohosync.current_time(), '{\"double\": 2}'); "
                "insert into zohosync.usage_days (org_id, day, calls, per_day, warned) values "
                "('1', (zohosync.current_time() at time zone 'Africa/Johannesburg')::date, 95, "
                "100, 95)"
            )
            await desk.alerts.job()
            assert sorted(line.partition(": ")[2][:24] for line in desk.logged[1:]) == [
                "2 invoices are in Zoho t", "95 % of the day's limit ", "work is due, and nothing",
            ]  # fmt: skip
            await desk.do("update zohosync.usage_days set warned = 100, calls = 100")
            await desk.alerts.job()
            assert desk.logged[-1].startswith("alert: worse: 100 % of the day's limit is reached")

    run(main)


def test_a_job_that_fails_is_an_alert_until_it_works_again(database_url: str) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            desk = process(database, clock)
            broken = True

            async def work() -> str | None:
                if broken:
                    raise RemoteError("the figures could not be read")
                return None

            job = watched(desk.book, "metrics", work)
            for _ in range(2):
                try:
                    await job()
                except RemoteError:
                    await desk.alerts.job()
            (line,) = desk.logged
            assert line.startswith("alert: upkeep fails: metrics: the figures could not be read")
            broken = False
            await job()
            await later(desk, 1)
            await desk.alerts.job()
            await later(desk, 601)
            await desk.alerts.job()
            assert desk.logged[1].startswith("alert: over: upkeep fails: metrics")

    run(main)


def test_the_heart_beats_where_it_is_told_to_and_a_switch_that_is_away_is_told_once(
    database_url: str,
) -> None:
    async def main() -> None:
        database = await Database.open(database_url)
        with inbox() as box:
            desk = process(database, SystemClock())
            await desk.do(BOOK)
            url = Secret(f"http://127.0.0.1:{box.port}/ping/{CANARY}")
            heart = Heartbeat(lambda: fetch(url, desk.clock), desk.book, desk.events.append)
            await heart.beat()
            assert box.fetched == [f"/ping/{CANARY}"]
            box.status = 500
            await heart.beat()
            await heart.beat()
            assert desk.logged == ["the dead-man's switch cannot be reached: it answered 500"]
            assert list(await desk.standing()) == []
            await desk.alerts.job()
            assert list(await desk.standing()) == ["heartbeat"]
            assert CANARY not in str(desk.logged)
            assert await fetch(Secret(f"nonsense-{CANARY}"), desk.clock) is not None
        why = await fetch(url, desk.clock)
        assert why is not None
        assert CANARY not in why
        await database.close()

    asyncio.run(main())


def test_what_one_process_wrote_down_and_did_not_send_another_one_sends(database_url: str) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            dies, lives = process(database, clock), process(database, clock, worker="w2")
            await dies.fail("customers", 1, 1)
            await dies.alerts.look()
            assert dies.logged == []
            await lives.alerts.round()
            assert len(lives.logged) == 1
            taken = await dies.book.take(["log"], "w1")
            assert taken is None

    run(main)


def test_a_notice_whose_sender_died_is_sent_when_its_lease_is_over(database_url: str) -> None:
    async def main() -> None:
        async with virtual(database_url) as (database, clock):
            dies, lives = process(database, clock), process(database, clock, worker="w2")
            await dies.fail("customers", 1, 1)
            await dies.alerts.look()
            assert await dies.book.take(["log"], "w1") is not None
            await lives.alerts.round()
            assert lives.logged == []
            await later(lives, 121)
            await lives.alerts.round()
            assert len(lives.logged) == 1

    run(main)


def test_a_working_worker_tells_at_once_that_zoho_refuses_it(database_url: str) -> None:
    async def main() -> None:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        mapping = {"customers": "select 1 as key, 'Ann' as display_name, 'a@example.com' as email"}
        async with world(database, mapping, sandbox, clock=clock) as joined:
            sandbox.set_faults(Faults([Fault("unauthorized", "POST /customers", times=9)]))
            await joined.source.mark_all("customers", priority=5)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(joined.service.run(stop))
                await clock.sleep(30.0)
                stop.set()
            noted = [event.message for event in joined.events if isinstance(event, Noted)]
        await database.close()
        told = [line for line in noted if line.startswith("alert")]
        assert [line[:39] for line in told] == ["alert: Zoho refuses our credentials: Zo"]
        assert "zohosync login" in told[0]

    run(main)
