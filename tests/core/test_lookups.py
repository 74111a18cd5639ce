"""What a look-up proves: ours beyond doubt, not there after long enough, or for a person."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.builders import (
    LIVE_POLICY,
    NOW,
    POLICY,
    after,
    candidate,
    claim,
    intent,
    judged,
    linked,
    marker_of,
    payload_of,
    planned,
    settled,
    wanted,
)
from zohosync.core.kinds import MAPPED
from zohosync.core.mapping import internal_desired
from zohosync.core.plan import UNLISTED
from zohosync.core.records import Candidate, Claim, ErrorClass, Payload, Ref, Status
from zohosync.core.replies import Found
from zohosync.core.settlement import UNKNOWN, IntentAfter, Settlement
from zohosync.core.steps import Find, Nothing, Purpose, Update

FIRST, SECOND = POLICY.first_absent_s, POLICY.second_absent_s
TOTAL = Decimal("115.00")


def seen(kind: str, zoho_id: str = "z9", **fields: Any) -> Candidate:
    """What Zoho shows of the sound row, once it is made."""
    return candidate(zoho_id, {**payload_of(kind), "total": TOTAL, **fields})


def uncertain(kind: str, **fields: Any) -> Claim:
    """A record whose create may have happened."""
    total = TOTAL if kind == "invoices" else None
    return claim(kind, intent=intent(payload=payload_of(kind), total=total, **fields))


def verified(held: Claim, *found: Candidate, complete: bool = True, **scene: Any) -> Settlement:
    step = planned(wanted(held.ref.kind), held)
    return judged(step, Found(found, complete), held, **scene)


@pytest.mark.parametrize("kind", MAPPED)
def test_the_record_that_we_made_is_adopted_with_what_was_sent(kind: str) -> None:
    settlement = verified(uncertain(kind), seen(kind))
    assert (settlement.status, settlement.result) == (Status.PENDING, "adopted")
    assert (settlement.zoho_id, settlement.payload) == ("z9", payload_of(kind))
    assert (settlement.intent, settlement.due_in_s) == (IntentAfter.CLOSE, 0.0)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("customers", {"notes": "zs:x:12"}),
        ("customers", {"notes": "zs:y:1"}),
        ("customers", {"notes": None, "custom_fields": 7}),
        ("customers", {"notes": "", "custom_fields": [{"label": "Other", "value": "zs:x:1"}]}),
        ("products", {"name": "hosting"}),
        ("subscriptions", {"reference_id": "zs:x:12"}),
        ("subscriptions", {"customer_id": "somebody else's"}),
        ("invoices", {"invoice_number": "INV-10"}),
        ("invoices", {"customer_id": None}),
        ("payments", {"reference_number": None, "amount": None}),
        ("payments", {"amount": Decimal("115.01"), "reference_number": "PAY-1"}),
    ],
)
def test_what_is_not_ours_beyond_doubt_is_never_adopted(kind: str, fields: Payload) -> None:
    settlement = verified(uncertain(kind), seen(kind, **fields))
    assert settlement.zoho_id is None
    assert (settlement.status, settlement.intent) == (Status.UNCERTAIN, IntentAfter.KEEP)


def test_a_marker_counts_in_its_custom_field_or_in_the_notes() -> None:
    ours = [{"label": "Ours", "value": marker_of("1")}]
    found = seen("customers", notes="", custom_fields=ours)
    assert verified(uncertain("customers"), found, marker_field="Ours").zoho_id == "z9"
    assert verified(uncertain("customers"), seen("customers"), marker_field="Ours").zoho_id == "z9"


def test_an_invoice_with_our_lines_and_another_total_is_linked_and_not_opened() -> None:
    settlement = verified(uncertain("invoices"), seen("invoices", total=Decimal("115.01")))
    assert (settlement.status, settlement.zoho_id) == (Status.FAILED, "z9")
    assert (settlement.due_in_s, settlement.intent) == (None, IntentAfter.CLOSE)
    assert settlement.problem is not None
    assert "115.01 in Zoho" in settlement.problem.message
    assert (settlement.payload or {})["invoice_items"] == UNKNOWN  # so it is sent as a whole


def test_an_invoice_of_our_number_with_other_lines_and_total_is_for_a_person_with_its_id() -> None:
    lines = [{"name": "Something else", "price": Decimal(1), "quantity": 1}]
    found = seen("invoices", total=Decimal("115.01"), invoice_items=lines)
    settlement = verified(uncertain("invoices"), found)
    assert (settlement.result, settlement.due_in_s) == ("undecided", None)
    assert settlement.problem is not None
    assert "z9" in settlement.problem.message


def test_a_payment_without_our_marker_is_for_a_person_and_never_posted_again() -> None:
    for now in (NOW, after(FIRST + SECOND)):
        held = uncertain("payments", absent_at=NOW)
        settlement = verified(held, seen("payments", description="edited"), now=now)
        assert (settlement.result, settlement.intent) == ("undecided", IntentAfter.KEEP)


def test_two_that_are_ours_are_for_a_person() -> None:
    settlement = verified(uncertain("customers"), seen("customers"), seen("customers", "z8"))
    assert (settlement.status, settlement.result) == (Status.UNCERTAIN, "undecided")
    assert (settlement.due_in_s, settlement.intent) == (None, IntentAfter.KEEP)
    assert settlement.problem is not None
    assert "(z8, z9)" in settlement.problem.message


def test_absent_means_absent_twice_ten_minutes_after_the_deadline_and_twenty_later() -> None:
    held = uncertain("customers")
    early = verified(held, now=after(60))
    assert (early.intent, early.due_in_s) == (IntentAfter.KEEP, FIRST - 60)
    first = verified(held, now=after(FIRST))
    assert (first.intent, first.due_in_s) == (IntentAfter.ABSENT, SECOND)
    once = uncertain("customers", absent_at=after(FIRST))
    again = verified(once, now=after(FIRST + 5))
    assert (again.intent, again.due_in_s) == (IntentAfter.KEEP, SECOND - 5)
    last = verified(once, now=after(FIRST + SECOND))
    assert (last.status, last.intent, last.due_in_s) == (Status.PENDING, IntentAfter.CLOSE, 0.0)
    assert [end.looks for end in (early, first, again)] == [1, 1, 1]


@pytest.mark.parametrize("now", [0.0, FIRST, FIRST + SECOND, 1e7])
def test_a_list_not_read_to_its_end_proves_no_absence(now: float) -> None:
    settlement = verified(uncertain("customers", absent_at=NOW), complete=False, now=after(now))
    assert (settlement.status, settlement.intent) == (Status.UNCERTAIN, IntentAfter.KEEP)
    assert settlement.due_in_s == 60.0


def test_a_look_up_that_never_comes_to_its_end_does_not_eat_up_the_days_calls() -> None:
    held = uncertain("customers")
    waits: list[float] = []
    while sum(waits) < 86_400:
        ended = verified(held, complete=False)
        waits.append(ended.due_in_s or 0.0)
        held = replace(held, looks=ended.looks)
    assert len(waits) < 40
    link, waits = 0, list[float]()
    while sum(waits) < 86_400:
        ended = looked(candidate("i1", CHILD), complete=False, attempts=link)
        waits.append(ended.due_in_s or 0.0)
        link = ended.attempts
    assert len(waits) < 40


def test_what_is_linked_to_another_record_is_never_adopted_and_never_doubled() -> None:
    taken = {"z9": Ref("customers", "2")}
    early = verified(uncertain("customers"), seen("customers"), taken=taken)
    assert (early.status, early.intent) == (Status.UNCERTAIN, IntentAfter.KEEP)
    late = uncertain("customers", absent_at=after(FIRST))
    settlement = verified(late, seen("customers"), taken=taken, now=after(FIRST + SECOND))
    assert settlement.status is Status.FAILED
    assert settlement.problem is not None
    assert "customers 2" in settlement.problem.message
    assert "customers 1" in settlement.problem.message
    ours = seen("customers", "z10")
    assert verified(late, seen("customers"), ours, taken=taken).zoho_id == "z10"
    mine = {"z9": Ref("customers", "1")}
    assert verified(late, seen("customers"), taken=mine).zoho_id == "z9"


def test_a_name_that_is_taken_by_another_fails_at_once_and_by_us_is_adopted() -> None:
    held = uncertain("invoices", duplicate=True)
    settlement = verified(held, seen("invoices", customer_id="other"))
    assert (settlement.status, settlement.intent) == (Status.FAILED, IntentAfter.CLOSE)
    assert settlement.problem is not None
    assert settlement.problem.code == "duplicate"
    assert verified(held, complete=False).status is Status.UNCERTAIN
    assert verified(held, seen("invoices")).zoho_id == "z9"


def test_a_changed_record_is_verified_by_reading_it_field_by_field() -> None:
    sent = {"display_name": "Ada", "phone": "1", "website": ""}
    held = linked("customers", intent=intent("update", sent))
    before = held.payload or {}
    happened = verified(held, seen("customers", phone="1", website=""))
    assert (happened.status, happened.result) == (Status.PENDING, "adopted")
    assert happened.payload == {**before, **sent}  # the rest of it stays known
    for missing in ({}, {"phone": "2"}, {"phone": None}):
        settlement = verified(held, seen("customers", **missing))
        assert (settlement.intent, settlement.due_in_s) == (IntentAfter.KEEP, FIRST)
        late = verified(held, seen("customers", **missing), now=after(FIRST))
        assert (late.status, late.intent) == (Status.PENDING, IntentAfter.CLOSE)
    unread = verified(held, complete=False, now=after(FIRST))
    assert (unread.status, unread.intent) == (Status.UNCERTAIN, IntentAfter.KEEP)


def test_a_change_that_zoho_may_have_written_otherwise_is_made_anew_or_taken_back() -> None:
    held = linked("customers", intent=intent("update", {"display_name": "Ada", "phone": "1"}))
    late = verified(held, seen("customers", phone="+1"), now=after(FIRST))
    known = settled(held, late, None, after(FIRST))
    again = planned(wanted("customers", phone="1"), known)
    assert isinstance(again, Update)
    back = planned(wanted("customers"), known)
    assert isinstance(back, Nothing)  # a column that the row does not have is not ours to clear
    back = planned(wanted("customers", phone=None), known)
    assert isinstance(back, Update)
    assert back.fields["phone"] == ""


def test_a_field_that_zoho_does_not_show_is_sent_once_more_even_when_it_was_emptied() -> None:
    held = linked("invoices", intent=intent("update", {"terms": ""}))
    held = replace(held, payload={**(held.payload or {}), "terms": "net"})
    late = verified(held, seen("invoices"), now=after(FIRST))
    assert late.result == "absent"
    again = planned(wanted("invoices", terms=None), settled(held, late, None, after(FIRST)))
    assert isinstance(again, Update)
    assert again.fields["terms"] == ""


def test_an_update_whose_total_came_out_otherwise_did_not_happen() -> None:
    held = linked("invoices", intent=intent("update", {"notes": "x"}, total=TOTAL))
    other = seen("invoices", notes="x", total=Decimal(1))
    assert verified(held, other, now=after(FIRST)).result == "absent"
    assert verified(held, seen("invoices", notes="x")).result == "adopted"


@pytest.mark.parametrize(
    ("status", "result", "state"),
    [("sent", "adopted", "open"), ("draft", "absent", "draft"), ("void", "absent", "void")],
)
def test_a_change_of_state_is_verified_by_the_state(status: str, result: str, state: str) -> None:
    held = linked("invoices", intent=intent("converttoopen"))
    settlement = verified(held, seen("invoices", status=status), now=after(FIRST))
    assert (settlement.result, settlement.remote_state) == (result, state)
    assert settlement.status is Status.PENDING
    assert settlement.payload is None


@pytest.mark.parametrize("operation", ["update", "void"])
def test_a_known_record_that_is_not_there_is_parked_as_not_found(operation: str) -> None:
    settlement = verified(linked("invoices", "open", intent=intent(operation)))
    assert settlement.status is Status.FAILED
    assert settlement.problem is not None
    assert settlement.problem.error_class is ErrorClass.NOT_FOUND


def test_a_checked_record_goes_on_or_is_parked() -> None:
    held = linked("customers", check=True)
    step = planned(wanted("customers"), held)
    there = judged(step, Found((seen("customers", "z1"),)), held)
    assert (there.status, there.result, there.checked) == (Status.PENDING, "checked", True)
    lost = judged(step, Found(()), held)
    assert (lost.status, lost.checked) == (Status.FAILED, True)
    assert lost.problem is not None
    assert lost.problem.error_class is ErrorClass.NOT_FOUND


RAISED = {"raised_by": "zoho", "subscription_key": "1"}
CHILD = {"customer_id": "z-customers-1", "total": TOTAL, "date": "2026-01-01", "status": "sent"}


def looked(*found: Candidate, looks: int = 0, hint: str | None = None, **more: Any) -> Settlement:
    step = planned(wanted("invoices", **RAISED), claim("invoices"))
    held = claim("invoices", looks=looks, attempts=more.pop("attempts", 0))
    assert isinstance(step, Find)
    reply = Found(found, more.pop("complete", True))
    return judged(replace(step, hint=hint), reply, held, **more)


def test_an_invoice_that_zoho_raised_is_linked_by_customer_total_and_near_date() -> None:
    settlement = looked(candidate("i1", CHILD), candidate("i2", {**CHILD, "total": 1}))
    assert (settlement.zoho_id, settlement.result) == ("i1", "linked")
    assert settlement.remote_state == "open"
    assert looked(candidate("i1", {**CHILD, "date": "2026-01-02"})).zoho_id == "i1"


@pytest.mark.parametrize(
    "fields",
    [{"date": "2026-01-03"}, {"date": None}, {"total": None}, {"customer_id": None}],
    ids=str,
)
def test_an_invoice_that_is_not_near_enough_is_not_linked(fields: Payload) -> None:
    assert looked(candidate("i1", {**CHILD, **fields})).status is Status.WAITING


def test_several_that_fit_are_decided_by_the_reply_to_the_create_or_by_a_person() -> None:
    twins = (candidate("i1", CHILD), candidate("i2", CHILD))
    assert looked(*twins, hint="i2").zoho_id == "i2"
    assert looked(*twins, taken={"i1": Ref("invoices", "7")}).zoho_id == "i2"
    open_question = looked(*twins)
    assert (open_question.status, open_question.result) == (Status.UNCERTAIN, "undecided")
    assert open_question.zoho_id is None


def test_an_invoice_that_zoho_raised_for_another_subscription_is_not_free() -> None:
    own, other = Ref("subscriptions", "1"), Ref("subscriptions", "2")
    child, theirs = candidate("i1", CHILD), candidate("i2", CHILD)
    promised = {"i1": frozenset({own}), "i2": frozenset({other})}
    waits = looked(theirs, candidate("i1", {**CHILD, "total": 1}), hint="i1", promised=promised)
    assert (waits.status, waits.zoho_id, waits.due_in_s) == (Status.WAITING, None, 3_600)
    assert looked(child, theirs, hint="i1", promised=promised).zoho_id == "i1"
    assert looked(child, theirs, promised=promised).zoho_id == "i1"  # the reply came meanwhile
    next_month = candidate("i3", CHILD)  # nobody's hint: found by the list
    assert looked(theirs, next_month, hint="i1", promised=promised).zoho_id == "i3"
    both = {"i2": frozenset({own, other})}  # one invoice for two of them
    assert looked(theirs, promised=both).zoho_id == "i2"


def test_a_link_comes_before_a_promise() -> None:
    child = candidate("i1", CHILD)
    promised = {"i1": frozenset({Ref("subscriptions", "1")})}
    linked_by = {"i1": Ref("invoices", "7")}
    assert looked(child, hint="i1", promised=promised, taken=linked_by).status is Status.WAITING
    linked_by = {"i1": Ref("invoices", "1")}
    assert looked(child, hint="i1", promised=promised, taken=linked_by).zoho_id == "i1"


def test_a_row_that_names_no_subscription_may_have_the_invoice_of_any() -> None:
    held = claim("invoices")
    step = planned(wanted("invoices", raised_by="zoho"), held)
    promised = {"i2": frozenset({Ref("subscriptions", "2")})}
    reply = Found((candidate("i2", CHILD),))
    assert judged(step, reply, held, promised=promised).zoho_id == "i2"


def test_what_is_ours_or_what_the_mapping_names_is_linked_whoever_was_promised_it() -> None:
    promised = {"z9": frozenset({Ref("subscriptions", "2")})}
    made = verified(uncertain("invoices"), seen("invoices"), promised=promised)
    assert (made.result, made.zoho_id) == ("adopted", "z9")
    held = claim("invoices")
    step = planned(wanted("invoices", zoho_id="z9", **RAISED), held, policy=LIVE_POLICY)
    named = judged(step, Found((seen("invoices"),)), held, promised=promised)
    assert (named.result, named.zoho_id) == ("linked", "z9")


def test_a_list_that_was_not_read_to_its_end_links_only_what_was_named() -> None:
    again = looked(candidate("i1", CHILD), complete=False, looks=3)
    assert (again.status, again.due_in_s, again.looks) == (Status.RETRYING, 60.0, 3)
    assert looked(candidate("i1", CHILD), complete=False, hint="i1").zoho_id == "i1"


def test_what_zoho_has_not_raised_yet_is_looked_for_for_a_week() -> None:
    waits = [looked(looks=looks) for looks in range(10)]
    assert [wait.due_in_s for wait in waits] == [3600, 21_600, *[86_400] * 7, None]
    assert [wait.status for wait in waits] == [*[Status.WAITING] * 9, Status.FAILED]
    assert [wait.looks for wait in waits[:3]] == [1, 2, 3]


def test_an_item_that_zoho_lacks_is_named_with_the_way_out() -> None:
    held = claim("items", key="sku:A1")
    step = planned(internal_desired(held.ref, "x"), held)
    settlement = judged(step, Found(()), held)
    assert settlement.status is Status.FAILED
    assert settlement.problem is not None
    assert "'A1': make it there, then `zohosync retry items`" in settlement.problem.message
    found = judged(step, Found((candidate("t1", {"sku": "A1"}),)), held)
    assert (found.status, found.zoho_id) == (Status.SYNCED, "t1")


def test_a_tax_that_zoho_lacks_is_told_with_what_is_like_it_and_looked_for_again() -> None:
    held = claim("taxes", key="VAT 15", looks=2)
    step = planned(internal_desired(held.ref, "x"), held)
    settlement = judged(step, Found((), near=("VAT 15%",)), held)
    assert (settlement.status, settlement.looks) == (Status.WAITING, 3)
    assert settlement.due_in_s == 4 * 3_600
    assert settlement.problem is not None
    assert settlement.problem.code == UNLISTED
    told = "unknown tax 'VAT 15': Zoho has none of that tax_name; near it: VAT 15%"
    assert settlement.problem.message == told
    found = judged(step, Found((candidate("t1", {"tax_name": "VAT 15"}),)), held)
    assert (found.status, found.zoho_id) == (Status.SYNCED, "t1")


@pytest.mark.parametrize("kind", MAPPED)
def test_an_id_of_the_mapping_is_linked_only_when_it_is_that_record(kind: str) -> None:
    held = claim(kind)
    step = planned(wanted(kind, zoho_id="z9"), held, policy=LIVE_POLICY)
    fields = {name: value for name, value in payload_of(kind).items() if name != "reference_id"}
    settlement = judged(step, Found((candidate("z9", fields),)), held)
    assert (settlement.result, settlement.zoho_id) == ("linked", "z9")
    others = {name: f"other {value}" for name, value in fields.items()}
    for found in ((), (candidate("z9", others),), (candidate("z9", {}),)):
        wrong = judged(step, Found(found), held)
        assert (wrong.status, wrong.zoho_id) == (Status.FAILED, None)
        assert wrong.problem is not None
        assert "zoho_id z9 of the mapping is not this" in wrong.problem.message
    theirs = judged(step, Found((candidate("z9", fields),)), held, taken={"z9": Ref(kind, "2")})
    assert (theirs.status, theirs.zoho_id) == (Status.FAILED, None)


def test_every_purpose_of_a_look_up_is_judged() -> None:
    for purpose in Purpose:
        held = linked("customers", intent=intent(payload=payload_of("customers")))
        step = Find(purpose, payload_of("customers"), zoho_id="z1")
        assert isinstance(judged(step, Found(()), held), Settlement)
