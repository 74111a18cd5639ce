"""Stories about Zoho's limits, blocks, outages and tokens."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sim.crash_operations import person, product
from sim.guard_kit import Setting, Stage, many
from zohosync.core.governor import PLANS
from zohosync.sandbox import Fault, SandboxLimits


def _limits(**numbers: Any) -> Setting:
    """The same limits on both sides."""
    ours = replace(PLANS["unlimited"], **{"in_flight": None, **numbers})
    theirs = replace(SandboxLimits.lifted(), **numbers)
    return Setting(limits=ours, zoho=theirs)


TEN_A_MINUTE = _limits(per_minute=10)
TWO_IN_FLIGHT = replace(_limits(in_flight=2), sandbox={"latency_s": (1.0, 1.0)})
FIVE_A_DAY = replace(
    _limits(per_day=5),
    origin=datetime(2026, 11, 22, 21, 50, tzinfo=UTC),  # ten minutes before their midnight
    skew_s=20.0,
)


async def more_work_than_fits_in_a_minute(stage: Stage) -> None:
    stage.start()
    stage.act(*many(person, 25))
    await stage.rest()


async def calls_arrive_long_after_their_start(stage: Stage) -> None:
    """Ten calls take nine seconds to arrive; those of the next minute are quick."""
    stage.start()
    stage.act(*person(30))  # for the sake of a token
    await stage.clock.sleep(120)
    stage.line.carry_s = 9.0
    stage.act(*many(person, 20))
    await stage.clock.sleep(3)
    stage.line.carry_s = 0.02
    await stage.rest()


async def a_worker_dies_with_calls_under_way(stage: Stage) -> None:
    """Nobody writes down how ten calls ended, and there is more to do."""
    stage.start("w1")
    await stage.clock.sleep(70)
    kill = stage.workers["w1"].kill
    stage.on("w1", "call: answered, reply lost", kill, nth=10)
    stage.act(*many(person, 20))
    await stage.clock.sleep(1)
    stage.start("w2")
    await stage.rest()


async def more_work_than_may_be_in_flight(stage: Stage) -> None:
    stage.start()
    stage.act(*many(person, 12))
    await stage.rest()


async def our_midnight_is_before_theirs(stage: Stage) -> None:
    """The database's clock is twenty seconds ahead, and the day is spent."""
    stage.start()
    stage.act(*many(person, 9))
    await stage.clock.sleep(700)
    await stage.rest(hours=1)


async def two_workers_want_a_token_at_once(stage: Stage) -> None:
    stage.act(*many(person, 15))
    stage.start("w1")
    stage.start("w2")
    await stage.rest()
    mints = stage.sandbox.ledger.token_mints
    stage.must(mints == 1, f"{mints} tokens were minted where one was enough")


async def tokens_die_every_twenty_seconds(stage: Stage) -> None:
    """Another program of the same client evicts ours again and again."""
    stage.start()
    stage.act(*person(1))
    await stage.rest()
    for turn in range(14):
        stage.sandbox.tokens.expire()
        stage.act(f"update people set phone = '{turn}'")
        await stage.clock.sleep(20)
    await stage.rest()


async def a_token_dies_before_its_time(stage: Stage) -> None:
    stage.start()
    stage.act(*person(1))
    await stage.rest()
    stage.sandbox.tokens.expire()
    stage.act("update people set phone = '2'")
    await stage.rest(hours=0.5)


async def zoho_blocks_us(stage: Stage) -> None:
    """One refusal with a Retry-After, and plenty to do."""
    stage.faults(Fault("rate_limit", "POST /customers", nth=3, seconds=30.0))
    stage.line.bring_s = 2.0
    stage.start(slots=2)
    stage.act(*many(person, 6))
    await stage.rest()


async def zoho_blocks_us_again_and_again(stage: Stage) -> None:
    """The same record meets one block after the other."""
    stage.faults(Fault("rate_limit", "POST /customers", times=4, seconds=60.0))
    stage.start()
    stage.act(*person(1))
    await stage.rest()


async def zoho_is_down_for_ten_minutes(stage: Stage) -> None:
    """Every call is answered with an error."""
    stage.faults(Fault("error_before_commit", rate=1.0))
    stage.start(slots=6, poll_s=5.0)
    stage.act(*many(person, 12))
    await stage.clock.sleep(600)
    calls = len(stage.sandbox.ledger.calls())
    stage.must(calls <= 20, f"{calls} calls were spent on a Zoho that was down")
    stage.faults()
    await stage.rest()


TWENTY_A_MINUTE = replace(_limits(per_minute=20), sandbox={"latency_s": (0.5, 0.5)})
FIVE_A_MINUTE = _limits(per_minute=5)


async def a_block_ends_and_everybody_waits(stage: Stage) -> None:
    """Ten records wait for the end of it; the first call has to say that it is over."""
    stage.faults(Fault("rate_limit", "POST /customers", nth=2, seconds=60.0))
    stage.start(slots=10)
    stage.act(*many(person, 10))
    await stage.rest()
    calls = stage.sandbox.ledger.calls("POST /customers")
    refused = next(place for place, call in enumerate(calls) if call.status == 429)
    first, second = calls[refused + 1 : refused + 3]
    stage.must(
        first.left_s is not None and second.arrived_s >= first.left_s,
        "two calls at once found out that the block was over",
    )


async def people_come_while_a_backfill_runs(stage: Stage) -> None:
    """Thirty products in the lane of backfills; five people a little later."""
    stage.start(slots=10)
    stage.act(*many(product, 30))
    await stage.clock.sleep(20)
    since_s = stage.clock.monotonic()
    stage.act(*many(person, 5))
    await stage.rest()
    last_s = stage.sandbox.ledger.calls("POST /customers")[4].arrived_s - since_s
    stage.must(last_s <= 15, f"the last of five people waited {last_s:.0f} s for a backfill")


async def more_people_than_the_minute_holds(stage: Stage) -> None:
    """Thirty people at once, where five a minute may be; a product waits beside them."""
    stage.start(slots=10)
    stage.act(*many(person, 30))
    await stage.clock.sleep(20)
    stage.act(*product(1))
    await stage.rest()
    first_s = stage.sandbox.ledger.calls("POST /products")[0].arrived_s
    stage.must(first_s <= 150, f"a product waited {first_s:.0f} s while people went before it")
