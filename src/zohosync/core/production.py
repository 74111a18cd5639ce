"""Is this installation fit for production? The guide's checklist, judged from what was found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from zohosync.core.figures import span_words
from zohosync.core.governor import MEND, Limits
from zohosync.core.kinds import KINDS
from zohosync.core.sections import Caches, Work

CLOCK_OFF_S = 5.0
"""How far this machine's clock may be from the database's."""

FREE_MIN_BYTES = 1_000_000_000
"""Free space where the embedded Postgres has its data; and at least as much as it has."""

CACHE_MIN_S = 60.0
"""A copy of the organisation's data that lives shorter than this spares nothing."""

BUSY_SHARE = 0.8
"""Of the day's limit: who uses more has nothing left for a bad day."""


@dataclass(frozen=True, slots=True)
class Mind:
    """What the settings say. `channels` are addresses for alerts, `unreadable` of them are none."""

    plan: str
    mode: str
    limits: Limits
    work: Work
    caches: Caches
    org_id: str | None = None
    time_zone: str = "UTC"
    zone_said: bool = False
    credentials: bool = False
    channels: int = 0
    unreadable: int = 0
    kinds: tuple[str, ...] = ()
    write_back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What the live installation shows; None or empty where it cannot be seen.

    `unwatched` are tables, `faults` the mapping's, `indexes` those that are missing or broken,
    `unused` the statements that do not use theirs. `mint` is the outcome of the last token call,
    `first_day` the one on which the organisation became known here.
    `days` are the calls of the last days, each against its limit; `undelivered` why notices wait.
    """

    schema: str | None = None
    faults: Sequence[str] = ()
    unwatched: Sequence[str] = ()
    limits: Limits | None = None
    mode: str | None = None
    time_zone: str | None = None
    paused: str | None = None
    paused_kinds: Sequence[str] = ()
    indexes: Sequence[str] = ()
    unused: Sequence[str] = ()
    yesterday: date | None = None
    first_day: date | None = None
    metrics: int = 0
    mint: str | None = None
    mint_good: bool = False
    refused: int = 0
    clock_off_s: float = 0.0
    workers: int = 0
    seen_s: float | None = None
    days: Sequence[tuple[int, int | None]] = ()
    write_back: str | None = None
    undelivered: Sequence[str] = ()
    size_bytes: int = 0
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the list: `evidence` says what was seen, `next_step` what mends it."""

    name: str
    ok: bool
    evidence: str
    next_step: str = field(default="")


def judge(mind: Mind, found: Found) -> list[Item]:
    """Each item of the checklist; where there is no schema, those that need none."""
    items = [
        _schema(found), _mapping(found), *_limits(mind, found), _batches(mind), _retries(mind),
        _debounce(mind), _caches(mind), _alerts(mind, found),
    ]  # fmt: skip
    if found.schema is None:
        items += [
            _queue(found), _indexes(found), _metrics(found), _credentials(mind, found),
            *_organization(mind, found), _time_zone(mind, found), _clock(found), _workers(found),
            _usage(found), _write_back(mind, found), _disk(found),
        ]  # fmt: skip
    order = {name: place for place, name in enumerate(NAMES)}
    return sorted(items, key=lambda item: order[item.name])


NAMES = (
    "schema", "mapping", "queue", "limits", "batch sizes", "retries", "debounce", "caches",
    "indexes", "metrics", "alerts", "credentials", "organization", "kinds", "time zone", "clock",
    "workers", "usage", "write-back", "disk",
)  # fmt: skip
"""Every item, in the order in which they are told."""


def _item(name: str, wrong: Iterable[tuple[str, str]], good: str) -> Item:
    """Fails with all that is wrong, and the step that mends the first of it."""
    faults = list(wrong)
    if not faults:
        return Item(name, ok=True, evidence=good)
    return Item(name, False, "; ".join(what for what, _ in faults), faults[0][1])


def _schema(found: Found) -> Item:
    wrong = [(found.schema, "zohosync migrate")] if found.schema else []
    return _item("schema", wrong, "it is the one that this version needs")


def _mapping(found: Found) -> Item:
    wrong = []
    if found.faults:
        more = f" and {len(found.faults) - 1} more" if len(found.faults) > 1 else ""
        wrong.append((f"{found.faults[0]}{more}", "zohosync check names each fault"))
    return _item("mapping", wrong, "every row of every mapping fits Zoho's API")


def _queue(found: Found) -> Item:
    tables = ", ".join(found.unwatched)
    wrong = [(f"not watched: {tables}", "zohosync migrate")] if tables else []
    return _item("queue", wrong, "each watched table marks what changes, in its own transaction")


def _limits(mind: Mind, found: Found) -> list[Item]:
    limits, wrong = mind.limits, []
    step = 'set plan = "standard" (or premium, guide, custom) under [limits] in zohosync.toml'
    lifted = [
        words
        for value, words in (
            (limits.per_minute, "a minute"),
            (limits.per_day, "a day"),
            (limits.in_flight, "at once"),
        )
        if value is None
    ]
    if lifted:
        wrong.append((f"there is no limit to the calls {', '.join(lifted)}", step))
    if found.limits is not None and found.limits != limits:
        wrong.append(
            ("the limits in force are others than those of zohosync.toml", "zohosync migrate")
        )
    good = f"{mind.plan}: {limits.per_minute} a minute, {limits.per_day or 0:,} a day, in force"
    return [_item("limits", wrong, good)]


def _batches(mind: Mind) -> Item:
    pace, wrong = mind.limits.pace, []
    if pace.start > 5 or pace.most > 10:
        wrong.append(
            (
                f"calls in flight begin with {pace.start} and go up to {pace.most}",
                "set start = 5 and most = 10 under [pace] in zohosync.toml",
            )
        )
    for name, size in pace.sizes.items():
        guide = KINDS[name].guide_batch if name in KINDS else None
        if guide is not None and size > guide[0]:
            wrong.append(
                (f"batches of {size} {name}", f"set size_{name} = {guide[0]} under [pace]")
            )
    sizes = ", ".join(f"{name} {size}" for name, size in pace.sizes.items())
    good = f"calls in flight begin with {pace.start}, at most {pace.most}"
    return _item("batch sizes", wrong, f"{good}; batches: {sizes}" if sizes else good)


def _retries(mind: Mind) -> Item:
    work, wrong = mind.work, []
    if work.max_retries < 2:
        wrong.append(("nothing is tried twice", "set max_retries = 3 under [worker]"))
    if work.retry_base_s < 1:
        wrong.append(
            (f"the first pause is {work.retry_base_s:g} s", "set retry_base_s = 5 under [worker]")
        )
    good = (
        f"{work.max_retries} tries by error class, the first pause {work.retry_base_s:g} s; a 429 "
        f"closes the organisation for {span_words(mind.limits.block_s)} where Zoho names no time"
    )
    return _item("retries", wrong, good)


def _debounce(mind: Mind) -> Item:
    spell_s = mind.work.debounce_s
    step = "set debounce_s = 300 under [worker] in zohosync.toml"
    wrong = [] if spell_s > 0 else [("every change is sent by itself", step)]
    return _item("debounce", wrong, f"changes of {span_words(spell_s)} are sent together")


def _caches(mind: Mind) -> Item:
    wrong, ttl_s = [], mind.caches.org_data_ttl_s
    if ttl_s < CACHE_MIN_S:
        step = "set org_data_ttl_s = 86400 under [cache] in zohosync.toml"
        wrong.append((f"a copy of Zoho's data serves for {ttl_s:g} s only", step))
    return _item(
        "caches", wrong, f"token until it ends, organisation's data for {span_words(ttl_s)}"
    )


def _indexes(found: Found) -> Item:
    wrong = []
    if found.indexes:
        wrong.append(
            (
                f"missing or broken: {', '.join(found.indexes)}",
                "reindex index concurrently zohosync.NAME, or make it as the migrations do",
            )
        )
    if found.unused:
        wrong.append(
            (f"not used by: {', '.join(found.unused)}", "analyze zohosync.records, then again")
        )
    return _item("indexes", wrong, "all are there, and what is due is found by one")


def _metrics(found: Found) -> Item:
    day, wrong = found.yesterday, []
    if day and found.first_day and day < found.first_day:
        words = f"known here since {found.first_day}; a day has its figures once it is over"
        return Item("metrics", ok=True, evidence=words)
    if not found.metrics:
        wrong.append((f"there are no figures of {day}", "zohosync upkeep --all"))
    return _item("metrics", wrong, f"{found.metrics} figures of {day}")


def _alerts(mind: Mind, found: Found) -> Item:
    wrong = []
    if not mind.channels:
        wrong.append(("nobody is told but the log", "set ZOHOSYNC_ALERTS_CHANNELS"))
    if mind.unreadable:
        wrong.append(
            (
                f"{mind.unreadable} of {mind.channels} addresses cannot be read",
                "correct ZOHOSYNC_ALERTS_CHANNELS, then zohosync alerts test",
            )
        )
    if found.undelivered:
        wrong.append((f"not delivered: {found.undelivered[0]}", "zohosync alerts test"))
    day = f"; the day's limit of {mind.limits.per_day} is warned of at 80, 95 and 100 %"
    channels = f"{mind.channels} channel{'' if mind.channels == 1 else 's'}"
    return _item("alerts", wrong, f"{channels}{day}")


def _credentials(mind: Mind, found: Found) -> Item:
    wrong = []
    if not mind.credentials:
        wrong.append(("they are not complete", "zohosync login"))
    if found.paused is not None:
        wrong.append((f"the organisation is paused: {found.paused}", MEND))
    if found.refused:
        wrong.append(
            (
                f"Zoho refused {found.refused} calls of the last day for want of a right (57)",
                "zohosync login, with a code that has all the scopes shown",
            )
        )
    if mind.credentials and found.mint is None:
        wrong.append(("they were never used", "zohosync run"))
    elif found.mint is not None and not found.mint_good:
        wrong.append((f"the last access token was not given: {found.mint}", "zohosync login"))
    return _item("credentials", wrong, f"the last request for an access token: {found.mint}")


def _organization(mind: Mind, found: Found) -> list[Item]:
    wrong = []
    if mind.org_id is None:
        wrong.append(("none is named", "zohosync login"))
    elif mind.mode != "live":
        wrong.append(
            (
                f"{mind.org_id} is no live one ({mind.mode})",
                'set id and mode = "live" under [organization] in zohosync.toml',
            )
        )
    elif found.mode is not None and found.mode != mind.mode:
        wrong.append((f"the database knows it as {found.mode}", "zohosync run"))
    kinds = ", ".join(found.paused_kinds)
    resting = [(f"paused: {kinds}", f"zohosync resume {kinds.replace(',', '')}")] if kinds else []
    if not mind.kinds:
        resting.append(("nothing is mapped", "write mapping/*.sql"))
    return [
        _item("organization", wrong, f"{mind.org_id}, live"),
        _item("kinds", resting, f"open: {', '.join(mind.kinds)}"),
    ]


def _time_zone(mind: Mind, found: Found) -> Item:
    wrong = []
    if not mind.zone_said:
        wrong.append(
            (
                "nobody said it, and Zoho's day ends at the organisation's midnight",
                "set time_zone under [organization] as Zoho shows it",
            )
        )
    if found.time_zone is not None and found.time_zone != mind.time_zone:
        wrong.append(
            (f"{mind.time_zone} here, {found.time_zone} in the database", "zohosync migrate")
        )
    return _item("time zone", wrong, mind.time_zone)


def _clock(found: Found) -> Item:
    off_s = found.clock_off_s
    words = f"this machine's clock is {abs(off_s):.1f} s {'ahead of' if off_s > 0 else 'behind'}"
    step = "keep both clocks in time (NTP)"
    wrong = [(f"{words} the database's", step)] if abs(off_s) > CLOCK_OFF_S else []
    return _item("clock", wrong, f"{words} the database's, whose time holds")


def _workers(found: Found) -> Item:
    step = "zohosync run, under a service that starts it again"
    wrong = [] if found.workers else [("none is alive", step)]
    return _item(
        "workers", wrong, f"{found.workers} alive, last seen {found.seen_s or 0:.0f} s ago"
    )


def _usage(found: Found) -> Item:
    shares = [calls / limit for calls, limit in found.days if limit]
    most = max(shares, default=0.0)
    step = "zohosync report --usage; debounce more, or take a plan with more calls a day"
    words = f"{100 * most:.0f} % of the day's limit on the busiest of the last 7 days"
    return _item("usage", [(words, step)] if most >= BUSY_SHARE else [], words)


def _write_back(mind: Mind, found: Found) -> Item:
    wrong = []
    if found.write_back:
        wrong.append((found.write_back, "correct [kinds.KIND.write_back] in zohosync.toml"))
    if mind.write_back and mind.mode == "test":
        wrong.append(("nothing is written back for a test organisation", "go live first"))
    kinds = ", ".join(mind.write_back)
    return _item("write-back", wrong, f"of {kinds}" if kinds else "not asked for")


def _disk(found: Found) -> Item:
    size, free = _bytes(found.size_bytes), found.free_bytes
    if free is None:
        return Item(
            "disk", ok=True, evidence=f"{size} of data; the server's disk is not seen from here"
        )
    words = f"{size} of data, {_bytes(free)} free"
    short = free < max(FREE_MIN_BYTES, found.size_bytes)
    return _item(
        "disk", [(words, "make room, or lower database.keep_days")] if short else [], words
    )


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def counts(items: Sequence[Item]) -> Mapping[str, int]:
    """How many items pass and fail."""
    failed = sum(not item.ok for item in items)
    return {"passed": len(items) - failed, "failed": failed}
