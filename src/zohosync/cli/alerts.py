"""The verb alerts: what stands, who hears of it, whether the channels work, and mutes."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import FAILED, HERE, OK, AsJson, ProjectDir, Screen, settings_of

if TYPE_CHECKING:
    from zohosync.core.alerts import Alert, Manners
    from zohosync.settings import Settings
    from zohosync.store.alerts import AlertBook, Books

ACTS = ("list", "test", "mute", "unmute")
CHANNELS = "ZOHOSYNC_ALERTS_CHANNELS"

Act = Annotated[str, typer.Argument(metavar="[list|test|mute|unmute]", show_default=False)]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="[TARGET]", show_default=False, help="Of mute: an alert's name, a kind or a topic."
    ),
]


def alerts(
    act: Act = "list",
    target: Target = None,
    project: ProjectDir = HERE,
    span: Annotated[str, typer.Option("--for", help="How long to mute: 30m, 2h, 7d.")] = "8h",
    json: AsJson = False,
) -> int:
    """What is wrong now, a line for each cause; `test` the channels, `mute` or `unmute` a cause."""
    from zohosync.core.alerts import duration_s

    screen, settings = Screen(json), settings_of(project)
    _wrong_if(act not in ACTS, f"There is no `alerts {act}`", f"say one of {', '.join(ACTS)}")
    muting = act in ("mute", "unmute")
    _wrong_if(muting and not target, f"`alerts {act}` of what?", "name an alert, a kind or a topic")
    _wrong_if(not muting and target is not None, f"`alerts {act}` takes no {target!r}", "leave it")
    if act == "test":
        return asyncio.run(_test(screen, settings))
    if not muting:
        return asyncio.run(_list(screen, settings))
    try:
        for_s = duration_s(span)
    except ValueError as error:
        _wrong_if(True, f"--for {error}", "say how long")
    return asyncio.run(_mute(screen, settings, str(target), for_s if act == "mute" else None))


def _wrong_if(wrong: bool, what: str, next_step: str) -> None:
    from zohosync.errors import SettingsError

    if wrong:
        raise SettingsError(what, place="zohosync alerts", next_step=next_step)


async def _test(screen: Screen, settings: "Settings") -> int:
    """Send a notice through every channel; neither the database nor Zoho is needed."""
    from zohosync.clock import SystemClock
    from zohosync.core.alerts import Notice
    from zohosync.engine.alerts import Channels

    channels = Channels.of(settings.alerts.channels)
    if not channels.names:
        screen.line("No channel is set: alerts go to the log of the workers, and nowhere else.")
        screen.next_step(f"set {CHANNELS} (docs/operations.md has examples)")
        screen.result({"channels": [], "refused": 0})
        return OK
    where = settings.organization.id or "no organisation yet"
    notice = Notice(
        "a test",
        f"This is a test of the alerts of {where}. Nothing is wrong, and nothing is to be done.",
        (),
        good=True,
    )
    outcomes = await channels.deliver(notice, SystemClock())
    for name, why in outcomes.items():
        screen.line(f"{name}: {'sent' if why is None else why}", None if why is None else "red")
    refused = [name for name, why in outcomes.items() if why is not None]
    if refused:
        screen.next_step(f"mend {CHANNELS}: {', '.join(refused)}; then zohosync alerts test")
    else:
        screen.next_step("see that it has arrived")
    screen.result(
        {
            "channels": [
                {"channel": name, "sent": why is None, "reason": why}
                for name, why in outcomes.items()
            ],
            "refused": len(refused),
        }
    )
    return FAILED if refused else OK


async def _list(screen: Screen, settings: "Settings") -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.store.alerts import AlertBook

    async with open_database(settings) as database:
        org_id = organization_id(settings)
        book = AlertBook(database, org_id)
        books = await book.books()
        unsent = await book.unsent()
    if books is None:
        screen.line(f"Organisation {org_id} is not known in this database yet.")
        screen.next_step("zohosync migrate")
        screen.result({"organization": org_id, "known": False, "alerts": []})
        return OK
    manners, standing, ended = _judged(settings, books)
    rows = [_row(alert, manners, books.facts.now) for alert in standing]
    quiet_until = manners.quiet.ends_at(books.facts.now) if manners.quiet else None
    _say(screen, rows, manners, ended)
    channels = _channels(settings)
    screen.line(f"Told to: {', '.join(channels)}" + (", quiet hours now" if quiet_until else ""))
    for row in unsent:
        if row["error"]:
            screen.line(f"Not sent yet: {row['title']} ({row['error']})", style="red")
    broken = any(row["error"] for row in unsent)
    screen.next_step(_next(rows, broken=broken))
    screen.result(
        {
            "organization": org_id, "known": True, "alerts": rows, "channels": channels,
            "resolved": [_row(alert, manners, books.facts.now) for alert in ended],
            "muted": [{"target": name, "until": at} for name, at in manners.mutes.items()],
            "quiet_until": quiet_until,
            "unsent": [{**row, "pending": list(row["pending"])} for row in unsent],
        }
    )  # fmt: skip
    return OK


def _channels(settings: "Settings") -> list[str]:
    from zohosync.core.alerts import channel_urls

    return ["log", *channel_urls(settings.alerts.channels.reveal())]


def _judged(settings: "Settings", books: "Books") -> tuple["Manners", "list[Alert]", "list[Alert]"]:
    """What stands by the facts as they are now, and what ended lately; nothing is written down."""
    from zohosync.core.alerts import decide
    from zohosync.core.causes import causes_of
    from zohosync.engine.alerts import manners_of

    said = settings.alerts
    manners = manners_of(said.threshold, said.quiet_from, said.quiet_to)(books)
    known = {alert.fingerprint: alert for alert in books.alerts}
    found = decide(causes_of(books.facts), books.alerts, manners, books.facts.now).alerts
    # The words as of now; who was told, and since when it stands, as it is remembered.
    standing = [
        _as_remembered(alert, known.get(alert.fingerprint)) for alert in found
        if alert.stands and alert.gone_since is None
    ]  # fmt: skip
    ended = [alert for alert in books.alerts if not alert.stands and alert.told_at is not None]
    return manners, sorted(standing, key=lambda alert: (not alert.grave, alert.fingerprint)), ended


def _as_remembered(alert: "Alert", known: "Alert | None") -> "Alert":
    from dataclasses import replace

    told_at = known.told_at if known is not None and known.stands else None
    return replace(alert, told_at=told_at)


def _row(alert: "Alert", manners: "Manners", now: datetime) -> dict[str, Any]:
    example = alert.example
    return {
        "fingerprint": alert.fingerprint, "grave": alert.grave, "title": alert.title,
        "body": alert.body, "records": alert.records, "since": alert.since or alert.first_seen,
        "kind": example.kind if example else alert.kind, "key": example.key if example else None,
        "command": alert.command, "told_at": alert.told_at, "held": alert.held,
        "muted_until": manners.muted_until(alert, now), "resolved_at": alert.resolved_at,
    }  # fmt: skip


def _say(
    screen: Screen, rows: Sequence[Mapping[str, Any]], manners: "Manners", ended: "list[Alert]"
) -> None:
    from zohosync.core.alerts import moment

    zone = manners.zone
    if not rows:
        screen.line("Nothing is wrong.")
    for row in rows:
        marks = [
            word
            for word, holds in (
                ("grave", row["grave"]),
                ("held until the quiet hours end", row["held"]),
                ("not told yet", row["told_at"] is None and not row["held"]),
            )
            if holds and not row["muted_until"]
        ]
        if row["muted_until"]:
            marks.append(f"muted until {moment(row['muted_until'], zone)}")
        tail = f" ({', '.join(marks)})" if marks else ""
        screen.line(f"{row['title']}{tail}", style="red" if row["grave"] else "yellow")
        like = f"; like {row['kind']} {row['key']}" if row["key"] else ""
        screen.line(f"  {row['body']}")
        screen.line(f"  since {moment(row['since'], zone)}{like}; {row['command']}")
        screen.line(f"  name: {row['fingerprint']}", style="dim")
    for alert in ended:
        if alert.resolved_at is not None:
            screen.line(f"over since {moment(alert.resolved_at, zone)}: {alert.title}", style="dim")
    for name, until in manners.mutes.items():
        screen.line(f"muted until {moment(until, zone)}: {name}", style="dim")


def _next(rows: Sequence[Mapping[str, Any]], *, broken: bool) -> str:
    if broken:
        return "zohosync alerts test"
    heard = [row for row in rows if not row["muted_until"]]
    return str(heard[0]["command"]) if heard else "nothing: zohosync status shows the rest"


async def _mute(screen: Screen, settings: "Settings", target: str, for_s: float | None) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.core.alerts import moment
    from zohosync.store.alerts import AlertBook

    async with open_database(settings) as database:
        book = AlertBook(database, organization_id(settings))
        books = await book.books()
        if books is None:
            _wrong_if(True, "The organisation is not known here yet", "run `zohosync migrate`")
            return FAILED
        if for_s is not None:
            _known_or_wrong(settings, books, target)
        until = await _muted(book, target, for_s)
        manners, _, _ = _judged(settings, books)
    screen.result({"target": target, "muted_until": until if for_s is not None else None})
    if for_s is None:
        screen.line(f"{target} is heard of again.")
    elif until is not None:
        screen.line(f"Nobody hears of {target} until {moment(until, manners.zone)}.")
    screen.next_step("zohosync alerts")
    return OK


async def _muted(book: "AlertBook", target: str, for_s: float | None) -> datetime | None:
    until = await book.mute(target, for_s)
    _wrong_if(until is None, f"{target!r} is not muted", "see what is: zohosync alerts")
    return until


def _known_or_wrong(settings: "Settings", books: "Books", target: str) -> None:
    """Raise for a target that no alert could have."""
    import difflib

    from zohosync.core.causes import TOPICS
    from zohosync.core.kinds import KINDS

    _, standing, ended = _judged(settings, books)
    names = [alert.fingerprint for alert in (*standing, *ended)]
    known = [*names, *KINDS, *TOPICS]
    if target in known:
        return
    close = difflib.get_close_matches(target, known, 1)
    step = f"did you mean {close[0]}?" if close else "zohosync alerts names those that there are"
    _wrong_if(True, f"There is no alert, kind or topic {target!r}", step)
