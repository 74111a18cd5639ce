"""Comparing with what Zoho holds already: what is one is linked, what is in doubt is left alone."""

import asyncio

import pytest

from integration.compare_kit import (
    MAPPING,
    ROWS,
    Scene,
    crowd,
    person,
    raised,
    running,
    seen_id,
    story,
    writes,
)
from zohosync.errors import MappingError, RemoteError
from zohosync.sandbox import Fault, Faults


def test_what_is_one_is_linked_and_then_one_edit_is_one_update(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        ada = person(scene.sandbox, "Ada", "ADA@example.com", phone="1")
        person(scene.sandbox, "Stranger", "stranger@example.com")
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com', '1'),"
            " ('2', 'Bob', 'bob@example.com', '2')"
        )
        found = await scene.compare("customers", link=True)
        assert found["customers"].counts == {"matches": 1, "only here": 1, "only there": 1}
        assert await scene.sorts("customers") == {
            "1": ("linked", ada), "2": ("only here", None),
            "Stranger stranger@example.com": ("only there", (await seen_id(scene, "Stranger"))),
        }  # fmt: skip
        await scene.work()
        assert not writes(scene.sandbox)
        await scene.sql("update people set phone = '77' where id = '1'",
                        "select zohosync.mark('customers', '1')")  # fmt: skip
        await scene.work()
        assert writes(scene.sandbox) == ["PUT /customers/{customer_id}"]
        row = next(r for r in scene.sandbox.ledger.records("customers") if r["customer_id"] == ada)
        assert (row["phone"], row["email"]) == ("77", "ADA@example.com"), (
            "which nobody changed here"
        )

    story(database_url, tell)


def test_ambiguous_rows_are_left_alone_whatever_asks_for_them(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        first = person(scene.sandbox, "Ada", "ada@example.com")
        second = person(scene.sandbox, "Ada B", "ada@example.com")
        person(scene.sandbox, "Cleo", "cleo@example.org")
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com'),"
            " ('2', 'Cleo', 'cleo@example.com'), ('3', 'Dan', 'dan@example.com'),"
            " ('4', 'Dan Two', 'dan@example.com')"
        )
        dan = person(scene.sandbox, "Dan", "dan@example.com")
        await scene.compare("customers", link=True)
        assert await scene.sorts("customers") == {
            "1": ("ambiguous", None), "2": ("ambiguous", None), "3": ("ambiguous", None),
            "4": ("ambiguous", None),
        }  # fmt: skip
        for key in "1234":
            await scene.sql(f"select zohosync.mark('customers', '{key}', 10)")
        await scene.world.source.mark_all("customers", priority=1)
        await scene.work()
        assert not writes(scene.sandbox)
        held = await scene.rows("select key, status, rivals from zohosync.records order by key")
        assert [row["status"] for row in held] == ["failed"] * 4
        assert held[0]["rivals"] == sorted([first, second])
        assert held[2]["rivals"] == [dan]

    story(database_url, tell)


def test_a_row_that_slips_from_a_list_while_it_is_read_is_found_all_the_same(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        *ids, stranger = crowd(scene.sandbox, 249)
        await scene.sql(f"{ROWS} generate_series(1, 249) n")
        gone: list[str] = []

        def delete(kind: str, page: int) -> None:  # so p50 moves from page 2 to page 1
            if page == 1 and not gone:
                gone.append(kind)
                scene.sandbox.by_hand("DELETE", f"customers/{stranger}")

        scene.on_page.append(delete)
        found = await scene.compare("customers", link=True)
        assert gone
        assert found["customers"].calls == 4, "read twice"
        sorts = await scene.sorts("customers")
        assert sorts["50"] == ("linked", ids[49])
        assert {sort for key, (sort, _) in sorts.items() if key.isdigit()} == {"linked"}
        await scene.work()
        assert not writes(scene.sandbox)

    story(database_url, tell)


def test_a_list_that_changes_its_order_is_read_again_and_never_taken_for_whole(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        crowd(scene.sandbox, 300)
        await scene.sql(f"{ROWS} generate_series(1, 300) n")
        mixed = Fault("reordered", "GET /customers", nth=2, times=1)
        scene.sandbox.set_faults(Faults([mixed]))
        found = await scene.compare("customers")
        assert found["customers"].counts == {"matches": 300, "only there": 1}
        scene.sandbox.set_faults(Faults([mixed, Fault("reordered", "GET /customers", nth=4)]))
        with pytest.raises(RemoteError, match="changed its order while it was read, twice"):
            await raised(scene.compare("customers"))
        scene.sandbox.set_faults(Faults())
        again = await scene.compare("customers")
        assert again["customers"].counts == found["customers"].counts

    story(database_url, tell)


def test_a_comparison_that_was_broken_off_goes_on_where_it_was(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        crowd(scene.sandbox, 450)
        await scene.sql(f"{ROWS} generate_series(1, 450) n")
        away = Fault("refused_200", "GET /customers", nth=3, times=1)
        scene.sandbox.set_faults(Faults([away]))
        with pytest.raises(RemoteError, match=r"customers was read to page 2 only.*goes on there"):
            await raised(scene.compare("customers"))
        found = await scene.compare("customers")
        assert found["customers"].counts == {"matches": 450, "only there": 1}
        assert found["customers"].calls == 3

    story(database_url, tell)


def test_a_slow_zoho_is_waited_for_and_it_is_said_why_and_how_long(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        crowd(scene.sandbox, 3)
        await scene.sql(f"{ROWS} generate_series(1, 3) n")
        found = await scene.compare("customers")
        assert found["customers"].counts == {"matches": 3, "only there": 1}
        again = "Internal Error; page 1 of customers is asked for again in"
        assert scene.waits == [f"{again} {seconds} s" for seconds in (10, 20, 40)]

    away = Fault("error_before_commit", "GET /customers", nth=1, times=3, status=503)
    story(database_url, tell, faults=Faults([away]))


def test_a_mapping_that_returns_a_row_twice_is_named_and_nothing_is_linked(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        crowd(scene.sandbox, 2)
        await scene.sql(f"{ROWS} generate_series(1, 2) n")
        with pytest.raises(MappingError, match=r"returns key [12] 2 times .2 keys"):
            await raised(scene.compare("customers", link=True))
        assert not await scene.rows("select from zohosync.records")

    twice = MAPPING["customers"] + " union all " + MAPPING["customers"]
    story(database_url, tell, mapping={**MAPPING, "customers": twice})


def test_a_mapping_that_returns_nothing_or_half_leaves_every_link_as_it_is(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        crowd(scene.sandbox, 4)
        await scene.sql(f"{ROWS} generate_series(1, 4) n")
        await scene.compare("customers", link=True)
        linked = await scene.rows("select key, zoho_id, status from zohosync.links order by key")
        for remove in ("delete from people where id > '2'", "truncate people"):
            await scene.sql(remove)
            await scene.compare("customers", link=True)
            sorts = await scene.sorts("customers")
            assert [sorts[key][0] for key in "1234"] == ["linked"] * 4
        now = await scene.rows("select key, zoho_id, status from zohosync.links order by key")
        assert now == linked
        assert not writes(scene.sandbox)

    story(database_url, tell)


def test_ids_of_the_mapping_that_are_of_another_organisation_link_nothing(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        *_, first, second = [person(scene.sandbox, f"P {n}", f"p{n}@example.com") for n in (1, 2)]
        await scene.sql(
            f"insert into people values ('1', 'P 1', 'p1@example.com', '999'), "
            f"('2', 'P 2', 'p2@example.com', '{first}'), ('3', 'P 3', 'p3@example.com', null),"
            f"('4', 'P 2', 'other@example.com', '{second}')"
        )
        await scene.compare("customers", link=True)
        sorts = await scene.sorts("customers")
        assert sorts["1"] == ("ambiguous", None)
        assert sorts["2"] == ("ambiguous", None)
        assert sorts["3"] == ("only here", None)
        assert sorts["4"] == ("linked", second), "another e-mail, the same name, and the id"

    seeded = "select p.id as key, p.name as display_name, p.email, p.phone as zoho_id from people p"
    story(database_url, tell, mapping={"customers": seeded}, live=True)


def test_what_was_edited_in_zoho_is_shown_and_a_backfill_sends_ours(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        await scene.sql(f"{ROWS} generate_series(1, 3) n")
        await scene.world.source.mark_all("customers", priority=1)
        await scene.work()
        ids = {row["key"]: row["zoho_id"] for row in await scene.rows(
            "select key, zoho_id from zohosync.links")}  # fmt: skip
        body = {"display_name": "Renamed", "email": "p2@example.com"}
        scene.sandbox.by_hand("PUT", f"customers/{ids['2']}", body)
        assert (await scene.compare("customers"))["customers"].counts == {
            "linked": 2, "differs": 1,
        }  # fmt: skip
        proofs = await scene.rows("select key, proof from zohosync.records order by key")
        assert [sorted(row["proof"]) for row in proofs] == [
            ["display_name", "email", "phone"], ["email", "phone"],
            ["display_name", "email", "phone"],
        ]  # fmt: skip
        await scene.work()
        made = len(writes(scene.sandbox))
        assert await scene.store.resend("customers") == 1
        await scene.world.source.mark_all("customers", priority=1)
        await scene.work()
        assert writes(scene.sandbox)[made:] == ["PUT /customers/{customer_id}"]
        names = {row["display_name"] for row in scene.sandbox.ledger.records("customers")}
        assert names == {"P 1", "P 2", "P 3"}

    story(database_url, tell)


def test_a_worker_may_work_meanwhile_and_nothing_is_made_twice(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        crowd(scene.sandbox, 250)
        await scene.sql(f"{ROWS} generate_series(1, 260) n")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.world.service.run(stop))
            for _ in range(2):
                outcome = await scene.comparer.compare("customers")
                await scene.link("customers", outcome.comparison_id)
                await scene.world.source.mark_all("customers", priority=1)
                await scene.clock.sleep(600)
            stop.set()
        customers = scene.sandbox.ledger.records("customers")
        assert len(customers) == 261
        assert writes(scene.sandbox) == ["POST /customers"] * 10
        assert {sort for sort, _ in (await scene.sorts("customers")).values()} == {
            "linked", "only there",
        }  # fmt: skip

    story(database_url, tell)


def test_a_payment_that_zoho_may_have_is_not_posted_and_one_that_it_cannot_have_is(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        customer = person(scene.sandbox, "P 1", "p1@example.com")
        item = scene.sandbox.by_hand("POST", "items", {"name": "Goods", "rate": 1})
        for n in (1, 2):
            line = {"product_id": item["item"]["item_id"], "name": "Goods", "price": 50}
            made = scene.sandbox.by_hand("POST", "invoices", {
                "customer_id": customer, "invoice_number": f"B-{n}", "date": "2026-11-01",
                "due_date": "2026-11-01", "invoice_items": [{**line, "quantity": 1}],
            })["invoice"]  # fmt: skip
            scene.sandbox.by_hand("POST", f"invoices/{made['invoice_id']}/converttoopen")
            if n == 1:
                use = [{"invoice_id": made["invoice_id"], "amount_applied": 50}]
                scene.sandbox.by_hand("POST", "payments", {
                    "customer_id": customer, "amount": 50, "date": "2026-11-02",
                    "payment_mode": "cash", "invoices": use,
                })  # fmt: skip
        await scene.sql(
            f"{ROWS} generate_series(1, 1) n",
            "insert into bills select n, '1', 'B-' || n, 50, '2026-11-01' "
            "from generate_series(1, 2) n",
            "insert into paid values (1, 1, 50), (2, 2, 50)",
        )
        await scene.compare("customers", "invoices", "payments", link=True)
        assert {key: sort for key, (sort, _) in (await scene.sorts("payments")).items()} == {
            "1": "ambiguous", "2": "only here",
        }  # fmt: skip
        await scene.world.source.mark_all("payments", priority=1)
        await scene.work()
        assert writes(scene.sandbox) == ["POST /payments"]
        paid = scene.sandbox.ledger.records("payments")
        assert sorted(row["reference_number"] for row in paid) == ["", "P-2"]

    story(database_url, tell)


def test_by_night_what_drifted_and_what_is_there_twice_is_told_and_left_alone(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        await scene.sql(f"{ROWS} generate_series(1, 3) n")
        await scene.world.source.mark_all("customers", priority=1)
        await scene.work()
        made, told = len(writes(scene.sandbox)), list[str]()
        person(scene.sandbox, "P 1", "p1@example.com")
        linked = await seen_id(scene, "P 2")
        body = {"display_name": "P 2", "email": "p2@example.com", "phone": "by hand"}
        scene.sandbox.by_hand("PUT", f"customers/{linked}", body)
        async with running(scene.world):
            await scene.sentinel(told).look()
            sparing = list[str]()
            assert await scene.sentinel(sparing, per_day=40).look() == []
        assert told == [
            "1 customers differ in Zoho from what is here: zohosync compare customers",
            "1 customers are in Zoho twice: zohosync compare customers",
        ]
        assert "over a tenth of the 40 of a day" in sparing[0]
        sorts = await scene.sorts("customers")
        assert sorts["1"][0] == "double"
        assert len(writes(scene.sandbox)) == made

    story(database_url, tell)


def test_what_a_person_said_it_is_not_is_no_candidate_ever_again(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        person(scene.sandbox, "Ada", "ada@example.com")
        await scene.sql("insert into people values ('1', 'Ada B', 'ada@example.org')",
                        "insert into people values ('2', 'Ada', 'ada@example.net')")  # fmt: skip
        await scene.compare("customers", link=True)
        assert (await scene.sorts("customers"))["2"] == ("ambiguous", None)
        assert await scene.store.free("customers", {"2": None}) == ["2"]
        await scene.compare("customers", link=True)
        assert (await scene.sorts("customers"))["2"] == ("only here", None)
        await scene.world.source.mark_all("customers", priority=1)
        await scene.work()
        assert writes(scene.sandbox) == ["POST /customers"] * 2

    story(database_url, tell)
