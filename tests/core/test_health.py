"""Health is judged by values alone: each trouble has its verdict, its words and what mends it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.health import (
    Check,
    Health,
    State,
    Verdict,
    judge_health,
    judge_readiness,
    judge_reply,
    stopped_at,
)
from zohosync.core.replies import Closed, Found, Unauthorized, Unavailable
from zohosync.core.vitals import (
    Facts,
    KindFigures,
    Organization,
    Signs,
    WorkerSeen,
    figures_of,
)

HERE = Organization("1", "live")
ALIVE = WorkerSeen("w1", "1.0", 2.0, alive=True)
SILENT = WorkerSeen("w0", "1.0", 7_200.0, alive=False)
WELL = Facts(
    version="1.0",
    organization=HERE,
    workers=(ALIVE,),
    kinds=(KindFigures("customers", total=9, synced=9, linked=9),),
    signs=Signs(
        succeeded=99, failed=1, ended=100, ended_s=3.0, answers=("accepted",), answered_s=3.0,
        minted="accepted", token_good_for_s=3_000.0, overdue_s=(0.0, 0.0, 0.0, 0.0),
    ),
    mapped=("customers",),
)  # fmt: skip


def having(**signs: Any) -> Facts:
    return replace(WELL, signs=replace(WELL.signs, **signs))


def organized(**here: Any) -> Facts:
    return replace(WELL, organization=replace(HERE, **here))


def of(health: Health, name: str) -> Check:
    return next(check for check in health.checks if check.name == name)


def test_where_all_is_well_every_check_passes_and_says_so() -> None:
    health = judge_health(WELL)
    assert health.state is State.HEALTHY
    assert health.troubles == ()
    assert [check.name for check in health.checks] == [
        "database", "schema", "organisation", "workers", "token", "api", "last 24 h", "records",
        "movement", "integrity",
    ]  # fmt: skip
    assert of(health, "last 24 h").words == "99 % of 100 attempts succeeded"


WORK = replace(having(marks=True), workers=())
DUE = replace(
    having(overdue_s=(0.0, 9_000.0, 0.0, 0.0), ended_s=8_000.0),
    kinds=(KindFigures("customers", total=9, pending=9, overdue_s=9_000.0),),
)


@pytest.mark.parametrize(
    ("facts", "name", "verdict", "words", "mend"),
    [
        (organized(paused="credentials refused"), "organisation", "fail", "refused", "login"),
        (organized(closed_for_s=600.0, closed_reason="429"), "organisation", "warn", "429", "wait"),
        (organized(overloads=5), "organisation", "warn", "down", "wait"),
        (organized(active=False), "organisation", "warn", "another", "zohosync run"),
        (organized(paused_kinds=("customers",)), "organisation", "warn", "paused kinds", "resume"),
        (
            organized(paused_kinds=("customers",), braked=("over 20",)),
            "organisation", "warn", "braked: over 20", "zohosync resume customers",
        ),
        (replace(WELL, workers=()), "workers", "warn", "no worker is alive", "zohosync run"),
        (replace(WELL, workers=(SILENT,)), "workers", "warn", "2.0 hours ago", "zohosync run"),
        (WORK, "workers", "fail", "there is work", "zohosync run"),
        (replace(DUE, workers=(SILENT,)), "workers", "fail", "there is work", "zohosync run"),
        (replace(WELL, version="1.1"), "workers", "warn", "version 1.0 are alive", "restart"),
        (replace(WELL, lacking="not complete"), "token", "fail", "not complete", "login"),
        (
            having(token_good_for_s=-5.0, minted="unauthorized"),
            "token", "fail", "refused the credentials", "login",
        ),
        (having(token_good_for_s=None, minted="throttled"), "token", "warn", "throttled", "wait"),
        (having(answers=("unauthorized",)), "api", "fail", "refused", "login"),
        (having(answers=("unreachable",) * 3), "api", "warn", "last 3 calls", "--probe"),
        (having(succeeded=9, failed=1), "last 24 h", "warn", "only 90 %", "status"),
        (having(succeeded=0, failed=1), "last 24 h", "warn", "only 0 %", "status"),
        (having(succeeded=9, failed=11), "last 24 h", "fail", "only 45 %", "status"),
        (replace(WELL, untimed={"uncertain": 2}), "records", "warn", "2 uncertain", "settle"),
        (
            replace(WELL, kinds=(KindFigures("customers", total=9, failed=6),)),
            "records", "warn", "6 failed", "status",
        ),
        (replace(WELL, untimed={"pending": 1}), "movement", "fail", "without a time", "backfill"),
        (having(leases_expired=3), "movement", "fail", "leases ran out", "restart"),
        (DUE, "movement", "fail", "nothing is attempted", "zohosync logs"),
        (having(overdue_s=(1_000.0, 0.0, 0.0, 0.0)), "movement", "warn", "urgent", "report"),
        (having(duplicates=1, duplicate="c 7"), "integrity", "fail", "like c 7", "settle c 7"),
        (having(evidence_lost=1), "integrity", "fail", "evidence is gone", "settle"),
        (having(orphans=2, orphan="p 1"), "integrity", "warn", "not there", "why p 1"),
        (replace(WELL, doubles={"plans": 2}), "integrity", "warn", "2 doubles", "compare plans"),
    ],
)  # fmt: skip
def test_a_trouble_has_its_verdict_its_words_and_what_mends_it(
    facts: Facts, name: str, verdict: str, words: str, mend: str
) -> None:
    health = judge_health(facts)
    check = of(health, name)
    assert (check.verdict, words in check.words, mend in check.mend) == (verdict, True, True), check
    wanted = State.UNHEALTHY if verdict == "fail" else State.DEGRADED
    assert health.state is wanted, health.troubles


@pytest.mark.parametrize(
    "facts",
    [
        having(succeeded=0, failed=0, ended=0, ended_s=None),
        having(answers=(), answered_s=None, minted=None, token_good_for_s=None),
        having(answers=("rejected", "unreachable", "unreachable")),
        having(overdue_s=(0.0, 0.0, 90_000.0, 0.0)),  # a backlog that is being worked off
        replace(WELL, workers=(ALIVE, SILENT)),
        replace(WELL, kinds=(KindFigures("customers", total=9, synced=4, failed=5),)),
        replace(WELL, kinds=(), untimed={"waiting": 4, "synced": 9, "failed": 2}),
        organized(paused_kinds=("plans",)),  # not mapped here
    ],
)
def test_what_is_no_trouble_is_not_called_one(facts: Facts) -> None:
    assert judge_health(facts).state is State.HEALTHY, judge_health(facts).troubles


def test_what_is_due_is_not_held_against_a_closed_organisation() -> None:
    closed = replace(DUE, organization=replace(HERE, closed_for_s=60.0, closed_reason="429"))
    assert of(judge_health(closed), "movement").verdict is Verdict.PASS


COUNTS = st.integers(0, 10**6)


@given(
    st.builds(
        Facts,
        version=st.sampled_from(["1.0", "2.0"]),
        organization=st.builds(
            Organization,
            st.just("1"), st.just("live"),
            active=st.booleans(), paused=st.none() | st.just("why"),
            paused_kinds=st.sampled_from([(), ("customers",)]),
            braked=st.sampled_from([(), ("b",)]),
            closed_for_s=st.floats(-1e6, 1e6), closed_reason=st.none() | st.just("429"),
            overloads=st.integers(0, 5),
        ),
        workers=st.lists(st.sampled_from([ALIVE, SILENT])).map(tuple),
        untimed=st.dictionaries(st.sampled_from(["pending", "uncertain"]), COUNTS),
        signs=st.builds(
            Signs,
            succeeded=COUNTS, failed=COUNTS, ended_s=st.none() | st.floats(0, 1e9),
            answers=st.lists(st.sampled_from(["found", "unreachable", "unauthorized"])).map(tuple),
            answered_s=st.none() | st.floats(0, 1e9), minted=st.none() | st.just("throttled"),
            token_good_for_s=st.none() | st.floats(-1e6, 1e6), leases_expired=COUNTS,
            orphans=COUNTS, duplicates=COUNTS, overdue_s=st.lists(st.floats(-1e6, 1e9)).map(tuple),
            marks=st.booleans(),
        ),
        lacking=st.none() | st.just("no secret"),
        mapped=st.just(("customers",)),
    )
)  # fmt: skip
def test_whatever_is_known_every_trouble_has_a_mend_and_the_state_is_the_worst(
    facts: Facts,
) -> None:
    health = judge_health(facts)
    verdicts = [check.verdict for check in health.checks]
    assert len(verdicts) == 10
    assert all(check.words for check in health.checks)
    assert all(check.mend for check in health.troubles)
    worst = (
        State.UNHEALTHY if Verdict.FAIL in verdicts
        else State.DEGRADED if Verdict.WARN in verdicts
        else State.HEALTHY
    )  # fmt: skip
    assert health.state is worst
    assert len(health.troubles) == sum(verdict is not Verdict.PASS for verdict in verdicts)
    ready = judge_readiness(facts.organization, facts.mapped)
    assert (ready.verdict is Verdict.FAIL) is not facts.organization.open


def test_what_stops_the_look_is_told_with_what_was_passed_before_it() -> None:
    health = stopped_at("schema", "The schema is out of date", "run `zohosync migrate`")
    assert [(check.name, check.verdict) for check in health.checks] == [
        ("database", Verdict.PASS),
        ("schema", Verdict.FAIL),
    ]
    assert health.state is State.UNHEALTHY
    assert stopped_at("database", "No database answers", "start it").checks[0].name == "database"


def test_figures_add_up_and_say_zero_where_there_is_nothing() -> None:
    rows = [
        {"kind": "customers", "status": status, "records": count, "linked": 1, "timed": 0}
        for status, count in [
            ("synced", 2), ("pending", 3), ("syncing", 4), ("retrying", 5), ("waiting", 6),
            ("failed", 7), ("uncertain", 8), ("skipped", 9),
        ]
    ]  # fmt: skip
    found = figures_of(rows, {"customers": 12.0, "plans": -4.0}, ["plans", "customers"])
    plans, customers = found
    assert (plans.total, plans.sync_rate, plans.overdue_s) == (0, None, None)
    assert (customers.total, customers.eligible, customers.pending) == (44, 35, 12)
    assert (customers.sync_rate, customers.linked, customers.overdue_s) == (5.71, 8, 12.0)
    parts = (
        customers.synced, customers.pending, customers.waiting, customers.failed,
        customers.uncertain, customers.skipped,
    )  # fmt: skip
    assert sum(parts) == customers.total


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Found(()), Verdict.PASS),
        (Closed("closed until noon", 60.0), Verdict.WARN),
        (Unauthorized("57", "no scope"), Verdict.FAIL),
        (Unavailable(502, "bad gateway"), Verdict.FAIL),
    ],
)
def test_an_answer_to_a_probe_is_a_verdict(reply: Any, verdict: Verdict) -> None:
    check = judge_reply(reply)
    assert check.verdict is verdict
    assert (check.mend != "") is (verdict is not Verdict.PASS)
