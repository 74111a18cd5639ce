"""The verbs that set up: init, login, check."""

import asyncio
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import FAILED, HERE, OK, AsJson, ProjectDir, Screen, settings_of

if TYPE_CHECKING:
    from zohosync.settings import Settings

Target = Annotated[Path, typer.Argument(metavar="DIR", show_default=False)]
DataCenter = Annotated[str | None, typer.Option("--data-center", help="us, eu, in, au, …")]


def init(  # noqa: PLR0917 - options are not positional on a command line
    directory: Target,
    plan: Annotated[
        str | None, typer.Option(help="Limits: standard, premium, guide or custom.")
    ] = None,
    data_center: DataCenter = None,
    organization: Annotated[str | None, typer.Option(help="The organisation's id.")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="With the demo's book in a Postgres of its own.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Write a commented starter project: zohosync.toml and mapping/*.sql."""
    from zohosync.core.governor import PLANS
    from zohosync.errors import SettingsError
    from zohosync.settings import CUSTOM, DATA_CENTERS, FILE, UNLIMITED, load

    screen = Screen(json)
    plans = (*(name for name in PLANS if name != UNLIMITED), CUSTOM)
    for option, value, names in (
        ("--plan", plan, plans), ("--data-center", data_center, DATA_CENTERS),
    ):  # fmt: skip
        if value is not None and value not in names:
            raise SettingsError(f"{option} is {value!r}: it must be one of {', '.join(names)}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SettingsError(
            "There is something there already",
            place=str(directory),
            next_step="name a directory that is new or empty",
        )
    if screen.live and not json:
        plan = plan or _asked("Which plan's limits", plans, "standard")
        data_center = data_center or _asked("Which data centre", DATA_CENTERS, "us")
    written = _copy_starter(directory)
    file = directory / FILE
    _set(file, "organization.data_center", data_center)
    _set(file, "organization.id", organization)
    _set(file, "limits.plan", plan)
    settings = load(directory)
    for name in written:
        screen.line(f"wrote {directory / name}")
    todo = "edit mapping/*.sql to read your tables, then: "
    if sample:
        from zohosync.demo.show import write_sample

        rows, todo = asyncio.run(write_sample(settings)), ""
        screen.line(f"wrote a sample book of {rows} rows into the project's own Postgres")
    screen.next_step(f"{todo}cd {directory}; zohosync check")
    screen.result({"directory": str(directory), "files": written})
    return OK


def _asked(what: str, names: tuple[str, ...], default: str) -> str:
    while True:
        said = str(typer.prompt(f"{what} ({', '.join(names)})", default=default, err=True))
        if said in names:
            return said


def _copy_starter(directory: Path) -> list[str]:
    from importlib.resources import files

    starter = files("zohosync").joinpath("templates")
    (directory / "mapping").mkdir(parents=True, exist_ok=True)
    written = []
    for folder in ("", "mapping"):
        place = starter.joinpath(folder) if folder else starter
        for source in sorted(place.iterdir(), key=lambda each: each.name):
            if source.is_file():
                name = f"{folder}/{source.name}" if folder else source.name
                (directory / name).write_bytes(source.read_bytes())
                written.append(name)
    (directory / ".gitignore").write_text(".zohosync/\n", encoding="utf-8")
    return [*written, ".gitignore"]


def _set(file: Path, name: str, value: str | None) -> None:
    """Put a value into a TOML file, where it stands or stood commented out; None: nothing."""
    if value is None:
        return
    text = file.read_text(encoding="utf-8")
    section, key = name.split(".")
    line = f"{key} = {_quoted(value)}"
    start = re.search(rf"^\[{section}\][ \t]*$", text, re.MULTILINE)
    if start is None:
        file.write_text(f"{text}\n[{section}]\n{line}\n", encoding="utf-8")
        return
    end = re.search(r"^\[", text[start.end() :], re.MULTILINE)
    stop = start.end() + end.start() if end else len(text)
    body = text[start.end() : stop]
    known = re.search(rf'^(?:# *)?{key} *= *("[^"\n]*"|[\w.-]+)', body, re.MULTILINE)
    first, last = known.span() if known else (0, 0)
    body = body[:first] + line + body[last:] if known else f"\n{line}{body}"
    file.write_text(text[: start.end()] + body + text[stop:], encoding="utf-8")


def login(
    project: ProjectDir = HERE,
    data_center: DataCenter = None,
    organization: Annotated[str | None, typer.Option(help="Choose this organisation's id.")] = None,
    json: AsJson = False,
) -> int:
    """Get Zoho's permission once: shows the clicks, exchanges the code, keeps the secret.

    Client id, client secret and code are asked for (or read from standard input, a line each).
    The secret goes to .zohosync/secrets.toml, which only you can read.
    """
    screen = Screen(json)
    flags = {"organization.data_center": data_center, "organization.id": organization}
    return asyncio.run(_login(screen, settings_of(project, flags)))


async def _login(screen: Screen, settings: "Settings") -> int:
    from zohosync.clock import SystemClock
    from zohosync.protected import write_protected
    from zohosync.settings import FILE
    from zohosync.zoho.client import OneToken, OpenGate, Remote
    from zohosync.zoho.tokens import Secret, exchange_code
    from zohosync.zoho.wire import DATA_CENTERS

    clock, center = SystemClock(), settings.organization.data_center
    _say_clicks(screen, center)
    client_id = _read_line("Client id", hidden=False)
    client_secret = Secret(_read_line("Client secret (not shown)", hidden=True))
    code = Secret(_read_line("Code (not shown)", hidden=True))
    minted = await exchange_code(
        code,
        data_center=center,
        client_id=client_id,
        client_secret=client_secret,
        clock=clock,
        accounts_url=settings.zoho.accounts_url,
    )
    remote = Remote(
        gate=OpenGate(clock),
        tokens=OneToken(minted.secret, minted.api_domain or DATA_CENTERS[center].api),
        clock=clock,
        organization_id="",
        api_url=settings.zoho.api_url,
    )
    try:
        found = await remote.organizations()
    finally:
        await remote.aclose()
    chosen = _choose(screen, found, settings)
    org_id = str(chosen["organization_id"])
    assert minted.refresh_token is not None
    file = write_protected(
        settings.project,
        {
            "zoho.client_id": client_id,
            "zoho.client_secret": client_secret.reveal(),
            "zoho.refresh_token": minted.refresh_token.reveal(),
        },
    )
    _set(settings.project / FILE, "organization.id", org_id)
    _set(settings.project / FILE, "organization.data_center", center)
    screen.line(f"wrote {file} (only you can read it), and the organisation into {FILE}")
    mode = str(chosen.get("mode") or "").lower()
    if mode and mode != settings.organization.mode:
        screen.line(
            f"Organisation {org_id} is {mode}; {FILE} says {settings.organization.mode}: zohosync "
            "will not run until they agree",
            style="yellow",
        )
    screen.next_step("zohosync migrate")
    screen.result({"organization": org_id, "mode": mode or None, "data_center": center})
    return OK


def _say_clicks(screen: Screen, center: str) -> None:
    """Where to go and what to press; Zoho shows the code for some minutes only."""
    from zohosync.zoho.wire import DATA_CENTERS, SCOPES

    screen.line(f"Data centre {center}. In a browser, as a user who may see all of Zoho Billing:")
    screen.line(f"1. open {DATA_CENTERS[center].console}")
    screen.line("2. Self Client → Create (once) → Client Secret: copy the id and the secret")
    screen.line("3. Generate Code → paste this as the scope, choose 10 minutes, any description:")
    screen.line()
    screen.line(",".join(SCOPES), style="bold")
    screen.line()
    screen.line("4. Create → choose the organisation → copy the code, and paste it here at once")


def _read_line(what: str, *, hidden: bool) -> str:
    """A value from the keyboard, or a line of standard input. Raises SettingsError when empty."""
    from zohosync.errors import SettingsError

    if sys.stdin.isatty():
        value = str(typer.prompt(what, hide_input=hidden, err=True))
    else:
        value = sys.stdin.readline()
    if not value.strip():
        raise SettingsError(f"{what} is empty", next_step="give id, secret and code, a line each")
    return value.strip()


def _choose(screen: Screen, found: list[dict[str, Any]], settings: "Settings") -> dict[str, Any]:
    """The organisation to work for: the one named, the only one, or the one that is picked."""
    from zohosync.core.checks import organization_words
    from zohosync.errors import SettingsError

    screen.line("These credentials open:")
    for number, each in enumerate(found, 1):
        screen.line(f"  {number}. {organization_words(each)}")
    named = settings.organization.id
    match = [each for each in found if str(each.get("organization_id")) == named]
    if match:
        return match[0]
    if len(found) == 1 and named is None:
        return found[0]
    if not found or not sys.stdin.isatty():
        what = f"They open no organisation {named}" if named else "No organisation is chosen"
        raise SettingsError(
            what,
            place="there are: " + ("; ".join(organization_words(each) for each in found) or "none"),
            next_step="name one with --organization, and a fresh code",
        )
    numbers = tuple(str(number) for number in range(1, len(found) + 1))
    return found[int(_asked("Which one", numbers, "1")) - 1]


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def check(
    project: ProjectDir = HERE,
    production: Annotated[
        bool,
        typer.Option("--production", help="Is the installation fit for production? Item by item."),
    ] = False,
    json: AsJson = False,
) -> int:
    """Does the mapping fit your tables and Zoho's API? Names each fault; spends no call.

    Reads every row of every mapping. Exit code 1 when there are faults.
    """
    if production:
        from zohosync.cli.production import check_production

        return asyncio.run(check_production(Screen(json), settings_of(project)))
    return asyncio.run(_check(Screen(json), settings_of(project)))


async def _check(screen: Screen, settings: "Settings") -> int:
    from zohosync.bootstrap import open_trial
    from zohosync.clock import Chance
    from zohosync.core.figures import cost_of
    from zohosync.engine.passes import examine
    from zohosync.store.capture import missing_watches
    from zohosync.store.inspection import Inspection
    from zohosync.wiring import watches_of

    watches = watches_of(settings)
    async with open_trial(settings, chance=Chance()) as trial:
        inspection, source = Inspection(trial.database), trial.source
        planned = trial.rehearser.result
        about = sum([await inspection.rows(source.mapped(kind)) for kind in source.kinds])
        with screen.progress("rows checked") as meter:
            found = await examine(
                source,
                inspection,
                watches,
                rehearser=trial.rehearser,
                tell=lambda kind, n: meter(planned.rows, None, f"{kind} {n:,}", about=about),
            )
        faults = [each for each in (*trial.faults, *found) if not each.note]
        notes = [str(each) for each in found if each.note]
        if not trial.migrated:
            notes.append("our schema is not in the database yet: zohosync migrate puts it there")
        elif not faults and (missing := await missing_watches(trial.database, watches)):
            notes.append(f"not watched yet: {', '.join(missing)}: zohosync migrate installs that")
        place = trial.database.place
    notes += _standing_notes(
        settings, [trial.source.mapped(kind).columns for kind in trial.source.kinds]
    )
    cost = cost_of(planned.calls, settings.limits)
    screen.line(f"database {place}; {planned.rows:,} rows in {len(settings.kinds)} mappings")
    for fault in faults:
        screen.line(f"fault  {fault}", style="red")
    for note in notes:
        screen.line(f"note   {note}", style="yellow")
    screen.line(_limits_line(settings))
    screen.line(f"A backfill would take {cost.words}, when nobody else uses the organisation.")
    screen.line(f"{len(faults)} faults" if faults else "No faults.")
    screen.next_step(_after_check(settings, faults=bool(faults), migrated=trial.migrated))
    screen.result(
        {
            "ok": not faults,
            "faults": [asdict(fault) for fault in faults],
            "notes": notes,
            "rows": planned.rows,
            "limits": {"named": settings.limits_plan, **asdict(settings.limits)},
            "backfill": {"calls": cost.calls, "minutes": round(cost.minutes, 1), "days": cost.days},
            "mode": settings.mode,
        }
    )
    return FAILED if faults else OK


def _standing_notes(settings: "Settings", columns: list[tuple[tuple[str, str], ...]]) -> list[str]:
    """What is worth knowing of the project as a whole."""
    notes = list(settings.notes)
    seeded = any(name == "zoho_id" for names in columns for name, _ in names)
    if seeded and settings.mode != "live":
        notes.append("zoho_id seeds links on a live organisation only: not used now")
    if settings.organization.id is None:
        notes.append("no organisation is named yet: zohosync login, or ZOHOSYNC_ORGANIZATION_ID")
    if settings.mode == "live":
        notes.append("this organisation is live: its kinds start paused")
    return notes


def _limits_line(settings: "Settings") -> str:
    limits = settings.limits
    parts = [
        f"{value:,} {words}"
        for value, words in (
            (limits.per_minute, "a minute"),
            (limits.per_second, "a second"),
            (limits.in_flight, "in flight"),
            (limits.per_day, "a day"),
        )
        if value is not None
    ]
    return f"Limits in force: {settings.limits_plan} ({', '.join(parts) or 'none'})"


def _after_check(settings: "Settings", *, faults: bool, migrated: bool) -> str:
    if faults:
        return "mend what is named above, then zohosync check again"
    if not migrated:
        return "zohosync migrate"
    if settings.organization.id is None:
        return "zohosync login (or zohosync sandbox, to try)"
    return "zohosync backfill --dry-run"
