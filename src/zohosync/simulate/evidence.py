"""What the judges of a simulated run are given, and what they read for themselves."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from zohosync.core.governor import Limits
from zohosync.core.kinds import MAPPED
from zohosync.core.records import BULK, Desired, Ref
from zohosync.sandbox import Request, Sandbox
from zohosync.simulate.agreement import NATURAL, Books
from zohosync.store.database import Database
from zohosync.store.source import Source

Row = Mapping[str, Any]

SLACK = timedelta(seconds=1)
"""How far the journal and the ledger may disagree on an instant."""

MIDNIGHT = timedelta(minutes=2)
"""How far they may disagree on when a day begins."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: which, and by what, in words that are the same for each run."""

    oracle: str
    what: str


def is_foreign(request: Request) -> bool:
    """Whether another integration made the call: by its agent, where the ledger keeps that."""
    return not str(getattr(request, "agent", "zohosync/")).startswith("zohosync/")


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the judges are given at the end, after quiet.

    `touched` tells of each record in Zoho, by kind and id, what people did to it by hand; what
    begins with "create" or "made" was made by them. `blocks_scripted` counts the blocks that the
    script or other integrations caused, `blocked_at` those of them that no refused call began.
    `interruptions` are the instants at which a process was killed, frozen or thawed, the database
    struck, or an operator paused or resumed, by the sandbox's clock; the database's is
    `database_skew_s` ahead of that. `calls_left` counts our requests that left (None: nobody
    counted), `processes` those ever started, `logins` how often
    somebody logged in, `keys_named` the keys ever marked. `lowered` says from when to when, by the
    sandbox's seconds, an operator had other limits hold; of `forgotten` our own books know nothing.
    """

    database: Database
    source: Source
    sandbox: Sandbox
    org_id: str
    excuse: Callable[[str, str], str | None]
    touched: Mapping[tuple[str, str], str]
    limits: Limits
    lowered: Sequence[tuple[float, float, Limits]] = ()
    foreign: Callable[[Request], bool] = is_foreign
    blocks_scripted: int = 0
    blocked_at: Sequence[datetime] = ()
    interruptions: Sequence[datetime] = ()
    attempts_ended: int = 0
    calls_left: int | None = None
    processes: int = 1
    logins: int = 1
    keys_named: int | None = None
    database_skew_s: float = 0.0
    also: Sequence["Promise"] = ()
    forgotten: frozenset[Ref] = frozenset()


@dataclass(slots=True)
class Facts:
    """What was read for the judgement: both sides' books, and our own for what is promised there.

    `matched` is the journal's row of each request of ours, by its place in `requests`;
    `journaled` are the places of those that can all have one.
    """

    scene: Scene
    now: datetime
    requests: list[Request]
    everybody: list[Request]
    records: list[Row]
    logs: list[Row]
    calls: list[Row]
    organization: Row
    tokens: list[Row]
    workers: list[Row]
    days: list[Row]
    audit: list[Row]
    marks: int
    matched: dict[int, Row]
    journaled: frozenset[int]


Promise = tuple[str, Callable[[Facts, Books], Iterable[str]]]
"""An oracle's name, and what it has to say of a run."""


_READ = {
    "records": """
        select r.*, c.intent_state, c.intent, c.kind as intent_kind, c.key as intent_key
          from zohosync.records r left join zohosync.api_calls c on c.call_id = r.intent_id
         where r.org_id = %(org_id)s""",
    "logs": """
        select kind, key, version, status, result, calls, error_message, created_at
          from zohosync.sync_logs where org_id = %(org_id)s order by log_id""",
    "calls": """
        select call_id, door, lane, kind, key, lease_epoch, operation, method, path, started_at,
               deadline, finished_at, counts_until, sent, status, code
          from zohosync.api_calls where org_id = %(org_id)s order by started_at, call_id""",
    "organization": "select * from zohosync.organizations where org_id = %(org_id)s",
    "tokens": "select token_key, refreshing_by, refreshing_until from zohosync.token_cache",
    "workers": "select worker from zohosync.workers",
    "days": """
        select day, foreign_calls from zohosync.usage_days
         where org_id = %(org_id)s order by day""",
    "audit": """
        select act, target, why, at from zohosync.audit
         where org_id = %(org_id)s and act in ('brake', 'resume') order by audit_id""",
    "marks": "select count(*)::int as marks, zohosync.current_time() as now from zohosync.marks",
}


async def gather(scene: Scene) -> Facts:
    """Read our own tables and match the ledger's requests with the journal.

    Raises DatabaseError.
    """
    read: dict[str, list[dict[str, Any]]] = {}
    async with scene.database.transaction(read_only=True) as transaction:
        for name, text in _READ.items():
            params = {"org_id": scene.org_id} if "org_id" in text else None
            read[name] = await transaction.fetch_sql(text, params)
    everybody = scene.sandbox.ledger.requests
    requests = [request for request in everybody if not scene.foreign(request)]
    skew = timedelta(seconds=scene.database_skew_s)
    return Facts(
        scene=scene,
        now=read["marks"][0]["now"],
        requests=requests,
        everybody=everybody,
        records=sorted(read["records"], key=lambda row: (row["kind"], row["key"])),
        logs=list(read["logs"]),
        calls=list(read["calls"]),
        organization=read["organization"][0],
        tokens=list(read["tokens"]),
        workers=list(read["workers"]),
        days=list(read["days"]),
        audit=list(read["audit"]),
        marks=read["marks"][0]["marks"],
        matched=_match(requests, read["calls"], skew, alike=True),
        journaled=frozenset(_match(requests, read["calls"], skew, alike=False)),
    )


async def books_of(facts: Facts) -> Books:
    """Both sides' books: every row of every mapping, and the ledger. Raises DatabaseError."""
    scene, ledger = facts.scene, facts.scene.sandbox.ledger
    rows: dict[Ref, Row] = {}
    wanted: dict[Ref, Desired] = {}
    for kind in scene.source.kinds:
        read = [row async for batch in scene.source.all_rows(kind) for row in batch]
        for row in sorted(read, key=lambda row: str(row["key"])):
            desired = scene.source.as_desired(kind, row)
            rows.setdefault(desired.ref, row)
            wanted.setdefault(desired.ref, desired)
    links = {Ref(row["kind"], row["key"]): row for row in facts.records}
    return Books(
        wanted=wanted,
        rows=rows,
        remote={kind: ledger.records(kind) for kind in (*MAPPED, "items")},
        taxes={row["tax_name"]: zoho_id for zoho_id, row in scene.sandbox.books.tax_rows.items()},
        links=links,
        marker=scene.source.marker,
        excuse=scene.excuse,
        touched=scene.touched,
        forgotten=scene.forgotten,
        intents=frozenset(
            (row["kind"], str(row["intent"].get(NATURAL[row["kind"]])))
            for row in facts.records
            if row["intent"] and row["kind"] in NATURAL
        ),
    )


def _match(
    requests: Sequence[Request], calls: Iterable[Row], skew: timedelta, *, alike: bool
) -> dict[int, Row]:
    """The journal's row of each request: the earliest free one that it can have come from.

    `alike`: one that ended with the same answer goes before one whose answer was lost. Without
    it as many find theirs as can, since all rows are good for equally long.
    """
    free: dict[tuple[str, str], list[Row]] = {}
    for row in calls:
        if row["sent"] is not False:
            free.setdefault(_line(row["method"], row["path"]), []).append(row)
    matched: dict[int, Row] = {}
    for place, request in enumerate(requests):
        line = free.get(_line(request.method, request.path), [])
        at = request.at + skew
        while line and line[0]["deadline"] + SLACK < at:
            line.pop(0)
        ranks = {request.status: 0, None: 1} if alike else {}
        fits = [
            (ranks.get(row["status"], 2), index)
            for index, row in enumerate(line)
            if row["started_at"] - SLACK <= at <= row["deadline"] + SLACK
        ]
        if fits:
            matched[place] = line.pop(min(fits)[1])
    return matched


def _line(method: str, path: str) -> tuple[str, str]:
    return method, "token" if "/oauth/" in path else unquote(path)


def foreign_use(facts: Facts) -> Iterator[str]:
    """No more calls of others are counted on a day than others made: that would waste the day."""
    zone = ZoneInfo(facts.organization["time_zone"])
    made = [each.at for each in facts.everybody if facts.scene.foreign(each)]
    for row in facts.days:
        first = datetime.combine(row["day"], time.min, zone) - MIDNIGHT
        last = datetime.combine(row["day"] + timedelta(days=1), time.min, zone) + MIDNIGHT
        others = sum(first <= at <= last for at in made)
        if row["foreign_calls"] > others:
            yield f"{row['foreign_calls']} calls of others on {row['day']}, and they made {others}"


def share_of_bulk(limits: Limits, waited: timedelta) -> int:
    """How many calls of backfills may leave while a live record waits so long."""
    share = max(1, int(limits.shares.least[BULK] * limits.per_minute)) if limits.per_minute else 0
    return share * (1 + math.ceil(waited.total_seconds() / 60)) if waited > timedelta(0) else 0


def densest(moments: Sequence[float], seconds: float) -> int:
    """The most of these ascending moments within any rolling span."""
    largest, first = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        largest = max(largest, last - first + 1)
    return largest
