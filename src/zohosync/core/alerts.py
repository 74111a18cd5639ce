"""Who is to be told what, and when not: from the causes that stand and what was told before.

Theory of operation. An *alert* is what is remembered of a cause; it goes through *episodes*: first
seen, told, gone, over. Within an episode a state is told once; again only when it gets worse (ten
times as many records, a further step, grave at last). What was told and is gone is called over
after a calm that doubles with each episode within a day, so that a cause that comes and goes is one
long episode sooner or later, and floods nobody. Quiet hours hold back what is not grave; what was
held is told in one digest when they end.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from zohosync.core.causes import Cause
from zohosync.core.figures import span_words
from zohosync.core.records import Ref

CALM_S = 600.0
"""How long a cause has to be gone before it is called over, the first time within a day."""

CALM_DOUBLINGS = 7
"""How often that doubles at the most: to 21 hours."""

MEMORY_S = 86_400.0
"""Episodes that ended longer ago do not count any more."""

WORSE = 10
"""A cause is told again when it concerns this many times as many records as were told."""

ONE_BY_ONE = 5
"""More alerts at one time, that are not grave, come as one digest."""

RETRY_S, RETRY_MAX_S = 60.0, 3_600.0
"""Pauses after a send that failed: the first, and the longest."""

PLAIN_HOSTS = frozenset(
    ("http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos")
)
"""Schemes of channels whose host is a host; elsewhere it may be a token, and is not shown."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What is remembered of a cause: as it was last seen, and what was told of it."""

    fingerprint: str
    first_seen: datetime
    last_seen: datetime
    kind: str | None = None
    grave: bool = False
    title: str = ""
    body: str = ""
    command: str = ""
    over: str = ""
    example: Ref | None = None
    records: int | None = None
    level: int = 0
    since: datetime | None = None
    gone_since: datetime | None = None
    resolved_at: datetime | None = None
    told_at: datetime | None = None
    told_records: int = 0
    told_level: int = 0
    told_grave: bool = False
    held: bool = False
    episodes: int = 0

    @property
    def topic(self) -> str:
        """The first word of the fingerprint."""
        return self.fingerprint.partition("/")[0]

    @property
    def stands(self) -> bool:
        """Whether it is not over yet."""
        return self.resolved_at is None


@dataclass(frozen=True, slots=True)
class Quiet:
    """The hours in which only grave ones are told: `HH:MM` of the organisation's time zone."""

    begins: str
    ends: str
    zone: ZoneInfo

    def ends_at(self, now: datetime) -> datetime | None:
        """When the quiet hours end that hold now; None when it is not quiet."""
        local = now.astimezone(self.zone)
        clock = f"{local:%H:%M}"
        over_midnight = self.begins > self.ends
        if over_midnight:
            quiet = clock >= self.begins or clock < self.ends
        else:
            quiet = self.begins <= clock < self.ends
        if not quiet:
            return None
        day = local.date() + timedelta(days=over_midnight and clock >= self.begins)
        hour, minute = self.ends.split(":")
        end = datetime.combine(day, time(int(hour), int(minute)), self.zone)
        return max(end.astimezone(now.tzinfo), now + timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class Manners:
    """How people want to be told: `mutes` are fingerprints, kinds and topics, each until when."""

    zone: ZoneInfo
    threshold: int = 1
    quiet: Quiet | None = None
    mutes: Mapping[str, datetime] = field(default_factory=dict)

    def muted_until(self, alert: Alert, now: datetime) -> datetime | None:
        """Until when nobody is to hear of it; None when it is not muted."""
        names = (alert.fingerprint, alert.topic, alert.kind or "")
        ends = [self.mutes[name] for name in names if name in self.mutes]
        return max((end for end in ends if end > now), default=None)


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: what is sent to every channel. `good` tells of a recovery."""

    title: str
    body: str
    fingerprints: tuple[str, ...]
    grave: bool = False
    good: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is remembered from now on, what is told now, and when it is worth looking again."""

    alerts: tuple[Alert, ...]
    notices: tuple[Notice, ...]
    again_at: datetime | None


@dataclass(slots=True)
class _Told:
    """One alert that is to be told: of a cause, or of its end; `held`: it was kept back before."""

    alert: Alert
    over: bool
    held: bool
    worse: bool = False


def decide(
    causes: Sequence[Cause], known: Iterable[Alert], manners: Manners, now: datetime
) -> Decision:
    """Which causes are told now, which are over, which are held back. Pure."""
    before = {alert.fingerprint: alert for alert in known}
    standing = {cause.fingerprint: cause for cause in causes}
    quiet_until = manners.quiet.ends_at(now) if manners.quiet else None
    after: list[Alert] = []
    told: list[_Told] = []
    again: list[datetime] = []
    for cause in standing.values():
        alert, telling = _seen(cause, before.get(cause.fingerprint), manners, now, quiet_until)
        after.append(alert)
        if telling is not None:
            told.append(telling)
        elif alert.told_at is None or _is_worse(alert):
            again += _later(alert, cause, manners, now, quiet_until)
    for alert in before.values():
        if alert.fingerprint in standing or not alert.stands:
            continue
        gone, telling = _gone(alert, manners, now, quiet_until)
        after.append(gone)
        if telling is not None:
            told.append(telling)
        elif gone.stands and gone.gone_since is not None:
            at = max(gone.gone_since + timedelta(seconds=calm_s(gone)), now)
            sleeps = quiet_until is not None and not gone.told_grave
            again.append(max(at, quiet_until) if quiet_until and sleeps else at)
    return Decision(tuple(after), _notices(told, manners, now), min(again, default=None))


def calm_s(alert: Alert) -> float:
    """How long it has to be gone before it is over."""
    if alert.told_at is None:
        return 0.0
    return float(CALM_S * 2 ** min(max(alert.episodes - 1, 0), CALM_DOUBLINGS))


def _seen(
    cause: Cause,
    before: Alert | None,
    manners: Manners,
    now: datetime,
    quiet_until: datetime | None,
) -> tuple[Alert, _Told | None]:
    """The alert of a cause that stands, and what is told of it."""
    alert = before
    if alert is None:
        alert = Alert(cause.fingerprint, first_seen=now, last_seen=now)
    elif alert.resolved_at is not None:
        recent = now - alert.resolved_at < timedelta(seconds=MEMORY_S)
        episodes = alert.episodes if recent else 0
        alert = Alert(cause.fingerprint, first_seen=now, last_seen=now, episodes=episodes)
    elif alert.gone_since is not None:  # it was not over: as if it had never left
        alert = replace(alert, gone_since=None, held=False)
    alert = replace(
        alert, last_seen=now, kind=cause.kind, grave=cause.grave, title=cause.title,
        body=cause.body, command=cause.command, over=cause.over, example=cause.example,
        records=cause.records, level=cause.level, since=cause.since,
    )  # fmt: skip
    fresh = alert.told_at is None
    if not (_is_due(alert, cause, manners, now) if fresh else _is_worse(alert)):
        return replace(alert, held=False), None
    if manners.muted_until(alert, now) is not None:
        return replace(alert, held=False), None
    if quiet_until is not None and not alert.grave:
        return replace(alert, held=True), None
    telling = _Told(alert, over=False, held=alert.held, worse=not fresh)
    alert = replace(
        alert, told_at=now, told_records=alert.records or 0, told_level=alert.level,
        told_grave=alert.grave or alert.told_grave, held=False,
        episodes=alert.episodes + fresh,
    )  # fmt: skip
    return alert, telling


def _is_due(alert: Alert, cause: Cause, manners: Manners, now: datetime) -> bool:
    """Whether a cause that nobody was told of has stood long enough, and concerns enough."""
    ripe = now - alert.first_seen >= timedelta(seconds=cause.patience_s)
    few = cause.records is not None and not cause.grave and cause.records < manners.threshold
    return ripe and not few


def _is_worse(alert: Alert) -> bool:
    """Whether it is so much worse than what was told that it is told again."""
    many = (alert.records or 0) >= WORSE * max(alert.told_records, 1)
    return alert.level > alert.told_level or (alert.grave and not alert.told_grave) or many


def _later(
    alert: Alert,
    cause: Cause,
    manners: Manners,
    now: datetime,
    quiet_until: datetime | None,
) -> list[datetime]:
    """When it may be told without anything else happening."""
    ripe_at = alert.first_seen + timedelta(seconds=cause.patience_s)
    waits = [ripe_at, manners.muted_until(alert, now), quiet_until if alert.held else None]
    latest = max(at for at in waits if at is not None)
    return [latest] if latest > now else []


def _gone(
    alert: Alert, manners: Manners, now: datetime, quiet_until: datetime | None
) -> tuple[Alert, _Told | None]:
    """The alert of a cause that does not stand any more, and what is told of its end."""
    alert = replace(alert, gone_since=alert.gone_since or now)
    assert alert.gone_since is not None
    if now - alert.gone_since < timedelta(seconds=calm_s(alert)):
        asleep = quiet_until is not None and not alert.told_grave
        return replace(alert, held=asleep and alert.told_at is not None), None
    ended = replace(alert, resolved_at=now, held=False)
    if alert.told_at is None or manners.muted_until(alert, now) is not None:
        return ended, None
    if quiet_until is not None and not alert.told_grave:
        return replace(alert, held=True), None
    return ended, _Told(ended, over=True, held=alert.held)


def _notices(told: Sequence[_Told], manners: Manners, now: datetime) -> tuple[Notice, ...]:
    """The messages: grave ones by themselves, what was held in one, the rest one by one."""
    grave = [each for each in told if each.alert.grave or (each.over and each.alert.told_grave)]
    rest = [each for each in told if each not in grave]
    held = [each for each in rest if each.held]
    free = [each for each in rest if not each.held]
    if len(free) > ONE_BY_ONE:
        held, free = held + free, []
    notices = [_notice(each, manners, now) for each in (*grave, *free)]
    if len(held) == 1:
        notices.append(_notice(held[0], manners, now))
    elif held:
        notices.append(_digest(held, manners))
    return tuple(notices)


def _notice(told: _Told, manners: Manners, now: datetime) -> Notice:
    alert = told.alert
    lines = [alert.over] if told.over else [alert.body]
    if told.over:
        span = span_words((now - alert.first_seen).total_seconds())
        lines.append(f"It stood from {moment(alert.first_seen, manners.zone)}, for {span}.")
    else:
        since = alert.since or alert.first_seen
        lines.append(f"Since {moment(since, manners.zone)}.")
        if alert.example is not None:
            lines.append(f"For example {alert.example}.")
        lines += [f"What to do: {alert.command}", f"Not to hear of it: {mute_command(alert)}"]
    return Notice(
        _title(told),
        "\n".join(lines),
        (alert.fingerprint,),
        grave=alert.grave or (told.over and alert.told_grave),
        good=told.over,
    )


def _title(told: _Told) -> str:
    if told.over:
        return f"over: {told.alert.title}"
    return f"worse: {told.alert.title}" if told.worse else told.alert.title


def _digest(told: Sequence[_Told], manners: Manners) -> Notice:
    """One message of many: a line each, with the command."""
    news = [each for each in told if not each.over]
    lines = []
    for each in sorted(told, key=lambda each: (each.over, each.alert.fingerprint)):
        since = moment(each.alert.since or each.alert.first_seen, manners.zone)
        tail = "" if each.over else f" (since {since}): {each.alert.command}"
        lines.append(f"- {_title(each)}{tail}")
    lines.append("All of it: zohosync alerts")
    ended = len(told) - len(news)
    counts = [f"{len(news)} alerts" if news else "", f"{ended} over" if ended else ""]
    title = ", ".join(filter(None, counts))
    names = tuple(each.alert.fingerprint for each in told)
    return Notice(title, "\n".join(lines), names, good=not news)


def mute_command(alert: Alert) -> str:
    """What silences this one."""
    return f"zohosync alerts mute {alert.fingerprint} --for 8h"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """An instant for people of that time zone."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"


def retry_in_s(tries: int) -> float:
    """Seconds until a notice that failed `tries` times is sent again."""
    return min(RETRY_MAX_S, RETRY_S * 2.0 ** min(max(tries - 1, 0), 10))


def channel_urls(text: str) -> dict[str, str]:
    """The channels' addresses by the names that they are shown by; one a line or parted by commas.

    A name has no secret in it: the scheme, and the host where it is one.
    """
    urls = [
        part for part in re.split(r"[\s,]+(?=[\w+-]+://)|[\r\n]+", text.strip()) if part.strip()
    ]
    named: dict[str, str] = {}
    for url in urls:
        name = channel_name(url.strip(" ,"))
        copies = sum(1 for known in named if known == name or known.startswith(f"{name} ("))
        named[f"{name} ({copies + 1})" if copies else name] = url.strip(" ,")
    return named


def channel_name(url: str) -> str:
    """What a channel is called: never more than its scheme and host."""
    match = re.match(r"([A-Za-z][\w+-]*)://(.*)", url, re.DOTALL)
    if match is None:
        return "an address without a scheme"
    scheme = match[1].lower()
    if scheme not in PLAIN_HOSTS:
        return f"{scheme}://…"
    host = re.split(r"[/?#]", match[2], maxsplit=1)[0].rpartition("@")[2]
    bare = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d+)?", host)
    return f"{scheme}://{bare[1]}" if bare else f"{scheme}://…"


_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration_s(text: str) -> float:
    """Seconds of a length of time such as `30m`, `2h` or `7d`. Raises ValueError in words."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*([smhdw])\s*", text.lower())
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= 366 * 86_400:
        raise ValueError(f"is {text!r}: it must be a length of time such as 30m, 2h or 7d")
    return float(seconds)


def quiet_of(begins: str | None, ends: str | None, zone: ZoneInfo) -> Quiet | None:
    """The quiet hours of the settings; None where there are none."""
    return Quiet(begins, ends, zone) if begins and ends and begins != ends else None
