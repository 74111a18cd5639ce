"""Stories about writes whose outcome is not known, and about workers that wake up too late."""

from sim.crash_operations import bill, person, product
from sim.guard_kit import Stage
from zohosync.sandbox import Fault
from zohosync.store.tapped import LOST

EDIT = "update people set phone = '2' where id = 'c1'"


async def warm(stage: Stage) -> None:
    """There is a token, so that the next call is the one that the story is about."""
    stage.act(*person(30))
    await stage.clock.sleep(10)


async def a_zombie_sends_what_another_has_sent(stage: Stage) -> None:
    """Frozen between its claim and its call, past the lease; it wakes when all is done."""
    stage.start("w1")
    await stage.clock.sleep(5)
    stage.on("w1", "before claim_records", lambda: stage.hold("w1"))
    stage.act(*person(1))
    await stage.clock.sleep(5)
    stage.start("w2")
    await stage.clock.sleep(120)
    stage.free("w1")
    await stage.rest()


async def a_zombie_wakes_after_its_send_deadline(stage: Stage) -> None:
    """Frozen with leave to call, until others have looked twice and made the record anew."""
    stage.start("w1")
    await warm(stage)
    stage.on("w1", "before open_calls", lambda: stage.hold("w1"))
    stage.act(*person(1))
    await stage.clock.sleep(5)
    stage.start("w2")
    await stage.clock.sleep(2_400)
    stage.free("w1")
    await stage.rest()


async def a_zombie_settles_while_another_calls(stage: Stage) -> None:
    """Its own call never left; it says so while the one that made the record anew is on its way."""
    stage.start("w1")
    await warm(stage)
    stage.on("w1", "before finish_calls", lambda: stage.hold("w1"))
    stage.line.refuses = True
    stage.act(*person(1))
    await stage.clock.sleep(5)
    stage.start("w2")
    stage.line.bring_s = 10.0
    stage.faults(Fault("lost_reply", "POST /customers"))
    while stage.calls("POST /customers") < 2 and stage.clock.monotonic() < 4_000:
        await stage.clock.sleep(1)
    stage.free("w1")
    await stage.clock.sleep(20)
    stage.line.bring_s = 0.05
    await stage.rest()


async def a_worker_is_killed_before_it_hears(stage: Stage) -> None:
    """The record is made in Zoho, and whoever asked for it is gone."""
    stage.start("w1")
    await warm(stage)
    stage.on("w1", "call: answered, reply lost", stage.workers["w1"].kill)
    stage.act(*person(1))
    await stage.clock.sleep(5)
    stage.start("w2")
    await stage.rest()


async def a_worker_stops_with_a_write_in_doubt(stage: Stage) -> None:
    """Its settlement is lost again and again, and then it is asked to stop."""
    stage.start("w1")
    await stage.clock.sleep(5)

    def lose() -> None:
        stage.line.verdict = LOST

    for nth in range(1, 5):
        stage.on("w1", "before settle_record", lose, nth=nth)
    stage.act(*person(1))
    await stage.clock.sleep(5)
    stage.workers["w1"].stop()
    await stage.clock.sleep(2)
    stage.start("w2")
    await stage.rest()


async def a_reply_is_lost(stage: Stage) -> None:
    """The simplest of all troubles."""
    stage.faults(Fault("lost_reply", "POST /customers"))
    stage.start()
    stage.act(*person(1))
    await stage.rest()


async def a_row_changes_while_a_write_is_in_doubt(stage: Stage) -> None:
    """Marks, and an operator's retry, come while nobody knows."""
    stage.faults(Fault("late_commit", "POST /customers", seconds=290.0))
    stage.start()
    stage.act(*person(1))
    await stage.clock.sleep(100)
    stage.act(EDIT)
    await stage.rest()


async def it_commits_late_and_is_listed_later_still(stage: Stage) -> None:
    """Five minutes until Zoho does it, and sixteen more until its lists show it."""
    stage.faults(
        Fault("late_commit", "POST /customers", seconds=300.0),
        Fault("stale_list", "GET /customers", times=9, seconds=1_000.0),
    )
    stage.start()
    stage.act(*person(1))
    await stage.rest()


async def it_is_done_after_our_time_limit(stage: Stage) -> None:
    """Zoho does it twenty seconds after we have given up."""
    stage.faults(Fault("late_commit", "POST /customers", seconds=50.0))
    stage.start()
    stage.act(*person(1))
    await stage.rest()
    await stage.clock.sleep(60)


async def a_stranger_has_the_same_address(stage: Stage) -> None:
    """A create that never arrived, and a customer in Zoho with the same e-mail and name."""
    told = {"display_name": "Person 1", "email": "person1@example.com"}
    made = stage.sandbox.by_hand("POST", "/customers", told)["customer"]
    stage.touched["customers", made["customer_id"]] = "made by hand"
    stage.faults(Fault("reset", "POST /customers"))
    stage.start()
    stage.act(*person(1))
    await stage.rest()
    taken = stage.rows(f"select key from zohosync.records where zoho_id = '{made['customer_id']}'")
    stage.must(not taken, f"a stranger's customer was taken for ours: {taken}")


async def one_key_is_the_beginning_of_another(stage: Stage) -> None:
    """c10 and c1 share an address; the create of c1 never arrived."""
    stage.start()
    share = "update people set email = 'both@example.com'"
    stage.act(*person(10), share)
    await stage.rest()
    stage.faults(Fault("reset", "POST /customers"))
    stage.act(*person(1), share)
    await stage.rest()


async def others_fill_the_first_page(stage: Stage) -> None:
    """What we made is on the second page of the list when it is looked up."""
    stage.start()
    await warm(stage)
    stage.faults(Fault("lost_reply", "POST /customers"))
    stage.on("w1", "before finish_calls", lambda: _crowd(stage, 210))
    stage.act(*person(1))
    await stage.rest()


async def rows_move_between_the_pages(stage: Stage) -> None:
    """The list is turned over between its two pages, once in each look-up."""
    torn = Fault("reordered", "GET /customers", nth=2)
    stage.start()
    await warm(stage)
    stage.faults(Fault("lost_reply", "POST /customers"), torn)
    stage.on("w1", "before finish_calls", lambda: _crowd(stage, 300))
    stage.act(*person(1))
    for _ in range(3):
        await stage.clock.sleep(600)
        stage.faults(torn)
    await stage.rest()


def _crowd(stage: Stage, count: int) -> None:
    for number in range(count):
        told = {"display_name": f"Guest {number}", "email": f"guest{number}@example.com"}
        made = stage.sandbox.by_hand("POST", "/customers", told)["customer"]
        stage.touched["customers", made["customer_id"]] = "made by hand"


async def a_row_changes_while_its_write_is_under_way(stage: Stage) -> None:
    """The reply takes ten seconds, and the row changes meanwhile."""
    stage.start()
    await stage.clock.sleep(5)
    stage.line.bring_s = 10.0
    stage.act(*person(1))
    await stage.clock.sleep(5)
    stage.act(EDIT)
    await stage.rest()


async def a_call_never_comes_back(stage: Stage) -> None:
    """The connection stays open and silent."""
    stage.start()
    await stage.clock.sleep(5)
    stage.line.bring_s = 1e7
    stage.act(*person(1))
    await stage.clock.sleep(40)
    stage.line.bring_s = 0.05
    await stage.rest(hours=0.5)


async def a_worker_is_killed_and_not_replaced_at_once(stage: Stage) -> None:
    """Killed with a claim in its hands; another one comes later."""
    stage.start("w1")
    await stage.clock.sleep(5)
    stage.on("w1", "before read_parents", stage.workers["w1"].kill)
    stage.act(*product(1), *person(1), *bill(1))
    await stage.clock.sleep(5)
    stage.start("w2")
    await stage.rest(hours=2)


async def a_zombie_calls_while_another_calls(stage: Stage) -> None:
    """Frozen after its claim; it wakes when the one that took over has its own call under way."""
    stage.start("w1")
    await stage.clock.sleep(5)
    stage.on("w1", "before claim_records", lambda: stage.hold("w1"))
    stage.act(*person(1))
    await stage.clock.sleep(5)
    stage.start("w2")
    stage.line.bring_s = 10.0
    while not stage.calls("POST /customers") and stage.clock.monotonic() < 400:
        await stage.clock.sleep(1)
    stage.free("w1")
    await stage.rest()


async def a_call_takes_longer_than_a_lease(stage: Stage) -> None:
    stage.ground.pace = 1.0  # the keeper looks for dead leases every two seconds
    stage.start("w1")
    stage.start("w2")
    await warm(stage)
    stage.line.bring_s = 25.0
    stage.act(*person(1), wake="w1")
    await stage.clock.sleep(26)
    stage.line.bring_s = 0.05
    await stage.rest()
    looks = stage.calls("GET /customers")
    stage.must(looks == 0, "a worker that was alive lost its record")
