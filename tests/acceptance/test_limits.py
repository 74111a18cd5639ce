"""Any number of processes within the limits, and what each refusal of Zoho's costs: one call."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from acceptance.kit import MAPPING, PEOPLE, SCALED, ZONE, ShiftedClock, Shop, pretend, shop
from zohosync.clock import ScaledClock, SystemClock
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits

pytestmark = pytest.mark.acceptance
CUSTOMERS: dict[str, Any] = {"schema": PEOPLE, "mapping": {"customers": MAPPING["customers"]}}
SPEED = 30.0


async def test_four_processes_share_the_limits_and_leave_little_of_them_unused(
    database_url: str, tmp_path: Path
) -> None:
    """The judge is the sandbox: its own clock, its own window over all that arrived."""
    per_minute, in_flight, count = 20, 5, 160
    origin = SystemClock().now()
    clock = ScaledClock(origin=origin, speed=SPEED)
    sandbox = pretend(
        clock,
        limits=SandboxLimits(per_minute=per_minute, in_flight=in_flight),
        latency_s=(0.3, 1.2),
    )
    async with shop(
        tmp_path,
        database_url,
        sandbox=sandbox,
        time=SCALED.format(origin=origin.isoformat(), speed=SPEED),
        limits=f'plan = "custom"\nper_minute = {per_minute}\nin_flight = {in_flight}\n'
        "per_day = 5000",
        **CUSTOMERS,
    ) as here:
        command = [sys.executable, "-m", "zohosync.demo", str(tmp_path), origin.isoformat()]
        for _ in range(4):
            await here.start(command=[*command, str(SPEED)])
        await here.alive(4)
        await here.fill(count)
        await until_synced(here, count)
        ledger = sandbox.ledger
        assert (ledger.rate_limit_hits, ledger.blocks) == (0, 0)
        assert ledger.largest_window() <= per_minute
        assert ledger.largest_in_flight <= in_flight
        calls = ledger.calls()
        assert len(calls) == count
        full_s = calls[0].arrived_s + 60.0  # once every place of the minute has been taken
        after = [call.arrived_s for call in calls if call.arrived_s > full_s]
        use = len(after) / (per_minute * (after[-1] - full_s) / 60.0)
        assert use >= 0.9, f"{use:.0%} of the limit was used"
        askers = "select count(distinct worker) from zohosync.api_calls where door = 'api'"
        assert await here.value(askers) == 4


async def test_500_records_by_four_processes_cost_one_token(
    database_url: str, tmp_path: Path
) -> None:
    async with shop(tmp_path, database_url, **CUSTOMERS) as here:
        for _ in range(4):
            await here.start()
        await here.alive(4)
        await here.fill(500)
        await until_synced(here, 500)
        await here.assert_in_step(customers=500)
        assert len(here.sandbox.ledger.calls()) == 500
        assert (here.sandbox.ledger.token_mints, requests(here.sandbox)) == (1, 501)


async def test_a_block_costs_one_call_and_is_kept_to_over_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    block = Fault("rate_limit", "POST /customers", nth=10, code=44, seconds=1_800)
    sandbox = pretend(ShiftedClock(), faults=Faults([block]))
    async with shop(
        tmp_path, database_url, sandbox=sandbox, worker="slots = 1", **CUSTOMERS
    ) as here:
        await here.fill(30)
        first = await here.start()
        await here.until("(select closed_until is not null from zohosync.organizations)")
        await asyncio.sleep(1.0)
        await here.stop(first)
        await here.start()
        await here.alive(1)
        await asyncio.sleep(1.5)
        await here.skip(1_700)
        await asyncio.sleep(1.5)
        assert len(sandbox.ledger.calls()) == 10
        await here.skip(120)
        await until_synced(here, 30)
        assert (sandbox.ledger.rate_limit_hits, sandbox.ledger.blocks) == (1, 1)
        assert await here.value("select max(attempts) from zohosync.records") == 0


async def test_the_day_limit_parks_everything_until_the_organisations_midnight(
    database_url: str, tmp_path: Path
) -> None:
    spent = Fault("rate_limit", "POST /customers", nth=5, times=10, code=45)
    sandbox = pretend(ShiftedClock(), faults=Faults([spent]))
    async with shop(
        tmp_path, database_url, sandbox=sandbox, worker="slots = 1", **CUSTOMERS
    ) as here:
        await here.fill(12)
        await here.start()
        await here.until("(select closed_until is not null from zohosync.organizations)")
        organization = await here.rows(
            "select (closed_until at time zone time_zone)::time::text as clock, closed_reason, "
            "extract(epoch from closed_until - zohosync.current_time())::float8 as left_s "
            "from zohosync.organizations"
        )
        left_s = organization[0]["left_s"]
        assert organization[0]["clock"] == "00:00:30", ZONE  # half a minute late: clocks differ
        assert "day limit" in organization[0]["closed_reason"]
        await here.skip(left_s - 60)
        await asyncio.sleep(1.5)
        assert len(sandbox.ledger.calls()) == 5
        sandbox.set_faults(Faults())
        await here.skip(61)
        await until_synced(here, 12)
        assert sandbox.ledger.rate_limit_hits == 1


@pytest.mark.parametrize(
    ("fault", "hits", "mints"),
    [
        (Fault("rate_limit", "POST /customers", nth=5, code=1070), 1, 1),
        (Fault("unauthorized", "POST /customers", nth=5), 0, 2),
    ],
    ids=["too many in flight", "a token that died early"],
)
async def test_a_refusal_that_passes_is_one_call_more_and_no_attempt(
    database_url: str, tmp_path: Path, fault: Fault, hits: int, mints: int
) -> None:
    sandbox = pretend(ShiftedClock(), faults=Faults([fault]))
    async with shop(
        tmp_path, database_url, sandbox=sandbox, worker="slots = 1", **CUSTOMERS
    ) as here:
        await here.fill(12)
        worker = await here.start("--until-idle")
        await worker.wait()
        await here.assert_in_step(customers=12)
        assert len(sandbox.ledger.calls()) == 13
        assert (sandbox.ledger.rate_limit_hits, sandbox.ledger.token_mints) == (hits, mints)
        assert await here.value("select max(attempts) from zohosync.records") == 0


async def test_revoked_credentials_pause_the_organisation_and_nobody_hammers(
    database_url: str, tmp_path: Path
) -> None:
    async with shop(tmp_path, database_url, **CUSTOMERS) as here:
        await here.fill(5)
        await here.start()
        await until_synced(here, 5)
        here.sandbox.tokens.revoke()
        await here.execute("update public.people set phone = '1'")
        await here.until("(select paused is not null from zohosync.organizations)")
        await asyncio.sleep(0.5)
        asked = requests(here.sandbox)
        await here.skip(3_700)
        await asyncio.sleep(2.5)
        assert requests(here.sandbox) == asked
        assert asked <= 1 + 5 + 5 + 2  # a call of each record under way, a refresh or two
        reason = await here.value("select paused from zohosync.organizations")
        assert "invalid_code" in reason
        assert await here.count("status = 'pending' and attempts = 0") == 5


async def test_an_outage_costs_five_failures_and_then_one_probe_at_a_time(
    database_url: str, tmp_path: Path
) -> None:
    sandbox = pretend(ShiftedClock())
    async with shop(tmp_path, database_url, sandbox=sandbox, **CUSTOMERS) as here:
        await here.fill(5)
        await here.start()
        await until_synced(here, 5)
        outage = Fault("error_before_commit", "*", nth=1, times=10_000, status=503)
        sandbox.set_faults(Faults([outage]))
        await here.execute(
            "insert into public.people "
            "select n, 'Late ' || n, n || '@example.com' from generate_series(6, 40) n"
        )
        await here.until("(select overloads >= 5 from zohosync.organizations)")
        await asyncio.sleep(1.0)
        calls = len(sandbox.ledger.calls())
        assert calls <= 5 + 5 + 10, "more than five failures and what was under way"
        for seconds, probes in ((31, 1), (31, 1), (31, 2)):  # after 30 s, then after 60 s
            await here.skip(seconds)
            await asyncio.sleep(2.5)
            asked = [call.operation for call in sandbox.ledger.calls()[calls:]]
            assert asked == ["GET /organizations"] * probes
        sandbox.set_faults(Faults())
        await here.skip(310)
        await here.until("(select overloads = 0 from zohosync.organizations)")
        await here.past_doubt()
        await here.assert_in_step(customers=40)


async def until_synced(here: Shop, count: int) -> None:
    await here.until(
        f"(select count(*) = {count} from zohosync.records where status = 'synced')"
        " and not exists (select from zohosync.marks)"
    )


def requests(sandbox: Sandbox) -> int:
    """All requests, tokens included."""
    return len(sandbox.ledger.requests)
