"""What each reply means: the table of what can go wrong, row by row, and no reply that raises."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.builders import NOW, POLICY, candidate, claim, intent, judged, linked, planned, wanted
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.lines import LINE_IDS
from zohosync.core.outcome import DUPLICATE_CODES, backoff_s
from zohosync.core.plan import Policy
from zohosync.core.records import Claim, ErrorClass, Problem, Ref, Status
from zohosync.core.replies import (
    Accepted,
    Closed,
    Found,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unusable,
)
from zohosync.core.settlement import IntentAfter, Settlement
from zohosync.core.steps import (
    Create,
    Fail,
    Find,
    Nothing,
    Purpose,
    Skip,
    Step,
    Transition,
    Update,
    Wait,
)


def create(kind: str = "customers", **columns: Any) -> Create:
    step = planned(wanted(kind, **columns), claim(kind))
    assert isinstance(step, Create)
    return step


CREATE = create()
UPDATE = Update("z1", {"phone": "1"}, {"phone": "1"}, None, more=False)
MOVE = Transition("z1", "markasinactive", "inactive", more=False)
WRITES: tuple[Step, ...] = (CREATE, UPDATE, MOVE)
VERIFY = Find(Purpose.VERIFY, CREATE.wanted)
CHECK = Find(Purpose.CHECK, {}, zoho_id="z1")
LINK = Find(Purpose.LINK, CREATE.wanted)
SEED = Find(Purpose.SEED, CREATE.wanted, zoho_id="z1")
FINDS: tuple[Step, ...] = (VERIFY, CHECK, LINK, SEED)
NAMES = ["create", "update", "transition"]


def told(settlement: Settlement) -> tuple[Status, ErrorClass | None]:
    return settlement.status, settlement.problem.error_class if settlement.problem else None


def before(step: Step) -> Claim:
    """A claim that such a step can come from."""
    if step is VERIFY:
        return claim("customers", intent=intent(payload=CREATE.wanted), attempts=1, looks=2)
    return replace(
        claim("customers") if step is CREATE else linked("customers"), attempts=1, looks=2
    )


@pytest.mark.parametrize("step", [*WRITES, *FINDS], ids=str)
@pytest.mark.parametrize("code", ["43", "44", "45", "1070", "token"])
def test_a_429_gives_the_attempt_back_and_is_nobodys_fault(step: Step, code: str) -> None:
    held = before(step)
    settlement = judged(step, Throttled(code, 600.0, "slow down"), held)
    assert (settlement.attempts, settlement.looks) == (held.attempts, held.looks)
    uncertain = held.intent is not None
    assert told(settlement) == (
        Status.UNCERTAIN if uncertain else Status.PENDING,
        ErrorClass.RATE_LIMIT,
    )
    assert settlement.intent is (IntentAfter.KEEP if uncertain else IntentAfter.CLOSE)


@pytest.mark.parametrize("step", [*WRITES, *FINDS], ids=str)
def test_refused_credentials_give_the_attempt_back(step: Step) -> None:
    held = before(step)
    settlement = judged(step, Unauthorized("invalid_code", "no"), held)
    assert settlement.problem is not None
    assert settlement.problem.error_class is ErrorClass.AUTHENTICATION
    assert settlement.attempts == held.attempts
    assert settlement.status in (Status.PENDING, Status.UNCERTAIN)


@pytest.mark.parametrize("step", [*WRITES, *FINDS], ids=str)
def test_a_closed_gate_gives_the_attempt_back_for_as_long_as_it_says(step: Step) -> None:
    held = before(step)
    settlement = judged(step, Closed("minute", 12.0), held)
    assert (settlement.attempts, settlement.due_in_s) == (held.attempts, 12.0)
    assert (settlement.intent is IntentAfter.KEEP) is (held.intent is not None)
    assert judged(step, Closed("odd", -5.0), held).due_in_s == 0.0


@pytest.mark.parametrize("step", WRITES, ids=NAMES)
def test_a_rejection_fails_with_reason_and_spends_an_attempt(step: Step) -> None:
    settlement = judged(step, Rejected(400, "4", "Invalid value passed for email"), before(step))
    assert told(settlement) == (Status.FAILED, ErrorClass.VALIDATION)
    assert (settlement.attempts, settlement.intent) == (2, IntentAfter.CLOSE)
    assert settlement.problem is not None
    assert settlement.problem.message == "Invalid value passed for email"
    assert settlement.problem.code == "4"


UNSURE: tuple[tuple[Reply, ErrorClass], ...] = (
    (Unusable("no id"), ErrorClass.UNKNOWN),
    (Unavailable(502, "<html>"), ErrorClass.SERVER_ERROR),
    (Unreachable(sent=True, message="timed out"), ErrorClass.NETWORK_ERROR),
)


@pytest.mark.parametrize("step", WRITES, ids=NAMES)
@pytest.mark.parametrize(("reply", "error_class"), UNSURE, ids=["no id", "5xx", "timeout"])
def test_a_write_that_may_have_happened_is_uncertain_and_looked_up_at_once(
    step: Step, reply: Reply, error_class: ErrorClass
) -> None:
    settlement = judged(step, reply, before(step))
    assert told(settlement) == (Status.UNCERTAIN, error_class)
    assert (settlement.intent, settlement.due_in_s) == (IntentAfter.KEEP, 0.0)
    assert settlement.attempts == 1


@pytest.mark.parametrize("step", FINDS, ids=str)
@pytest.mark.parametrize(("reply", "error_class"), UNSURE, ids=["no id", "5xx", "timeout"])
def test_a_read_that_failed_is_tried_again_later(
    step: Step, reply: Reply, error_class: ErrorClass
) -> None:
    held = before(step)
    settlement = judged(step, reply, held)
    status = Status.UNCERTAIN if held.intent else Status.RETRYING
    assert told(settlement) == (status, error_class)
    assert (settlement.attempts, settlement.looks) == (2, 2)
    assert settlement.due_in_s is not None
    assert settlement.due_in_s > 0


@pytest.mark.parametrize("step", WRITES, ids=NAMES)
def test_what_never_left_is_tried_again_and_is_not_uncertain(step: Step) -> None:
    settlement = judged(step, Unreachable(sent=False, message="refused"), before(step))
    assert told(settlement) == (Status.RETRYING, ErrorClass.NETWORK_ERROR)
    assert settlement.intent is IntentAfter.CLOSE


def test_only_a_record_that_fails_alone_counts_towards_the_limit() -> None:
    reply = Unreachable(sent=False, message="refused")
    last = replace(claim("customers"), attempts=POLICY.max_retries - 1)
    assert judged(CREATE, reply, last).status is Status.FAILED
    down = judged(CREATE, reply, last, down=True)
    assert (down.status, down.attempts) == (Status.RETRYING, last.attempts)
    verifying = replace(before(VERIFY), attempts=99)
    assert judged(VERIFY, reply, verifying).status is Status.UNCERTAIN


def test_a_back_off_doubles_is_capped_and_jitters_by_a_quarter() -> None:
    policy = Policy(retry_base_s=5.0, retry_cap_s=60.0)
    assert [backoff_s(n, policy, 0.5) for n in (1, 2, 3, 4, 5, 99)] == [5, 10, 20, 40, 60, 60]
    assert backoff_s(1, policy, 0.0) == 3.75
    assert backoff_s(1, policy, 1.0) == 6.25
    assert backoff_s(0, policy, 0.5) == 5.0
    assert backoff_s(100_000, policy, 0.5) == 60.0


@pytest.mark.parametrize("reply", [Unavailable(500, "sorry"), Unusable("unreadable")], ids=str)
def test_a_look_up_that_always_fails_does_not_eat_up_the_days_calls(reply: Reply) -> None:
    held, waits = before(VERIFY), list[float]()
    while sum(waits) < 86_400:
        ended = judged(VERIFY, reply, held)
        assert (ended.status, ended.intent) == (Status.UNCERTAIN, IntentAfter.KEEP)
        waits.append(ended.due_in_s or 0.0)
        held = replace(held, attempts=ended.attempts)
    assert len(waits) < 40


@pytest.mark.parametrize("code", sorted(DUPLICATE_CODES))
def test_a_duplicate_is_looked_up_since_it_may_be_ours(code: str) -> None:
    settlement = judged(CREATE, Rejected(400, code, "already exists"), claim("customers"))
    assert told(settlement) == (Status.UNCERTAIN, ErrorClass.VALIDATION)
    assert (settlement.intent, settlement.due_in_s) == (IntentAfter.DUPLICATE, 0.0)
    assert judged(UPDATE, Rejected(400, code, "taken"), before(UPDATE)).status is Status.FAILED


@pytest.mark.parametrize(
    ("message", "suspect"),
    [
        ("Customer does not exist.", Ref("customers", "1")),
        ("Plan does not exist.", Ref("plans", "1")),
        ("Resource does not exist.", Ref("customers", "1")),
    ],
)
def test_a_refusal_that_names_a_missing_parent_waits_on_it_and_has_it_looked_up(
    message: str, suspect: Ref
) -> None:
    step = create("subscriptions")
    settlement = judged(step, Rejected(400, "1002", message), claim("subscriptions"))
    assert told(settlement) == (Status.WAITING, ErrorClass.VALIDATION)
    assert (settlement.waiting_on, settlement.suspect) == (suspect, suspect)
    assert (settlement.attempts, settlement.intent) == (1, IntentAfter.CLOSE)


def test_one_parent_after_the_other_is_suspected_and_then_it_fails() -> None:
    step, reply = create("subscriptions"), Rejected(404, "1008", "not there")
    ends = [judged(step, reply, claim("subscriptions", attempts=n)) for n in range(3)]
    assert [end.suspect for end in ends] == [Ref("customers", "1"), Ref("plans", "1"), None]
    assert [end.status for end in ends] == [Status.WAITING, Status.WAITING, Status.FAILED]
    wrong_path = judged(step, Rejected(404, "5", "Invalid URL Passed"), claim("subscriptions"))
    assert told(wrong_path) == (Status.FAILED, ErrorClass.VALIDATION)
    alone = judged(CREATE, Rejected(400, "1002", "?"), claim("customers"))
    assert told(alone) == (Status.FAILED, ErrorClass.VALIDATION)


@pytest.mark.parametrize("step", [UPDATE, MOVE], ids=["update", "transition"])
def test_a_404_on_a_known_id_parks_the_record_as_not_found(step: Step) -> None:
    settlement = judged(step, Rejected(404, "1002", "Customer does not exist."), before(step))
    assert told(settlement) == (Status.FAILED, ErrorClass.NOT_FOUND)
    assert settlement.zoho_id is None  # the link stays as it is, for a person to judge
    assert settlement.intent is IntentAfter.CLOSE


def test_a_look_up_that_is_refused_thrice_while_an_intent_is_open_is_for_a_person() -> None:
    again = judged(VERIFY, Rejected(200, "ambiguous", "30 alike"), before(VERIFY))
    assert (again.status, again.intent) == (Status.UNCERTAIN, IntentAfter.KEEP)
    assert (again.attempts, again.due_in_s is None) == (2, False)
    settlement = judged(
        VERIFY, Rejected(200, "ambiguous", "30 alike"), replace(before(VERIFY), attempts=2)
    )
    assert (settlement.status, settlement.due_in_s) == (Status.UNCERTAIN, None)
    assert (settlement.result, settlement.intent) == ("undecided", IntentAfter.KEEP)


@pytest.mark.parametrize("kind", MAPPED)
def test_a_create_that_was_accepted_is_linked_with_what_was_sent(kind: str) -> None:
    step = create(kind)
    settlement = judged(step, Accepted("z9", {}), claim(kind, attempts=2))
    assert (settlement.status, settlement.result) == (Status.SYNCED, "created")
    assert (settlement.zoho_id, settlement.payload) == ("z9", step.wanted)
    assert settlement.remote_state == KINDS[kind].states.initial
    assert (settlement.attempts, settlement.due_in_s, settlement.gone) == (0, None, False)


def test_a_further_step_is_due_at_once() -> None:
    settlement = judged(create("invoices", state="open"), Accepted("z9", {}), claim("invoices"))
    assert (settlement.status, settlement.due_in_s) == (Status.PENDING, 0.0)
    halfway = Transition("z1", "converttoopen", "open", more=True)
    settlement = judged(halfway, Accepted("z1", {}), linked("invoices"))
    assert (settlement.status, settlement.remote_state) == (Status.PENDING, "open")
    settlement = judged(replace(halfway, more=False), Accepted("z1", {}), linked("invoices"))
    assert (settlement.status, settlement.result) == (Status.SYNCED, "converttoopen")


def test_a_state_that_zoho_chose_by_itself_is_looked_at_again() -> None:
    expired = judged(
        create("subscriptions"), Accepted("z", {"status": "expired"}), claim("subscriptions")
    )
    assert (expired.status, expired.remote_state) == (Status.PENDING, "cancelled")
    update = replace(UPDATE, wanted=linked("subscriptions").payload or {})
    lively = judged(update, Accepted("z1", {"status": "live"}), linked("subscriptions"))
    assert (lively.status, lively.remote_state) == (Status.SYNCED, "live")
    silent = judged(update, Accepted("z1", {}), linked("subscriptions", "non_renewing"))
    assert (silent.status, silent.remote_state) == (Status.SYNCED, "non_renewing")


def test_what_the_reply_tells_of_children_and_lines_is_kept() -> None:
    settlement = judged(
        create("subscriptions"), Accepted("z", {"child_invoice_id": "i7"}), claim("subscriptions")
    )
    assert settlement.hints == {"child_invoice_id": "i7"}
    lines = {"invoice_items": [{"item_id": "l1"}, {"item_id": "l2"}]}
    settlement = judged(create("invoices"), Accepted("z", lines), claim("invoices"))
    assert settlement.hints == {LINE_IDS: ["l1", "l2"]}


def test_an_invoice_whose_total_differs_in_zoho_is_not_opened_and_is_sent_again_when_mended() -> (
    None
):
    step = create("invoices", state="open")
    settlement = judged(step, Accepted("z9", {"total": Decimal("115.01")}), claim("invoices"))
    assert told(settlement) == (Status.FAILED, ErrorClass.VALIDATION)
    assert settlement.problem is not None
    assert "the total is 115 here and 115.01 in Zoho" in settlement.problem.message
    known = replace(linked("invoices"), zoho_id="z9", payload=settlement.payload)
    mended = wanted("invoices", state="open", adjustment=Decimal("0.01"), total=Decimal("115.01"))
    again = planned(mended, known)
    assert isinstance(again, Update)
    assert again.more
    opened = judged(again, Accepted("z9", {"total": Decimal("115.02")}), linked("invoices", "open"))
    assert opened.payload is not None
    assert {"date", "invoice_items"} <= set(opened.payload)  # fixed there: not taken for changed


def test_what_the_mended_row_of_another_total_empties_is_emptied_in_zoho() -> None:
    step = create("invoices", state="open", terms="Payable by EFT")
    failed = judged(step, Accepted("z9", {"total": Decimal("115.01")}), claim("invoices"))
    known = replace(linked("invoices"), zoho_id="z9", payload=failed.payload)
    mended = wanted("invoices", state="open", total=Decimal("115.01"), terms=None)
    again = planned(mended, known)
    assert isinstance(again, Update)
    assert again.fields["terms"] == ""


@pytest.mark.parametrize("total", ["115.00", 115, Decimal("115.0"), None])
def test_an_equal_total_is_equal_however_it_is_written(total: Any) -> None:
    fields = {} if total is None else {"total": total}
    assert (
        judged(create("invoices"), Accepted("z9", fields), claim("invoices")).status
        is Status.SYNCED
    )


def test_steps_without_calls_settle_by_themselves() -> None:
    held = claim("invoices", attempts=2)
    assert judged(Nothing(), None, held).status is Status.SYNCED
    gone = judged(Skip("gone here", gone=True), None, held)
    assert (gone.status, gone.gone) == (Status.SKIPPED, True)
    assert judged(Skip("not eligible"), None, held).gone is False
    failed = judged(Fail(Problem(ErrorClass.VALIDATION, "no")), None, held)
    assert (failed.status, failed.problem) == (Status.FAILED, Problem(ErrorClass.VALIDATION, "no"))
    wait = judged(Wait(Ref("customers", "1"), frozenset(), "not there"), None, held)
    assert (wait.status, wait.waiting_on) == (Status.WAITING, Ref("customers", "1"))
    assert wait.attempts == 2  # waiting costs none


TEXTS = st.sampled_from(["", "1001", "1002", "1008", "3062", "5", "43", "404", "Plan not found"])
VALUES = (
    st.none() | st.booleans() | st.integers() | st.decimals(-(10**9), 10**9) | st.text(max_size=5)
)
ODD = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=3,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["status", "total", "notes", "custom_fields", "invoice_items", "date", "invoice_number",
         "customer_id", "reference_number", "amount", "child_invoice_id", "display_name", "email"]
    ),
    ODD,
)  # fmt: skip
CANDIDATES = st.builds(candidate, st.sampled_from(["z1", "z2", "z3"]), FIELDS)
REPLIES: st.SearchStrategy[Reply] = st.one_of(
    st.builds(Accepted, st.sampled_from(["", "z1", "z2"]), FIELDS),
    st.builds(Found, st.lists(CANDIDATES, max_size=3).map(tuple), st.booleans()),
    st.builds(Rejected, st.sampled_from([200, 400, 404, 422]), TEXTS, TEXTS),
    st.builds(Throttled, TEXTS, st.none() | st.floats()),
    st.builds(Unauthorized, TEXTS, TEXTS),
    st.builds(Unavailable, st.integers(500, 599), TEXTS),
    st.builds(Unreachable, st.booleans(), TEXTS),
    st.builds(Unusable, TEXTS),
    st.builds(Closed, TEXTS, st.floats(-1, 1e9)),
)


@pytest.mark.parametrize("kind", MAPPED)
@given(data=st.data(), reply=REPLIES, roll=st.floats(0, 0.999), down=st.booleans())
def test_no_reply_to_any_step_raises_or_leads_past_an_open_intent(
    kind: str, data: st.DataObject, reply: Reply, roll: float, down: bool
) -> None:
    write = planned(wanted(kind), claim(kind))
    sent = getattr(write, "wanted", {})
    open_intent = data.draw(st.sampled_from(["create", "update", None]))
    held = data.draw(st.sampled_from([claim(kind), linked(kind)]))
    if open_intent is not None:
        held = replace(held, intent=intent(open_intent, sent, deadline=NOW))
        step = planned(wanted(kind), held)
    else:
        finds = [Find(purpose, sent, zoho_id="z1") for purpose in Purpose if purpose != "verify"]
        updated = Update("z1", sent, sent, None, more=False)
        step = data.draw(st.sampled_from([write, updated, MOVE, *finds]))
    taken = data.draw(st.dictionaries(st.sampled_from(["z1", "z2"]), st.just(Ref(kind, "2"))))
    settlement = judged(step, reply, held, roll=roll, down=down, taken=taken)
    if isinstance(reply, Unreachable | Unavailable | Unusable) and not isinstance(step, Find):
        sure = isinstance(reply, Unreachable) and not reply.sent
        assert (settlement.intent is IntentAfter.KEEP) is not sure
    if open_intent == "create" and settlement.intent is IntentAfter.CLOSE:
        # Within minutes of the call, only what was found (or is somebody else's) closes it.
        assert isinstance(reply, Found)
        assert settlement.zoho_id is not None or settlement.status is Status.FAILED
    rests = settlement.due_in_s is None
    assert not (rests and settlement.status in (Status.PENDING, Status.RETRYING))
    assert settlement.status is not Status.SYNCING
