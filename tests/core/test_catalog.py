"""When a kept list answers, what is like a name, and how long a look in vain is remembered."""

from hypothesis import given
from hypothesis import strategies as st

from core.builders import claim, planned, wanted
from zohosync.core.catalog import (
    REMEMBERED_MAX_S,
    Copy,
    Need,
    is_running_out,
    kept_of,
    matching,
    near,
    need_of,
    remembered_s,
    sought_again_s,
)
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.plan import REFUSED, SOUGHT
from zohosync.core.records import ParentView, Ref
from zohosync.core.steps import Fail, Find, Purpose, Skip, Wait

GOLD = {"plan_code": "gold", "status": "active"}
COPY = Copy({"gold": GOLD, "old": {"plan_code": "old-gold", "status": "inactive"}}, 10.0)


@given(
    age_s=st.none() | st.floats(0, 1e6),
    current=st.booleans(),
    found=st.booleans(),
    ttl_s=st.floats(1, 1e6),
    misses_ttl_s=st.floats(1, 1e4),
)
def test_what_a_copy_lacks_is_never_said_of_an_old_one(
    age_s: float | None, current: bool, found: bool, ttl_s: float, misses_ttl_s: float
) -> None:
    copy = Copy({}, age_s, current)
    need = need_of(copy, found=found, ttl_s=ttl_s, misses_ttl_s=misses_ttl_s)
    young = current and age_s is not None and age_s < ttl_s
    if found:
        assert need == (Need.NONE if young else Need.SOON), "it serves while it is read anew"
    else:
        assert (need is Need.NONE) == (young and age_s is not None and age_s < misses_ttl_s)
        assert need is not Need.SOON
    assert is_running_out(copy, ttl_s) >= (age_s is not None and not young)


@given(st.integers(0, 1_000), st.floats(1, 10_000))
def test_a_look_in_vain_is_remembered_for_longer_each_time(looks: int, ttl_s: float) -> None:
    assert remembered_s(looks, ttl_s) <= remembered_s(looks + 1, ttl_s) <= REMEMBERED_MAX_S
    assert 3_600 <= sought_again_s(looks) <= sought_again_s(looks + 1) <= 86_400


def test_only_what_is_in_use_and_exactly_that_is_a_match() -> None:
    assert [each.zoho_id for each in matching(COPY, {"plan_code": "gold"})] == ["gold"]
    assert matching(COPY, {"plan_code": "Gold"}) == ()
    assert matching(COPY, {"plan_code": "old-gold"}) == ()


def test_what_is_like_a_name_is_told_nearest_first_and_never_more_than_three() -> None:
    assert near("glod", COPY, "plan_code") == ("gold",)
    assert near("GOLD", COPY, "plan_code") == ("gold", "old-gold (inactive in Zoho)")
    assert near("old-gold", COPY, "plan_code")[0] == "old-gold (inactive in Zoho)"
    assert near("fibre 100", COPY, "plan_code", ["fibre-100", "7"]) == ("fibre-100",)
    assert near("zzz", COPY, "plan_code", ["7"]) == ()
    assert len(near("a1", Copy(), "plan_code", [f"a{n}" for n in range(20)])) == 3


def test_only_what_a_row_may_say_of_a_record_is_kept_of_it() -> None:
    fields = {**GOLD, "recurring_price": 5, "product_id": "p", "secret": "x", "created_time": "t"}
    assert set(kept_of(KINDS["plans"], fields)) == {
        "plan_code", "status", "recurring_price", "product_id",
    }  # fmt: skip


PLAN = Ref("plans", "1")


def parents(**view: object) -> dict[Ref, ParentView]:
    known = {slot.parent: ParentView(slot.parent, "z") for slot in wanted("subscriptions").slots}
    return known | {PLAN: ParentView(PLAN, **view)}  # type: ignore[arg-type]


def test_an_unknown_parent_refuses_its_child_once_it_was_looked_for() -> None:
    row, held = wanted("subscriptions"), claim("subscriptions")
    assert planned(row, held, parents=parents()) == Wait(
        PLAN, frozenset(), "plans 1 is not in Zoho yet", 60.0
    )
    refused = planned(row, held, parents=parents(unlisted="no such", looked_s=59.0, looks=1))
    assert isinstance(refused, Fail)
    problem = refused.problem
    assert (problem.message, problem.field, problem.code) == ("no such", "plan_key", REFUSED)
    assert (refused.parent, refused.seek_s) == (PLAN, 60.0), "and looked for again then"
    old = planned(row, held, parents=parents(unlisted="no such", looked_s=61.0, looks=1))
    assert isinstance(old, Wait)
    asked = planned(
        row, claim("subscriptions", looks=1),
        parents=parents(unlisted="no such", looked_s=61.0, looks=1),
    )  # fmt: skip
    assert isinstance(asked, Fail)
    assert asked.seek_s is None, "that look was its own"


def test_what_has_no_row_is_looked_for_only_where_it_may_be_zohos_own_and_a_child_names_it() -> (
    None
):
    for kind in MAPPED:
        assert isinstance(planned(None, claim(kind)), Skip)
        step = planned(None, claim(kind, hints={SOUGHT: True}))
        if KINDS[kind].listed:
            assert step == Find(Purpose.LINK, {KINDS[kind].identity[0]: "1"})
        else:
            assert isinstance(step, Skip)
        linked = claim(kind, hints={SOUGHT: True}, zoho_id="z1")
        assert isinstance(planned(None, linked), Skip)
