"""Each judge lets a right world pass, and names what is wrong in one where a wrong was planted."""

from dataclasses import replace

from sim.oracle_kit import TROUBLE, Stage, judged, right, troubled
from sim.planted import PLANTED, doubled_customer, not_there, other_name
from zohosync.core.brake import Brake
from zohosync.simulate.oracles import judge
from zohosync.simulate.promises import GONE, LIVE, Diary, Entry


def test_a_world_where_all_is_right_is_left_alone(database_url: str) -> None:
    assert judged(database_url, right) == []


def test_each_wrong_is_named_by_its_judge_and_by_no_other(database_url: str) -> None:
    missed: list[str] = []

    async def play(stage: Stage) -> None:
        await troubled(stage)
        await stage.sql("insert into people values (10, 'Live', 'live@example.com')")
        await stage.sql("select zohosync.mark('customers', '10', 10)")
        await stage.rest()
        await stage.joined.service.presence.beat()
        assert await judge(stage.scene) == []  # trouble that was handled well
        for number, (plant, expected) in enumerate(PLANTED):
            async with stage.as_it_was():
                await plant(stage)
                violations = await judge(stage.scene)
            heard = {each.oracle for each in violations} == set(expected)
            for oracle, said in expected.items():
                heard = heard and any(
                    each.oracle == oracle and said in each.what for each in violations
                )
            if not heard:
                missed.append(f"{number}: {expected}, and the judges said {violations}")
        assert await judge(stage.scene) == []

    judged(database_url, play, faults=TROUBLE)
    assert not missed, "\n".join(missed)


def test_what_people_did_and_what_is_excused_is_left_alone(database_url: str) -> None:
    async def play(stage: Stage) -> None:
        await right(stage)
        await doubled_customer(stage)
        made = stage.remote("customers", display_name="Somebody")["customer_id"]
        stage.touch("customers", made, "made by hand")
        await other_name(stage)
        edited = stage.remote("customers", display_name="X")["customer_id"]
        stage.touch("customers", edited, "edited by hand")
        await not_there(stage)
        excused = {("customers", "3"): "gone on purpose"}
        stage.scene = replace(stage.scene, excuse=lambda *ref: excused.get(ref))

    assert judged(database_url, play) == []


def test_a_record_that_people_made_may_come_to_whoever_a_row_that_is_gone_became() -> None:
    diary = Diary(Brake())
    diary.twins["customers", "z1"] = "Ada@example.com"
    for key, stands in {
        "P1": [(LIVE, "ada@example.com"), (LIVE, "a.king@example.com"), (GONE, "")],
        "P2": [(LIVE, "a.king@example.com")],
        "P3": [(LIVE, "bob@example.com")],
    }.items():
        diary.rows["customers", key] = [
            Entry(float(at), stand, (said,) if said else ())
            for at, (stand, said) in enumerate(stands)
        ]
    right = [key for key in ("P1", "P2", "P3") if diary.is_right("customers", "z1", key)]
    assert right == ["P1", "P2"]
    diary.rows["customers", "P1"].pop()  # it is there still: then nobody takes its place
    assert not diary.is_right("customers", "z1", "P2")
