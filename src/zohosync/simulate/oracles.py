"""The judges of a simulated run: by Zoho's own ledger and the source tables, after quiet."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.core.governor import MINUTE_S
from zohosync.core.kinds import KINDS
from zohosync.core.records import BULK, LIVE, Status
from zohosync.core.states import foreseen
from zohosync.errors import DatabaseError
from zohosync.sandbox import Request
from zohosync.simulate import evidence
from zohosync.simulate.agreement import doubles, in_step, money, strangers
from zohosync.simulate.evidence import (
    Facts,
    Scene,
    Violation,
    books_of,
    densest,
    gather,
    share_of_bulk,
)

__all__ = ["Scene", "Violation", "judge"]

Row = Mapping[str, Any]

BLOCKS = frozenset({43, 44})
"""Codes of a 429 that closes the organisation."""

FORBIDDEN = ("/email", "/collect", "/charge", "/refunds", "/writeoff", "/buyonetimeaddon")
"""Ends of paths that mail, charge or refund somebody."""

GRACE_S = 0.25
"""Virtual seconds that a reply may take from the journal's row to the organisation's."""

LIVE_WITHIN_S = 60.0
"""How long a new live record may wait while bulk calls leave: a lease to run out, its rescue, and
the race of two processes for the places of a full minute."""


async def judge(scene: Scene) -> list[Violation]:
    """Every broken promise of a run that has come to rest; empty when all were kept.

    Raises DatabaseError when our own tables cannot be read.
    """
    facts = await gather(scene)
    violations: list[Violation] = []
    try:
        books = await books_of(facts)
    except DatabaseError as error:
        violations.append(Violation("in step", f"the source cannot be read: {error.what}"))
    else:
        for oracle, agreed in (
            ("doubles", doubles),
            ("in step", in_step),
            ("in step", strangers),
            ("money", money),
        ):
            violations += [Violation(oracle, what) for what in agreed(books)]
        for oracle, judged in scene.also:
            violations += [Violation(oracle, what) for what in judged(facts, books)]
    for oracle, kept in _PROMISES:
        violations += [Violation(oracle, what) for what in kept(facts)]
    return violations


def _api(requests: Iterable[Request]) -> list[Request]:
    return [request for request in requests if not request.path.startswith("/oauth")]


LOWERED_S = 35.0
"""How long calls that were let go before the limits were lowered may take to arrive."""


def _limits(facts: Facts) -> Iterator[str]:
    """Our own calls at the sandbox's arrival times; and no refusal that nobody else caused."""
    limits, sandbox = facts.scene.limits, facts.scene.sandbox
    ours = _api(facts.requests)
    arrived = [request.arrived_s for request in ours]
    mints = [each.arrived_s for each in facts.requests if each.path.startswith("/oauth")]
    for what, limit, moments, seconds in (
        ("calls within a minute", limits.per_minute, arrived, 60.0),
        ("calls within a second", limits.per_second, arrived, 1.0),
        ("token requests within 10 minutes", limits.mints, mints, 600.0),
    ):
        most = densest(moments, seconds)
        if limit is not None and most > limit:
            yield f"{most} {what}, and {limit} are allowed"
    for since, until, lower in facts.scene.lowered:
        within = [each for each in arrived if since + LOWERED_S <= each <= until]
        most = densest(within, 60.0)
        if lower.per_minute is not None and most > lower.per_minute:
            yield f"{most} calls within a minute, and an operator allowed {lower.per_minute}"
    zone = ZoneInfo(facts.organization["time_zone"])
    days = Counter(request.at.astimezone(zone).date() for request in ours)
    for day, count in sorted(days.items()):
        if limits.per_day is not None and count > limits.per_day:
            yield f"{count} calls on {day}, and {limits.per_day} are allowed"
    flying = _largest_in_flight(facts, ours)
    if limits.in_flight is not None and flying > limits.in_flight:
        yield f"{flying} calls in flight, and {limits.in_flight} are allowed"
    caused = sandbox.ledger.blocks - facts.scene.blocks_scripted
    if caused > 0:
        yield f"we caused {caused} blocks"
    yield from _refusals(facts, ours, zone)


def _largest_in_flight(facts: Facts, ours: Sequence[Request]) -> int:
    """Of our own calls, where the ledger keeps when each left; else of all, where all are ours."""
    ends = [(request.arrived_s, getattr(request, "left_s", None)) for request in ours]
    if any(left is not None for _, left in ends):
        moves = [(arrived, 1) for arrived, left in ends if left is not None]
        moves += [(left, -1) for _, left in ends if left is not None]
        flying = largest = 0
        for _, move in sorted(moves):
            flying += move
            largest = max(largest, flying)
        return largest
    alone = len(facts.requests) == len(facts.everybody)
    return facts.scene.sandbox.ledger.largest_in_flight if alone else 0


def _refusals(facts: Facts, ours: Sequence[Request], zone: ZoneInfo) -> Iterator[str]:
    """Refusals for calls in flight (1070) or the day (45) that neither script nor others explain.

    Those of a block are told by the blocks.
    """
    foreign = [each for each in facts.everybody if facts.scene.foreign(each)]
    others = [each.arrived_s for each in foreign]
    days = {each.at.astimezone(zone).date() for each in foreign}
    for request in ours:
        if request.code is None or request.fault is not None:
            continue
        since = bisect_left(others, request.arrived_s - 60.0)
        near = since < bisect_right(others, request.arrived_s)
        if request.code == 1070 and not near:
            yield f"{request.operation} at {request.at} was one call too many in flight (1070)"
        if request.code == 45 and request.at.astimezone(zone).date() not in days:
            yield f"{request.operation} at {request.at} was one call too many of the day (45)"


def _block(facts: Facts) -> Iterator[str]:
    """Once the first refusal of a block has been heard, nothing starts before the block is over.

    A block is a run of refusals (43, 44) with nothing let in between; a scripted one begins a new
    one. Heard is what the journal has, unless a process or the database was struck just then.
    """
    places = {id(request): place for place, request in enumerate(facts.requests)}
    silent = sorted(facts.scene.blocked_at)
    block: list[Request] = []
    for request in [*_api(facts.everybody), None]:
        refused = request is not None and request.code in BLOCKS
        fresh = (
            block
            and request is not None
            and (
                request.fault == "rate_limit"
                or bisect_right(silent, request.at) > bisect_right(silent, block[-1].at)
            )
        )
        if not refused or fresh:
            yield from _late_starts(facts, block, places)
            block = []
        if refused and request is not None:
            block.append(request)


def _late_starts(
    facts: Facts, block: Sequence[Request], places: Mapping[int, int]
) -> Iterator[str]:
    rows = [facts.matched.get(places.get(id(request), -1)) for request in block]
    heard = [
        row["finished_at"]
        for row in rows
        if row is not None and row["status"] == 429 and row["finished_at"] is not None
        and not _interrupted(facts, row["finished_at"])
    ]  # fmt: skip
    if not heard:
        return
    known = min(heard) + timedelta(seconds=GRACE_S)
    late = [row for row in rows if row is not None and row["started_at"] > known]
    if late:
        yield (
            f"{len(late)} calls started after the block of {block[0].at} was known at "
            f"{min(heard)}: the first at {late[0]['started_at']} ({late[0]['operation']} of "
            f"{late[0]['kind']} {late[0]['key']})"
        )


def _interruptions(facts: Facts) -> list[datetime]:
    """By the database's clock, as the journal's."""
    skew = timedelta(seconds=facts.scene.database_skew_s)
    return sorted(at + skew for at in facts.scene.interruptions)


def _interrupted(facts: Facts, at: datetime) -> bool:
    """Whether what was written then may not have been acted on."""
    return any(abs(struck - at) <= timedelta(seconds=1) for struck in _interruptions(facts))


def _states(facts: Facts) -> Iterator[str]:
    """Every record rests with its reason, or waits on something that will move it."""
    if facts.marks:
        yield f"{facts.marks} marks were left"
    named = {(row["kind"], row["key"]): row for row in facts.records}
    closed = facts.organization["closed_until"]
    shut = facts.organization["paused"] or (closed is not None and closed > facts.now)
    last = {(log["kind"], log["key"]): log for log in facts.logs}
    for name, row in named.items():
        wrong = _resting(row, named, facts.now, shut=bool(shut))
        if wrong:
            yield f"{' '.join(name)} is {row['status']}: {wrong}"
        log = last.get(name)
        if log is not None and row["status"] in _JUDGED and row["settled_at"] <= log["created_at"]:
            told = Status.SYNCED if log["status"] == "success" else log["status"]
            if told != row["status"]:
                yield f"{' '.join(name)} is {row['status']}, and its last attempt said {told}"
    for log in facts.logs:
        after = Status.SYNCED if log["status"] == "success" else Status(log["status"])
        if not foreseen(Status.SYNCING, after, log["result"]):
            yield f"{log['kind']} {log['key']} became {after} by {log['result']!r}: not foreseen"


_JUDGED = frozenset({Status.SYNCED, Status.FAILED, Status.SKIPPED, Status.WAITING})
"""Statuses that only an attempt gives, or a link since (which is settled, too)."""


def _resting(
    row: Row, named: Mapping[tuple[str, str], Row], now: datetime, *, shut: bool
) -> str | None:
    """What is wrong with how a record stands, or None."""
    match row["status"]:
        case "synced":
            if row["version"] != row["synced_version"] or row["zoho_id"] is None:
                return f"version {row['synced_version']} of {row['version']}, {row['zoho_id']}"
            return None
        case "failed" | "skipped":
            return None if row["error_message"] else "without a reason"
        case "waiting":
            return _waiting(row, named)
        case "uncertain":
            if row["intent_state"] not in ("open", "duplicate"):
                return "without an open intent as its evidence"
            if (row["intent_kind"], row["intent_key"]) != (row["kind"], row["key"]):
                return "its evidence is of another record"
            late = row["due_at"] is not None and row["due_at"] <= now and not shut
            return f"due since {row['due_at']}" if late else None
        case "pending" | "retrying":
            if row["due_at"] is None:
                return "and nothing will move it"
            return f"due since {row['due_at']}" if row["due_at"] <= now and not shut else None
        case _:
            return f"until {row['lease_until']}"


def _waiting(row: Row, named: Mapping[tuple[str, str], Row]) -> str | None:
    if row["waiting_kind"] is None:
        return None if row["due_at"] is not None else "on nothing that has a name"
    parent = named.get((row["waiting_kind"], row["waiting_key"]))
    on = f"on {row['waiting_kind']} {row['waiting_key']}"
    if parent is None:
        return f"{on}, of which there is no record"
    lost = parent["status"] == "failed" and parent["error_class"] == "not_found"
    there = parent["zoho_id"] is not None and not lost and not parent["to_check"]
    if there and (not row["waiting_needs"] or parent["remote_state"] in row["waiting_needs"]):
        return f"{on}, which is {parent['remote_state']} in Zoho as {parent['zoho_id']}"
    return None


def _forbidden(facts: Facts) -> Iterator[str]:
    """Nothing deleted, e-mailed, charged, refunded: not even asked for."""
    ledger = facts.scene.sandbox.ledger
    for what in ("emails", "charges", "refunds", "deletions"):
        if count := getattr(ledger, what):
            yield f"{count} {what}"
    for request in _api(facts.requests):
        ends = request.path.endswith(FORBIDDEN) or request.path.endswith("/autocollect")
        if request.method == "DELETE" or ends or request.query.get("send") == "true":
            yield f"{request.method} {request.path} at {request.at}"


def _leases(facts: Facts) -> Iterator[str]:
    """Nobody holds anything any more."""
    for row in facts.records:
        if row["lease_until"] is not None or row["lease_worker"] is not None:
            yield f"{row['kind']} {row['key']} is held until {row['lease_until']}"
    for row in facts.tokens:
        if row["refreshing_until"] is not None and row["refreshing_until"] > facts.now:
            yield f"a token is being refreshed until {row['refreshing_until']}"


def _journal(facts: Facts) -> Iterator[str]:
    """Every request has its row, written before it left; every attempt and its calls are told."""
    for place, request in enumerate(facts.requests):
        if place not in facts.journaled:
            yield f"{request.operation} {request.path} at {request.at} is not in the journal"
    may_have_left = sum(row["sent"] is not False for row in facts.calls)
    left = facts.scene.calls_left
    if left is not None and not len(facts.requests) <= left <= may_have_left:
        yield f"{len(facts.requests)} arrived, {left} left, {may_have_left} are in the journal"
    taken = {id(row) for row in facts.matched.values()}
    for row in facts.calls:
        answered = row["status"] is not None and 200 <= row["status"] < 300
        name = f"call {row['call_id']} ({row['method']} {row['path']} at {row['started_at']})"
        if answered and id(row) not in taken:
            yield f"{name} was answered and never arrived"
        held = row["counts_until"] - timedelta(seconds=MINUTE_S)
        if row["finished_at"] is None and held > max(facts.now, row["deadline"]):
            yield f"{name} counts as in flight until {held}"
    zone, day = ZoneInfo(facts.organization["time_zone"]), facts.organization["day"]
    today = sum(each.at.astimezone(zone).date() == day for each in _api(facts.requests))
    if today > facts.organization["day_calls"]:
        yield f"{today} calls arrived on {day}, {facts.organization['day_calls']} are counted"
    yield from _attempts(facts)


def _attempts(facts: Facts) -> Iterator[str]:
    if len(facts.logs) < facts.scene.attempts_ended:
        yield f"{facts.scene.attempts_ended} attempts ended, {len(facts.logs)} are in the log"
    calls = Counter((row["kind"], row["key"]) for row in facts.calls)
    epochs = {(row["kind"], row["key"]): row["lease_epoch"] for row in facts.records}
    told: Counter[tuple[str, str]] = Counter()
    attempts: Counter[tuple[str, str]] = Counter()
    for log in facts.logs:
        name = (log["kind"], log["key"])
        told[name] += log["calls"]
        attempts[name] += 1
    for name in sorted(attempts):
        if told[name] > calls[name]:
            yield f"{' '.join(name)}: {told[name]} calls are logged, {calls[name]} journaled"
        if attempts[name] > epochs.get(name, 0) and not name[1].startswith("~"):  # forgotten
            yield f"{' '.join(name)}: {attempts[name]} attempts in {epochs.get(name, 0)} leases"


def _bounded(facts: Facts) -> Iterator[str]:
    """Our tables are no larger than what happened."""
    mapped = [row for row in facts.records if not KINDS[row["kind"]].internal]
    for what, rows, most in (
        ("tokens", len(facts.tokens), 1 + facts.scene.logins),
        ("workers", len(facts.workers), facts.scene.processes),
        ("records", len(mapped), facts.scene.keys_named),
    ):
        if most is not None and rows > most:
            yield f"{rows} {what} are kept, at most {most} were expected"


def _live(facts: Facts) -> Iterator[str]:
    """A new live record is not passed over for bulk ones, once it has waited LIVE_WITHIN_S.

    Judged for records that a live mark made and no other mark or waiting child raised before their
    first attempt, since of those it is known from when on they were due; counted anew from each
    interruption. Bulk calls that leave meanwhile, beyond their share, prove that there was room.
    """
    first: dict[tuple[str, str], datetime] = {}
    versions: dict[tuple[str, str], int] = {}
    said: list[str] = []
    for log in facts.logs:
        name = (log["kind"], log["key"])
        first.setdefault(name, log["created_at"])
        versions.setdefault(name, log["version"])
        said += [str(log["error_message"])] if log["status"] == "waiting" else []
    lanes: dict[tuple[str, str], int] = {}
    for row in facts.calls:
        if row["kind"] is not None:
            name = (row["kind"], row["key"])
            first[name] = min(first.get(name, row["started_at"]), row["started_at"])
            lanes.setdefault(name, row["lane"])
    bulk = [row["started_at"] for row in facts.calls if row["lane"] == BULK]
    struck = _interruptions(facts)
    parents = {" ".join(text.split(" ", 2)[:2]) for text in said}
    for record in facts.records:
        name = (record["kind"], record["key"])
        mark = versions.get(name) == 1 and " ".join(name) not in parents
        if not mark or lanes.get(name) != LIVE or name not in first:
            continue
        since = [at for at in struck if at < first[name]]
        due = max([record["created_at"], *since]) + timedelta(seconds=LIVE_WITHIN_S)
        passed = bisect_left(bulk, first[name]) - bisect_right(bulk, due)
        if passed > share_of_bulk(facts.scene.limits, first[name] - due):
            waited = math.floor((first[name] - record["created_at"]).total_seconds())
            yield f"{' '.join(name)} waited {waited} s, and {passed} bulk calls went before it"


_PROMISES: tuple[tuple[str, Callable[[Facts], Iterator[str]]], ...] = (
    ("limits", _limits),
    ("limits", evidence.foreign_use),
    ("block", _block),
    ("states", _states),
    ("nothing forbidden", _forbidden),
    ("leases", _leases),
    ("journal", _journal),
    ("bounded", _bounded),
    ("live", _live),
)
