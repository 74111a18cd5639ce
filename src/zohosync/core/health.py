"""Whether all is well: what is known of an organisation, judged check by check; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from zohosync.core.figures import span_words
from zohosync.core.governor import DOWN_AFTER
from zohosync.core.records import Ref, Status
from zohosync.core.replies import Closed, Found, Reply, Unauthorized
from zohosync.core.vitals import Facts, KindFigures, Organization, Signs

SUCCESS_RATE = 95.0
"""Percent of the last day's attempts that must have ended well (the guide's threshold)."""

POOR_RATE, POOR_FROM = 50.0, 20
"""Below that rate, of at least so many attempts, it is no longer a matter of single rows."""

STILL_S = 900.0
"""What is due for longer than this while nothing is attempted, stands still."""

LATE_S = 60.0
"""A lease that ran out longer ago should have been rescued (it is looked for every 2 s)."""


class Verdict(StrEnum):
    """What a check came to."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    WARN = "warn"
    FAIL = "fail"


class State(StrEnum):
    """How the whole stands: any FAIL is unhealthy, any WARN degraded."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found in words, the command that mends it, and what it rests on."""

    name: str
    verdict: Verdict
    words: str
    mend: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """Every check in its order, and the figures of each kind."""

    checks: tuple[Check, ...]
    kinds: tuple[KindFigures, ...] = ()

    @property
    def state(self) -> State:
        """The worst of the checks."""
        verdicts = {check.verdict for check in self.checks}
        if Verdict.FAIL in verdicts:
            return State.UNHEALTHY
        return State.DEGRADED if Verdict.WARN in verdicts else State.HEALTHY

    @property
    def troubles(self) -> tuple[Check, ...]:
        """The checks that did not pass, failed ones first."""
        found = [check for check in self.checks if check.verdict is not Verdict.PASS]
        return tuple(sorted(found, key=lambda check: check.verdict is not Verdict.FAIL))


FIRST = ("settings", "database", "schema", "organisation")
"""What everything else needs, in this order."""


def stopped_at(name: str, words: str, mend: str) -> Health:
    """One of FIRST failed: what comes before it passed, and nothing after it could be looked at."""
    passed = [Check(each, Verdict.PASS, "is there") for each in FIRST[1 : FIRST.index(name)]]
    return Health((*passed, Check(name, Verdict.FAIL, words, mend)))


def judge_health(facts: Facts) -> Health:
    """Judge what is known; the database was reached and its schema is current."""
    checks = (
        Check("database", Verdict.PASS, "answers"),
        Check("schema", Verdict.PASS, "is current"),
        _organization(facts),
        _workers(facts),
        _token(facts),
        _api(facts.signs),
        _attempts(facts.signs),
        _records(facts),
        _movement(facts),
        _integrity(facts),
    )
    return Health(checks, facts.kinds)


def judge_readiness(organization: Organization, mapped: Sequence[str]) -> Check:
    """Whether calls may leave now: FAIL where not, however soon they may again."""
    check = _organization(Facts("", organization, mapped=tuple(mapped)))
    return check if organization.open else replace(check, verdict=Verdict.FAIL)


def _organization(facts: Facts) -> Check:
    here, name = facts.organization, "organisation"
    evidence = {
        "org_id": here.org_id, "mode": here.mode, "calls_today": here.calls_today,
        "paused": here.paused, "paused_kinds": list(here.paused_kinds),
        "closed_for_s": max(0.0, here.closed_for_s), "overloads": here.overloads,
    }  # fmt: skip
    closed = [kind for kind in here.paused_kinds if kind in facts.mapped]
    if here.paused:
        step = "mend that (zohosync login), then zohosync resume"
        return Check(name, Verdict.FAIL, f"paused: {here.paused}", step, evidence)
    if here.overloads >= DOWN_AFTER:
        words = "Zoho is down: nothing is sent, and it is asked again by itself"
        return Check(name, Verdict.WARN, words, "wait: it opens by itself", evidence)
    if here.closed_for_s > 0:
        words = f"closed for {span_words(here.closed_for_s)}: {here.closed_reason}"
        return Check(name, Verdict.WARN, words, "wait: it opens by itself", evidence)
    if not here.active:
        words = "another organisation is the active one, and changes are marked for that one"
        return Check(name, Verdict.WARN, words, "zohosync run", evidence)
    if here.braked:
        kinds = here.paused_kinds[0] if here.paused_kinds else "KIND"
        words = f"braked: {here.braked[0]}"
        return Check(name, Verdict.WARN, words, f"zohosync resume {kinds}", evidence)
    if closed:
        words = f"paused kinds: {', '.join(closed)}"
        return Check(name, Verdict.WARN, words, f"zohosync resume {closed[0]}", evidence)
    return Check(name, Verdict.PASS, f"{here.org_id} ({here.mode}) is open", "", evidence)


def _workers(facts: Facts) -> Check:
    alive = [worker for worker in facts.workers if worker.alive]
    silent = [worker for worker in facts.workers if not worker.alive]
    versions = sorted({worker.version for worker in alive})
    evidence = {
        "alive": [worker.worker for worker in alive],
        "silent": {worker.worker: round(worker.seen_s) for worker in silent},
        "versions": versions, "version_here": facts.version,
    }  # fmt: skip
    if not alive:
        last = min((worker.seen_s for worker in silent), default=None)
        since = "" if last is None else f" (the last was seen {_ago(last)})"
        if _work_waits(facts):
            words = f"no worker is alive{since}, and there is work"
            return Check("workers", Verdict.FAIL, words, "zohosync run", evidence)
        words = f"no worker is alive{since}; nothing waits for one now"
        return Check("workers", Verdict.WARN, words, "zohosync run", evidence)
    if versions != [facts.version]:
        words = f"workers of version {', '.join(versions)} are alive; this is {facts.version}"
        return Check("workers", Verdict.WARN, words, "restart the older ones", evidence)
    gone = f"; {len(silent)} went silent within a day" if silent else ""
    words = f"{len(alive)} alive, version {facts.version}{gone}"
    return Check("workers", Verdict.PASS, words, "", evidence)


def _work_waits(facts: Facts) -> bool:
    due = any(figures.overdue_s is not None for figures in facts.kinds)
    return facts.signs.marks or due or facts.signs.leases_expired > 0


def _token(facts: Facts) -> Check:
    good_for_s, minted = facts.signs.token_good_for_s, facts.signs.minted
    evidence = {"token_good_for_s": good_for_s, "last_refresh": minted}
    lives = good_for_s is not None and good_for_s > 0
    if facts.lacking is not None:
        return Check("token", Verdict.FAIL, facts.lacking, "zohosync login", evidence)
    if not lives and minted in ("unauthorized", "rejected"):
        words = "Zoho refused the credentials when a token was last asked for"
        return Check("token", Verdict.FAIL, words, "zohosync login", evidence)
    if not lives and minted in ("throttled", "unreachable", "unavailable", "unusable"):
        words = f"no token, and the last try to get one was {minted}"
        return Check("token", Verdict.WARN, words, "wait: it is tried again by itself", evidence)
    if lives:
        assert good_for_s is not None
        words = f"lives for {span_words(good_for_s)}"
        return Check("token", Verdict.PASS, words, "", evidence)
    return Check("token", Verdict.PASS, "none is kept; the next call fetches one", "", evidence)


_NO_ANSWER = ("unreachable", "unavailable", "unusable")


def _api(signs: Signs) -> Check:
    evidence = {"answers": dict(Counter(signs.answers)), "answered_s": signs.answered_s}
    if not signs.answers or signs.answered_s is None:
        words = "nothing was asked of Zoho lately (--probe asks now)"
        return Check("api", Verdict.PASS, words, "", evidence)
    newest, ago = signs.answers[0], _ago(signs.answered_s)
    missed = next(
        (place for place, each in enumerate(signs.answers) if each not in _NO_ANSWER),
        len(signs.answers),
    )
    if newest == "unauthorized":
        words = f"Zoho refused the credentials {ago}"
        return Check("api", Verdict.FAIL, words, "zohosync login", evidence)
    if missed >= 3:
        words = f"the last {missed} calls had no usable answer ({newest}, {ago})"
        return Check("api", Verdict.WARN, words, "zohosync health --probe", evidence)
    return Check("api", Verdict.PASS, f"Zoho's last answer: {newest}, {ago}", "", evidence)


def judge_reply(reply: Reply) -> Check:
    """What Zoho answered to a call that was made to find out, as the check `api`."""
    evidence = {"answer": type(reply).__name__.lower(), "asked": "now"}
    match reply:
        case Found():
            return Check("api", Verdict.PASS, "Zoho answers", "", evidence)
        case Unauthorized(message=message):
            words = f"Zoho refuses the credentials: {message}"
            return Check("api", Verdict.FAIL, words, "zohosync login", evidence)
        case Closed(reason=reason, retry_in_s=retry_in_s):
            words = f"Zoho was not asked: {reason}"
            step = f"again in {span_words(retry_in_s)}: zohosync health --probe"
            return Check("api", Verdict.WARN, words, step, evidence)
        case _:
            words = f"Zoho does not answer as it should: {getattr(reply, 'message', '')}"
            return Check("api", Verdict.FAIL, words, "zohosync logs --calls", evidence)


def _attempts(signs: Signs) -> Check:
    judged = signs.succeeded + signs.failed
    rate = round(100 * signs.succeeded / judged, 2) if judged else None
    evidence = {
        "succeeded": signs.succeeded, "failed": signs.failed, "retried": signs.retried,
        "success_rate": rate, "at_least": SUCCESS_RATE,
    }  # fmt: skip
    if rate is None:
        words = "no attempt came to its end in the last 24 h"
        return Check("last 24 h", Verdict.PASS, words, "", evidence)
    words = f"{rate:g} % of {judged:,} attempts succeeded"
    if rate >= SUCCESS_RATE:
        return Check("last 24 h", Verdict.PASS, words, "", evidence)
    poor = rate < POOR_RATE and judged >= POOR_FROM
    verdict = Verdict.FAIL if poor else Verdict.WARN
    words = f"only {words} ({SUCCESS_RATE:g} % are expected)"
    return Check("last 24 h", verdict, words, "zohosync status", evidence)


def _records(facts: Facts) -> Check:
    failed = sum(figures.failed for figures in facts.kinds)
    person = facts.untimed.get(Status.UNCERTAIN, 0)
    evidence = {"failed": failed, "failed_allowed": facts.failed_allowed, "undecided": person}
    if person:
        words = f"{person:,} uncertain records that only a person can decide"
        return Check("records", Verdict.WARN, words, "zohosync settle", evidence)
    if failed > facts.failed_allowed:
        words = f"{failed:,} failed, each with its reason"
        return Check("records", Verdict.WARN, words, "zohosync status", evidence)
    words = f"{failed:,} failed, none waits for a person's word" if failed else "none failed"
    return Check("records", Verdict.PASS, words, "", evidence)


def _movement(facts: Facts) -> Check:
    signs = facts.signs
    adrift = sum(facts.untimed.get(name, 0) for name in (Status.PENDING, Status.RETRYING))
    oldest_s = max(signs.overdue_s, default=0.0)
    live_s = signs.overdue_s[0] if signs.overdue_s else 0.0
    alive = any(worker.alive for worker in facts.workers)
    evidence = {
        "oldest_due_s": round(oldest_s), "oldest_live_due_s": round(live_s), "adrift": adrift,
        "leases_expired": signs.leases_expired, "last_attempt_s": signs.ended_s,
    }  # fmt: skip
    if adrift:
        words = f"{adrift:,} records are on their way without a time to go on"
        return Check("movement", Verdict.FAIL, words, "zohosync backfill KIND", evidence)
    if signs.leases_expired and alive:
        words = f"{signs.leases_expired:,} leases ran out, and nobody has taken the records over"
        return Check("movement", Verdict.FAIL, words, "restart the workers", evidence)
    if not alive or not facts.organization.open:
        words = "nothing can move now"
        return Check("movement", Verdict.PASS, words, "", evidence)
    idle_s = STILL_S + 1 if signs.ended_s is None else signs.ended_s
    if oldest_s > STILL_S < idle_s:
        words = f"records have been due for {span_words(oldest_s)}, and nothing is attempted"
        step = "zohosync logs, and see what the workers say"
        return Check("movement", Verdict.FAIL, words, step, evidence)
    if live_s > STILL_S:
        words = f"urgent records have been due for {span_words(live_s)}"
        return Check("movement", Verdict.WARN, words, "zohosync report --usage", evidence)
    words = f"the oldest has been due for {span_words(oldest_s)}" if oldest_s else "nothing is due"
    return Check("movement", Verdict.PASS, words, "", evidence)


def _integrity(facts: Facts) -> Check:
    signs, doubles = facts.signs, sum(facts.doubles.values())
    evidence = {
        "orphans": signs.orphans, "evidence_lost": signs.evidence_lost,
        "duplicates": signs.duplicates, "doubles_seen": dict(facts.doubles),
    }  # fmt: skip
    if signs.duplicates:
        words = f"{signs.duplicates:,} made twice in Zoho, like {signs.duplicate}"
        return Check(
            "integrity",
            Verdict.FAIL,
            words,
            f"zohosync settle {_arguments(signs.duplicate)}",
            evidence,
        )
    if signs.evidence_lost:
        words = f"of {signs.evidence_lost:,} open writes the evidence is gone"
        return Check("integrity", Verdict.FAIL, words, "zohosync settle", evidence)
    if signs.orphans:
        words = f"{signs.orphans:,} wait for a record that is not there, like {signs.orphan}"
        return Check(
            "integrity", Verdict.WARN, words, f"zohosync why {_arguments(signs.orphan)}", evidence
        )
    if doubles:
        kind = next(kind for kind, count in facts.doubles.items() if count)
        words = f"the last compare saw {doubles:,} doubles in Zoho"
        return Check("integrity", Verdict.WARN, words, f"zohosync compare {kind}", evidence)
    return Check(
        "integrity", Verdict.PASS, "no orphans, no doubles, no lost evidence", "", evidence
    )


def _ago(seconds: float) -> str:
    return f"{span_words(seconds)} ago"


def _arguments(named: str | None) -> str:
    """A record that is named in words, as a shell takes it."""
    kind, _, key = (named or "").partition(" ")
    return Ref(kind, key).arguments
