"""Which causes of trouble stand, from what the books say: one each, with words and a command."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from zohosync.core.figures import span_words
from zohosync.core.governor import DAY_SPENT, DOWN_AFTER, MEND, OUTAGE, REFUSED
from zohosync.core.kinds import KINDS
from zohosync.core.records import Ref
from zohosync.core.settling import CODES

ALIVE_S = 30.0
"""A worker that was not seen for this long is silent (it beats every 10 s)."""

GONE_S = 86_400.0
"""A silent worker that nobody replaced within a day was taken away on purpose."""

SILENT_DAY_S = 86_400.0
"""A day without an attempt at any record is a silent one."""

STALLED_S = 3_600.0
"""Work that is due for an hour, while nothing at all was done, has stalled."""

CLOSED_FOR_S = 60.0
"""Closings that are over sooner are everyday life (too many calls in flight)."""

DOWN_FOR_S = 120.0
"""How long Zoho does not answer before somebody is told."""

FAILS = 3
"""A job is failing when so many of its runs in a row did not come to their end, with no word of
theirs: the database may have been away for two of them."""

LEFT_S = 2 * 86_400.0
"""What was not begun for so long is no job any more: one that fails is tried again each hour."""

REASON_MAX = 300
"""Characters of a reason that are told."""

TOPICS = {
    "paused": "the organisation is paused",
    "closed": "Zoho has closed the organisation for a while",
    "down": "Zoho does not answer",
    "tokens": "Zoho grants no access tokens for a while",
    "day_budget": "80, 95 or 100 % of the day's calls are used",
    "braked": "the brake has paused a kind",
    "failed": "records failed for one reason",
    "waiting": "records wait for a parent that will not come by itself",
    "uncertain": "records wait for a person's word",
    "doubles": "Zoho has records twice",
    "worker": "a worker went silent",
    "no_worker": "nobody is at work",
    "stalled": "work is due, and nothing is done",
    "silent_day": "a day without an attempt",
    "job": "upkeep fails",
    "heartbeat": "the dead-man's switch cannot be reached",
}
"""What alerts are about, by the word that mutes them."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause that stands now.

    `grave`: told at once and in quiet hours; `records`: how many are concerned, None where it is
    not about records; `level` rises with each step that is worth telling again; `patience_s`: how
    long it has to stand before anybody is told; `over` is said when it is gone.
    """

    fingerprint: str
    title: str
    body: str
    command: str
    kind: str | None = None
    grave: bool = False
    records: int | None = None
    level: int = 0
    since: datetime | None = None
    example: Ref | None = None
    patience_s: float = 0.0
    over: str = "It is over."

    @property
    def topic(self) -> str:
        """The first word of the fingerprint."""
        return self.fingerprint.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the books say at `now`: rows as their queries return them.

    `organization` with `closed_for_s`, `mints_closed_for_s`, `today`, `warned`, `used`, `per_day`,
    `attempted_at`, `due_at`, `marks`; `groups` of records that will not move by themselves;
    `workers` with `seen_s`; `comparisons` the newest finished of each kind; `reports` are
    fingerprints that a process said to fail, with its words; `jobs` are those of upkeep, as they
    stand; who was not seen for `alive_s` is silent.
    """

    now: datetime
    organization: Mapping[str, Any]
    groups: Sequence[Mapping[str, Any]] = ()
    workers: Sequence[Mapping[str, Any]] = ()
    comparisons: Sequence[Mapping[str, Any]] = ()
    reports: Mapping[str, str] = field(default_factory=dict)
    jobs: Sequence[Mapping[str, Any]] = ()
    alive_s: float = ALIVE_S


def causes_of(facts: Facts) -> list[Cause]:
    """Every cause that stands, each once; pure."""
    found = [
        *_of_organization(facts),
        *_of_day(facts),
        *_of_brakes(facts),
        *_of_groups(facts.groups),
        *_of_comparisons(facts.comparisons),
        *_of_workers(facts),
        *_of_silence(facts),
        *_of_upkeep(facts),
    ]
    return list({cause.fingerprint: cause for cause in found}.values())


def fingerprint(topic: str, *parts: str | None) -> str:
    """The name of a cause, fit to be typed: `failed/customers/validation/-/email`."""
    words = [re.sub(r"[^\w.:+-]+", "_", part) if part else "-" for part in parts]
    while words and words[-1] == "-":
        words.pop()
    return "/".join([topic, *words])


def plain(text: str) -> str:
    """A reason as it may leave the house: on one line, cut, e-mail addresses shortened."""
    line = " ".join(text.split())
    line = re.sub(r"([\w.+-])[\w.+-]*@([\w-]+\.)", r"\1…@\2", line)
    return line if len(line) <= REASON_MAX else line[: REASON_MAX - 1] + "…"


def _of_organization(facts: Facts) -> Iterator[Cause]:
    row = facts.organization
    closed_s, reason = row["closed_for_s"] or 0.0, row["closed_reason"] or "closed"
    if row["paused"]:
        refused = str(row["paused"]).startswith(REFUSED)
        yield Cause(
            "paused",
            "Zoho refuses our credentials" if refused else "the organisation is paused",
            f"{plain(row['paused'])}. Nothing is sent until somebody has mended it.",
            MEND if refused else "zohosync status",
            grave=True,
            over="It is open again.",
        )
    elif row["overloads"] >= DOWN_AFTER:
        yield Cause(
            "down",
            "Zoho does not answer",
            f"{row['overloads']} calls in a row failed; it is asked again by itself, every 30 s to "
            "5 minutes. Nothing is lost.",
            "zohosync status",
            grave=True,
            patience_s=DOWN_FOR_S,
            over="It answers again.",
        )
    elif closed_s > CLOSED_FOR_S and reason not in (DAY_SPENT, OUTAGE):
        yield Cause(
            "closed",
            f"Zoho has closed the organisation: {plain(reason)}",
            f"Nobody calls for {span_words(closed_s)}; it opens by itself. Trying sooner makes it "
            "longer.",
            "zohosync report --usage",
            grave=True,
            over="It is open again.",
        )
    mints_s = row["mints_closed_for_s"] or 0.0
    if mints_s > CLOSED_FOR_S:
        yield Cause(
            "tokens",
            "Zoho grants no access tokens for a while",
            f"No token is asked for, for {span_words(mints_s)}. Does something else use the same "
            "refresh token? It may be used 10 times in 10 minutes.",
            "zohosync logs --calls",
            grave=True,
            over="Tokens are granted again.",
        )


def _of_day(facts: Facts) -> Iterator[Cause]:
    row = facts.organization
    if not row["warned"] or not row["per_day"]:
        return
    spent = row["warned"] >= 100
    foreign = f", {row['foreign_calls']:,} of them by others" if row["foreign_calls"] else ""
    yield Cause(
        fingerprint("day_budget", f"{row['today']}"),
        f"{row['warned']} % of the day's limit is reached",
        f"{row['used']:,} of {row['per_day']:,} calls{foreign} ({row['today']}). "
        + ("Nothing is sent before midnight." if spent else "What can wait is slowed down."),
        "zohosync report --usage",
        grave=spent,
        level=row["warned"],
        over="A new day has begun.",
    )


def _of_brakes(facts: Facts) -> Iterator[Cause]:
    for kind, brake in sorted(facts.organization["brakes"].items()):
        yield Cause(
            fingerprint("braked", kind),
            f"{kind} are paused by the brake",
            plain(f"{brake['why']}"),
            f"zohosync resume {kind}",
            kind=kind,
            grave=True,
            over="The kind is open again.",
        )


def _of_groups(groups: Iterable[Mapping[str, Any]]) -> Iterator[Cause]:
    for row in groups:
        kind, records = row["kind"], row["records"]
        example = Ref(kind, row["sample_key"])
        blocked = f" {row['blocked']:,} more wait for them." if row["blocked"] else ""
        parent, reason = row["parent_kind"], plain(row["reason"] or "").rstrip(".")
        if row["topic"] == "waiting":
            print_of = fingerprint("waiting", kind, parent, row["parent_status"])
            title = f"{records:,} {kind} wait for {parent} that are {row['parent_status']}"
            command = f"zohosync why {example.arguments}"
        elif row["topic"] == "uncertain":
            print_of = fingerprint("uncertain", kind)
            title = f"{records:,} {kind} wait for a person's word"
            command = f"zohosync settle {kind}"
        else:
            where = [row["error_class"], row["error_code"], row["error_field"]]
            print_of = fingerprint("failed", kind, *where)
            said = ", ".join(str(word) for word in where if word)
            named = KINDS[kind].singular if records == 1 and kind in KINDS else kind
            title = f"{records:,} {named} failed: {said or 'no reason known'}"
            by_word = row["error_code"] in CODES
            command = f"zohosync settle {kind}" if by_word else f"zohosync why {example.arguments}"
        yield Cause(
            print_of, title, f"{reason or 'no reason is kept'}.{blocked}", command, kind=kind,
            records=records, since=row["since"], example=example, over="None is left.",
        )  # fmt: skip


def _of_comparisons(comparisons: Iterable[Mapping[str, Any]]) -> Iterator[Cause]:
    for row in comparisons:
        count = int(row["counts"].get("double", 0))
        if row["finished_at"] is None or not count:
            continue
        kind = row["kind"]
        yield Cause(
            fingerprint("doubles", kind),
            f"{count:,} {kind} are in Zoho twice",
            "The comparison with Zoho's lists found them; nothing is done about them by itself.",
            f"zohosync compare {kind}",
            kind=kind,
            records=count,
            since=row["finished_at"],
            over="The newest comparison finds none.",
        )


def _of_workers(facts: Facts) -> Iterator[Cause]:
    """Workers that went silent and that nobody has replaced since, by host; nobody at all."""
    alive = [row for row in facts.workers if row["seen_s"] < facts.alive_s]
    silent = [row for row in facts.workers if facts.alive_s <= row["seen_s"] < GONE_S]
    newcomers = sorted(row["started_at"] for row in alive)
    missing: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(silent, key=lambda row: row["seen_s"], reverse=True):
        last_seen = facts.now - timedelta(seconds=row["seen_s"] + facts.alive_s)
        heir = next((at for at in newcomers if at >= last_seen), None)
        if heir is None:
            missing.setdefault(row["host"], []).append(row)
        else:
            newcomers.remove(heir)
    if not alive and (silent or facts.organization["marks"] or _due_s(facts) > 0):
        crashed = bool(silent)
        yield Cause(
            "no_worker",
            "nobody is at work",
            ("The last worker went silent. " if crashed else "No worker is running. ")
            + "Changes are kept, and wait.",
            "zohosync run",
            grave=True,
            patience_s=_grace_s(silent, facts) if crashed else STALLED_S,
            over="A worker is at work.",
        )
        return
    for host, rows in sorted(missing.items()):
        named = ", ".join(str(row["worker"]) for row in rows[:3])
        yield Cause(
            fingerprint("worker", host),
            f"{len(rows)} of the workers on {host} went silent",
            f"{named}: not seen for {span_words(min(row['seen_s'] for row in rows))}. What it held "
            "was taken over by others.",
            "zohosync status",
            level=len(rows),
            patience_s=_grace_s(rows, facts),
            over="As many are at work as before, or it was taken away for good.",
        )


def _grace_s(silent: Sequence[Mapping[str, Any]], facts: Facts) -> float:
    """A little for those who were seen a moment ago: the database may have been away."""
    latest_s = min(row["seen_s"] for row in silent)
    return facts.alive_s if latest_s < 4 * facts.alive_s else 0.0


def _due_s(facts: Facts) -> float:
    """For how long the oldest work is due, in seconds; 0 where none is, or none may be done."""
    row, due_at = facts.organization, facts.organization["due_at"]
    if due_at is None or row["paused"] or (row["closed_for_s"] or 0.0) > 0:
        return 0.0
    return max(0.0, float((facts.now - due_at).total_seconds()))


def _of_silence(facts: Facts) -> Iterator[Cause]:
    row = facts.organization
    shut = row["paused"] or set(row["kinds"]) <= set(row["paused_kinds"])
    if shut or row["attempted_at"] is None:
        return
    silent_s = (facts.now - row["attempted_at"]).total_seconds()
    due_s = _due_s(facts)
    alive = any(worker["seen_s"] < facts.alive_s for worker in facts.workers)
    if alive and row["overloads"] < DOWN_AFTER and min(due_s, silent_s) > STALLED_S:
        yield Cause(
            "stalled",
            "work is due, and nothing is done",
            f"The oldest is due for {span_words(due_s)}; the last attempt was "
            f"{span_words(silent_s)} ago.",
            "zohosync status",
            grave=True,
            since=row["attempted_at"],
            over="It goes on.",
        )
    elif silent_s > SILENT_DAY_S and not due_s:
        yield Cause(
            "silent_day",
            "a day without a change",
            "No record was worked on for a day. Is nothing going on, or have the triggers on your "
            "tables been switched off?",
            "zohosync check",
            since=row["attempted_at"],
            over="There are changes again.",
        )


def _of_upkeep(facts: Facts) -> Iterator[Cause]:
    """What a process said to fail; and jobs that fail without a word of their own."""
    left: set[str] = set()
    fails: dict[str, str] = {}
    for row in facts.jobs:
        began, going_on = row["started_at"], row["state"] == "running"
        if began is None:
            continue
        if facts.now - began > timedelta(seconds=LEFT_S):
            left.add(row["job"])
            continue
        held = going_on and row["held_until"] is not None and row["held_until"] > facts.now
        if row["failures"] - held >= FAILS:
            ended = "its worker ended, or was stopped, in the middle of it"
            fails[f"job/{row['job']}"] = ended if going_on and not held else row["told"] or ended
    said = {name: words for name, words in facts.reports.items() if _job_of(name) not in left}
    for name, words in sorted((fails | said).items()):
        topic, _, what = name.partition("/")
        beat = topic == "heartbeat"
        yield Cause(
            name,
            "the dead-man's switch cannot be reached" if beat else f"upkeep fails: {what}",
            f"{plain(words)}. It is tried again by itself.",
            "zohosync settings" if beat else "zohosync upkeep --once",
            over="It works again.",
        )


def _job_of(fingerprint: str) -> str:
    """The job whose word it is."""
    return fingerprint.removeprefix("job/")
