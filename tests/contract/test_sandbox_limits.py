"""The minute, the day, calls in flight, and what a block costs."""

import asyncio

import httpx2

from contract.talk import Talk, TestClock, settled, talking
from zohosync.sandbox import SandboxLimits

MINUTE = SandboxLimits(per_minute=5, in_flight=None, per_day=None)


async def raw(talk: Talk) -> httpx2.Response:
    return await talk.client.get("/billing/v1/customers")


async def test_one_call_too_many_in_a_minute_blocks_the_whole_organisation() -> None:
    async with talking(limits=MINUTE) as talk:
        for _ in range(5):
            assert (await raw(talk)).status_code == 200
        over = await raw(talk)
        assert (over.status_code, over.json()["code"]) == (429, 44)
        assert over.headers["Retry-After"] == "1800"
        await talk.clock.sleep(1700.5)
        blocked = await raw(talk)
        assert (blocked.status_code, blocked.headers["Retry-After"]) == (429, "100")
        await talk.clock.sleep(99.5)
        assert (await raw(talk)).status_code == 200
        ledger = talk.sandbox.ledger
        assert (ledger.blocks, ledger.rate_limit_hits) == (1, 2)


async def test_the_minute_rolls() -> None:
    async with talking(limits=MINUTE) as talk:
        for _ in range(20):
            assert (await raw(talk)).status_code == 200
            await talk.clock.sleep(12)
        assert talk.sandbox.ledger.largest_window() == 5
        assert talk.sandbox.ledger.largest_window(24.0) == 2


async def test_refused_calls_count_in_the_minute_too() -> None:
    async with talking(limits=MINUTE) as talk:
        for _ in range(5):
            await talk.refused("GET /nothing")
        assert (await raw(talk)).status_code == 429


async def test_the_day_ends_at_the_organisations_own_midnight() -> None:
    limits = SandboxLimits(per_minute=None, in_flight=None, per_day=3)
    async with talking(limits=limits, time_zone="America/Los_Angeles") as talk:  # there: 02:00
        for _ in range(3):
            assert (await raw(talk)).status_code == 200
        over = await raw(talk)
        assert (over.status_code, over.json()["code"]) == (429, 45)
        assert "Retry-After" not in over.headers
        await talk.clock.sleep(21.99 * 3600)
        assert (await raw(talk)).json()["code"] == 45
        await talk.clock.sleep(0.02 * 3600)
        await talk.sign_in()
        assert (await raw(talk)).status_code == 200
        assert talk.sandbox.ledger.blocks == 0


async def test_too_many_in_flight_are_turned_away_at_the_gate() -> None:
    clock = TestClock()
    limits = SandboxLimits(per_minute=None, in_flight=2, per_day=None)
    async with talking(clock=clock, limits=limits, latency_s=(1.0, 1.0)) as talk:
        clock.hurried = False
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(raw(talk)) for _ in range(3)]
            await settled()
            await clock.advance(1)
        codes = [(task.result().status_code, task.result().json()["code"]) for task in tasks]
        assert codes == [(200, 0), (200, 0), (429, 1070)]
        assert talk.sandbox.limiter.in_flight == 0
        assert talk.sandbox.ledger.summary()["largest_in_flight"] == 3
        assert talk.sandbox.ledger.blocks == 0


async def test_quota_headers_are_sent_by_some_organisations() -> None:
    limits = SandboxLimits(per_day=100, quota_headers=True)
    async with talking(limits=limits) as talk:
        headers = (await raw(talk)).headers
        assert headers["x-rate-limit-limit"] == "100"
        assert headers["x-rate-limit-remaining"] == "99"
        assert headers["x-rate-limit-reset"] == str(15 * 3600)
    async with talking() as talk:
        assert "x-rate-limit-limit" not in (await raw(talk)).headers


async def test_tokens_are_not_counted_as_calls() -> None:
    async with talking(limits=MINUTE) as talk:
        for _ in range(5):
            await talk.refresh()
        assert (await raw(talk)).status_code == 200
        assert talk.sandbox.ledger.summary()["calls"] == 1


async def test_lifted_limits_refuse_nothing() -> None:
    async with talking(limits=SandboxLimits.lifted()) as talk:
        for _ in range(300):
            assert (await raw(talk)).status_code == 200
        assert talk.sandbox.ledger.largest_window() == 300
