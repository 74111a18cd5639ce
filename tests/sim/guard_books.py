"""Stories about a company's real books: compared, linked, braked, settled by a person."""

from typing import Any

from sim.crash_operations import person, plan, service
from sim.guard_kit import Setting, Stage, many
from sim.guard_stories import warm
from zohosync.core.brake import Brake
from zohosync.core.records import Ref
from zohosync.core.settling import Word
from zohosync.sandbox import Fault
from zohosync.simulate.errands import compare, let_through, link, settle

FEW = Setting(brake=Brake(endings=4, updates=5))
"""A brake that takes little."""

GONE = Setting(when_gone={"customers": "inactivate"})
"""A company that ends in Zoho what is gone here."""

NIGHTS = Setting(night="02:30")
"""A company whose worker compares unasked; its night is far from what is told."""


def hand(stage: Stage, kind: str, told: dict[str, Any]) -> str:
    """Somebody makes a record in Zoho by hand; returns its id."""
    made: dict[str, Any] = stage.sandbox.by_hand("POST", f"/{kind}", told)[kind.removesuffix("s")]
    zoho_id = str(made[f"{kind.removesuffix('s')}_id"])
    stage.touched[kind, zoho_id] = "made by hand"
    return zoho_id


def twin(stage: Stage, n: int = 1, **more: str) -> str:
    """A customer in Zoho that looks like person n."""
    told = {"display_name": f"Person {n}", "email": f"person{n}@example.com", **more}
    return hand(stage, "customers", told)


def linked(stage: Stage, key: str = "c1", kind: str = "customers") -> str | None:
    """What a record is linked to."""
    found = f"select zoho_id from zohosync.records where kind = '{kind}' and key = '{key}'"
    rows = stage.rows(found)
    return rows[0]["zoho_id"] if rows else None


async def twelve_people_are_closed_at_once(stage: Stage) -> None:
    """By one UPDATE, before two workers; an operator looks, and lets it happen."""
    stage.start("w1", slots=3)
    stage.start("w2", slots=3)
    stage.act(*many(person, 12))
    await stage.rest()
    stage.act("update people set closed = true")
    await stage.clock.sleep(600)
    ended = stage.calls("POST /customers/{customer_id}/markasinactive")
    stage.must(ended <= 4, f"{ended} customers were ended before anybody looked")
    told = stage.rows("select why from zohosync.audit where act = 'brake'")
    stage.must(len(told) == 1, f"it was told {len(told)} times")
    await stage.command(let_through(["customers"]))
    await stage.rest()


async def everybody_is_given_another_key(stage: Stage) -> None:
    """By one UPDATE, before two workers: all are gone, and all are there."""
    stage.start("w1", slots=3)
    stage.start("w2", slots=3)
    stage.act(*many(person, 6))
    await stage.rest()
    were = {linked(stage, f"c{n}") for n in range(1, 7)}
    stage.excused |= {("customers", f"c{n}") for n in range(1, 7)}
    stage.act("update people set id = 'new-' || id")
    await stage.rest()
    ended = stage.calls("POST /customers/{customer_id}/markasinactive")
    stage.must(ended == 0, f"{ended} customers were ended, and all are there")
    now = {linked(stage, f"new-c{n}") for n in range(1, 7)}
    stage.must(now == were, f"their links went from {were} to {now}")


async def a_mapping_edit_would_change_twelve_people(stage: Stage) -> None:
    """The worker is started anew with it; an operator looks, and lets it happen."""
    stage.start("w1")
    stage.act(*many(person, 12))
    await stage.rest()
    stage.workers.pop("w1").stop()
    await stage.clock.sleep(60)
    stage.mapping["customers"] = stage.mapping["customers"].replace("c.phone,", "'7' as phone,")
    stage.start("w2")
    await stage.clock.sleep(1_200)
    puts = stage.calls("PUT /customers/{customer_id}")
    stage.must(puts == 0, f"{puts} customers were changed before anybody looked")
    await stage.command(let_through(["customers"]))
    await stage.rest()


async def a_row_may_be_in_zoho_already(stage: Stage) -> None:
    """Two customers there have its address, and nobody has said which is it."""
    twin(stage)
    twin(stage)
    stage.excused.add(("customers", "c1"))
    stage.act(*person(1))
    await stage.command(compare("customers"))
    stage.start()
    await stage.rest()
    stage.act("update people set phone = '2'")
    await stage.rest()
    made = stage.calls("POST /customers")
    stage.must(made == 0, "what may be in Zoho already was made")


async def a_zombie_compares_what_another_has_compared(stage: Stage) -> None:
    """It read the rows before one of them changed; it wakes when another one is done with them."""
    twin(stage)
    twin(stage)
    stage.excused.add(("customers", "c1"))
    stage.act(*person(1), "update people set name = 'Bob', email = 'bob@example.com'")
    stage.on("zombie", "before read_links_of", lambda: stage.hold("zombie"))
    late = stage.tasks.create_task(stage.command(compare("customers", link=False), "zombie"))
    await stage.clock.sleep(200)
    stage.act("update people set name = 'Person 1', email = 'person1@example.com'")
    await stage.command(compare("customers", link=False))
    stage.free("zombie")
    await late
    stage.start()
    await stage.rest()
    made = stage.calls("POST /customers")
    stage.must(made == 0, "what may be in Zoho already was made")


async def a_row_slips_from_the_list(stage: Stage) -> None:
    """A customer is deleted while the list is read, so that ours moves to the page before."""
    twin(stage)
    for n in range(2, 201):
        twin(stage, n)
    stranger = twin(stage, 999)
    stage.act(*person(1))
    gone: list[str] = []

    def delete(_kind: str, what: str, page: int) -> None:
        if what == "read" and page == 1 and not gone:
            gone.append(stranger)
            stage.sandbox.by_hand("DELETE", f"/customers/{stranger}")

    await stage.command(compare("customers", tell=delete))
    stage.must(bool(gone), "nothing slipped")
    stage.start()
    await stage.rest()
    made = stage.calls("POST /customers")
    stage.must(made == 0, "what slipped from the list was made")


async def a_row_becomes_somebody_else_before_it_is_linked(stage: Stage) -> None:
    """Compared and found; then its key is given to Bob; then what was found is linked."""
    ada = twin(stage)
    stage.act(*person(1))
    await stage.command(compare("customers", link=False))
    stage.act("update people set name = 'Bob', email = 'bob@example.com'")
    await stage.command(link("customers"))
    stage.must(linked(stage) != ada, "Bob is linked to Ada")
    await stage.command(compare("customers"))
    stage.start()
    await stage.rest()


async def a_linked_row_is_written_again_as_it_is(stage: Stage) -> None:
    """Zoho has another telephone number of it; a job writes every row again; then it changes."""
    twin(stage, phone="9")
    stage.act(*person(1))
    await stage.command(compare("customers"))
    stage.start()
    stage.act("update people set id = id")
    await stage.rest()
    puts = stage.calls("PUT /customers/{customer_id}")
    stage.must(puts == 0, "a linked row was sent before it changed")
    stage.act("update people set phone = '2'")
    await stage.rest()
    puts = stage.calls("PUT /customers/{customer_id}")
    stage.must(puts == 1, f"one edit of a linked row is {puts} updates")


async def a_child_is_compared_while_its_parent_is_in_doubt(stage: Stage) -> None:
    """Two may be the customer; one of them has the service. A person says which; then again."""
    stage.start()
    stage.act(*plan(1))
    await stage.rest()
    stage.workers.pop("w1").stop()
    await stage.clock.sleep(60)
    first, _ = twin(stage), twin(stage)
    has = {"customer_id": first, "plan": {"plan_code": "P-1", "quantity": 1, "price": 50}}
    mine = hand(stage, "subscriptions", {**has, "starts_at": "2026-11-20"})
    stage.act(*person(1), *service(1))
    await stage.command(compare("products", "plans", "customers", "subscriptions"))
    await stage.command(settle(Ref("customers", "c1"), Word.LINK, first))
    stage.start("w2")
    await stage.rest()
    made = stage.calls("POST /subscriptions")
    stage.must(made == 0, "a second subscription was made")
    await stage.command(compare("customers", "subscriptions"))
    await stage.rest()
    stage.must(linked(stage, "s1", "subscriptions") == mine, "its subscription is not linked")


async def a_person_says_who_it_is_and_nobody_compares_again(stage: Stage) -> None:
    """Two may be the customer, so what they have is in doubt; there is none of it in Zoho."""
    stage.act(*plan(1))
    first, _ = twin(stage), twin(stage)
    stage.act(*person(1), *service(1))
    await stage.command(compare("products", "plans", "customers", "subscriptions"))
    stage.start()
    await stage.rest()
    await stage.command(settle(Ref("customers", "c1"), Word.LINK, first))
    await stage.rest()
    stage.must(stage.calls("POST /subscriptions") == 0, "made before Zoho was asked for it")
    await stage.clock.sleep(2 * 3_600)
    made = stage.calls("POST /subscriptions")
    stage.must(made == 1, f"{made} subscriptions were made of the one that was in doubt")


async def a_service_waits_for_whom_compare_links(stage: Stage) -> None:
    """Two may be the customer, so its service waits; one of the two goes, and the other is it."""
    one, other = twin(stage), twin(stage)
    stage.act(*plan(1), *person(1), *service(1))
    await stage.command(compare("customers"))
    stage.start()
    await stage.rest()
    stage.must(stage.calls("POST /subscriptions") == 0, "its service did not wait")
    stage.sandbox.by_hand("DELETE", f"/customers/{other}")
    await stage.command(compare("customers"))
    stage.must(linked(stage) == one, "the one that is left was not linked")
    await stage.rest()
    stage.must(stage.calls("POST /subscriptions") == 1, "what waited for it waits for good")


async def a_person_says_that_it_is_none_of_them(stage: Stage) -> None:
    """Then one of the two goes, so that the other is the only one that looks like it."""
    one, other = twin(stage), twin(stage)
    stage.act(*person(1))
    await stage.command(compare("customers"))
    await stage.command(settle(Ref("customers", "c1"), Word.NEW))
    stage.sandbox.by_hand("DELETE", f"/customers/{other}")
    await stage.command(compare("customers"))
    stage.must(linked(stage) != one, "it was linked to what a person said it is not")
    stage.start()
    await stage.rest()


async def a_person_says_new_while_its_create_is_in_doubt(stage: Stage) -> None:
    """The compare has found what nobody heard of being made, and somebody takes it for another."""
    stage.start("w1")
    await warm(stage)
    stage.on("w1", "call: answered, reply lost", stage.workers["w1"].kill)
    stage.act(*person(1))
    await stage.clock.sleep(60)
    stage.faults(Fault("error_before_commit", "GET /customers", rate=1.0))
    stage.start("w2")
    await stage.clock.sleep(60)
    stage.workers.pop("w2").kill()
    stage.faults()
    await stage.command(compare("customers", link=False))
    held = stage.rows("select rivals from zohosync.records where key = 'c1'")
    stage.must(bool(held and held[0]["rivals"]), "the comparison did not find it")
    await stage.command(settle(Ref("customers", "c1"), Word.NEW))
    stage.start("w3")
    await stage.rest()
