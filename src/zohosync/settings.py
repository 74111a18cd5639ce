"""Every setting of a project, each with where it came from; the only reader of the environment.

A flag beats the environment, which beats the protected file that `zohosync login` writes
(`.zohosync/secrets.toml`, mode 0600), which beats `zohosync.toml`, which beats the default.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from zohosync.core.brake import OPTIONS as BRAKE
from zohosync.core.brake import Brake
from zohosync.core.governor import PLANS, Limits
from zohosync.core.guide import OPTIONS as GUIDE
from zohosync.core.guide import feed, shown_as
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.limits import NUMBERS, in_words, limits_from
from zohosync.core.limits import OPTIONS as LIMITS
from zohosync.core.options import (
    Document,
    Option,
    OptionError,
    Origin,
    Secret,
    address,
    choice,
    has_password,
    is_local,
    masked,
    number,
    read_table,
    secret_text,
    slips,
    text,
    word_of,
    zone,
)
from zohosync.core.sections import OPTIONS as SECTIONS
from zohosync.core.sections import (
    AlertSettings,
    Caches,
    Organization,
    Retention,
    Targets,
    Upkeep,
    WatchSettings,
    Work,
    Zoho,
)
from zohosync.errors import SettingsError
from zohosync.protected import FILE as SECRETS
from zohosync.protected import read_protected

FILE = "zohosync.toml"
SECRETS_FILE = SECRETS
DATA_CENTERS = ("us", "eu", "in", "au", "jp", "ca", "cn", "sa", "uk")
CUSTOM, UNLIMITED = "custom", "unlimited"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the database is: a URL, or none for the embedded one under `directory`."""

    url: Secret
    directory: Path
    keep_days: int = 90
    """How long calls and attempts are kept as evidence, where [retention] does not say."""


@dataclass(frozen=True, slots=True)
class KindSettings:
    """A kind that is kept in step: its mapping's file, and what was said about it."""

    mapping: Path
    priority: int | None = None
    when_gone: str | None = None
    write_back: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of a project's settings in force."""

    project: Path
    organization: Organization
    zoho: Zoho
    limits: Limits
    limits_plan: str
    worker: Work
    database: Place
    kinds: Mapping[str, KindSettings]
    watches: tuple[WatchSettings, ...]
    origins: tuple[Origin, ...]
    notes: tuple[str, ...] = ()
    brake: Brake = field(default_factory=Brake)
    sweep_at: str = "02:30"
    sweep_compare: str = "never"
    upkeep: Upkeep = field(default_factory=Upkeep)
    retention: Retention = field(default_factory=Retention)
    caches: Caches = field(default_factory=Caches)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    targets: Targets = field(default_factory=Targets)

    @property
    def mode(self) -> str:
        """`sandbox`, `test` or `live`: an API address on this machine is always the sandbox."""
        return "sandbox" if is_local(self.zoho.api_url) else self.organization.mode

    @property
    def embedded(self) -> bool:
        """Whether the database is our own Postgres."""
        return not self.database.url


_ENTRIES = (
    Option("organization.id", text),
    Option("organization.data_center", choice(*DATA_CENTERS), "us"),
    Option("organization.mode", choice("test", "live", "sandbox"), "test"),
    Option("organization.time_zone", zone, "UTC"),
    Option("organization.currency", text),
    Option("organization.marker_field", text),
    Option("limits.plan", choice(*PLANS, CUSTOM), "standard"),
    *LIMITS,
    *BRAKE,
    *SECTIONS,
    *GUIDE,
    Option("worker.slots", number(1, 200, whole=True), 10),
    Option("worker.lease_s", number(2, 600, whole=False), 6.0),
    Option("worker.heartbeat_s", number(0.1, 300, whole=False), 2.0),
    Option("worker.poll_s", number(0.1, 300, whole=False), 0.5),
    Option("worker.debounce_s", number(0, 86_400, whole=False), 300.0),
    Option("worker.send_within_s", number(0.2, 10, whole=False), 2.0),
    Option("worker.time_limit_s", number(1, 120, whole=False), 30.0),
    Option("worker.max_retries", number(1, 20, whole=True), 3),
    Option("worker.retry_base_s", number(0.1, 3_600, whole=False), 5.0),
    Option("database.url", secret_text, Secret(""), secret=True),
    Option("database.directory", text, ".zohosync/postgres"),
    Option("database.keep_days", number(8, 36_500, whole=True), 90),
    Option("zoho.client_id", text, env="ZOHOSYNC_CLIENT_ID"),
    Option("zoho.client_secret", secret_text, Secret(""), "ZOHOSYNC_CLIENT_SECRET", True, False),
    Option("zoho.refresh_token", secret_text, Secret(""), "ZOHOSYNC_REFRESH_TOKEN", True, False),
    Option("zoho.secret_key", secret_text, Secret(""), "ZOHOSYNC_SECRET_KEY", True, False),
    Option("zoho.api_url", address, env="ZOHOSYNC_API_URL"),
    Option("zoho.accounts_url", address, env="ZOHOSYNC_ACCOUNTS_URL"),
)
_IN_SECRETS = ("database.url", "zoho.client_id", *(e.name for e in _ENTRIES if not e.in_file))
_WRITE_BACK = ("table", "key", "zoho_id", "status", "synced_at", "error")
_KIND = {
    "mapping": text,
    "priority": number(0, 10, whole=True),
    "write_back": dict.fromkeys(_WRITE_BACK, text),
}
_WATCH = {
    "table": text,
    "kind": choice(*MAPPED),
    "key": text,
    "keys": text,
    "priority": number(0, 10, whole=True),
}
_SECTIONS = tuple(dict.fromkeys(entry.name.split(".")[0] for entry in _ENTRIES))


def debug() -> bool:
    """Whether errors of ours are to be shown with their traceback (ZOHOSYNC_DEBUG=1)."""
    return os.environ.get("ZOHOSYNC_DEBUG", "") not in ("", "0")


def load(project: Path, *, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read a project's settings; `flags` are by name (`limits.plan`), None ones do not count.

    Raises SettingsError that names the setting, its file and line, and what it should be.
    """
    file = project / FILE
    if not file.is_file():
        raise SettingsError(
            f"There is no {FILE} here",
            place=str(project),
            next_step="name the project folder with --project, or make one: `zohosync init DIR`",
        )
    try:
        return _load(project, Document(file.name, _read(file)), flags or {})
    except OptionError as error:
        raise SettingsError(error.what, place=error.place, next_step=error.next_step) from None


def _load(project: Path, document: Document, flags: Mapping[str, Any]) -> Settings:
    document.refuse_unknown(("kinds", "watch", *_SECTIONS), [entry.name for entry in _ENTRIES])
    secrets = _secrets(project)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for entry in _ENTRIES:
        values[entry.name], origins[entry.name] = _effective(entry, flags, secrets, document)
    feed(values, origins, {entry.name: entry.read for entry in _ENTRIES})
    limits = _limits(values, origins)
    origins |= shown_as(values, origins, limits)
    _agree(values, origins, document)
    kinds, notes = _kinds(project, document)
    directory = (project / values["database.directory"]).absolute()
    ours = (name for name in os.environ if name.startswith("ZOHOSYNC_"))
    variables = ("ZOHOSYNC_DEBUG", *(entry.variable for entry in _ENTRIES))
    strays = [f"{name} is not read: did you mean {near}?" for name, near in slips(ours, variables)]
    return Settings(
        project=project,
        organization=Organization(**_section(values, "organization")),
        zoho=Zoho(**_section(values, "zoho")),
        limits=limits,
        limits_plan=values["limits.plan"],
        worker=Work(**_section(values, "worker")),
        database=Place(values["database.url"], directory, values["database.keep_days"]),
        kinds=MappingProxyType(kinds),
        watches=_watches(document),
        origins=tuple(origins.values()),
        notes=(*notes, *strays),
        brake=Brake(**_section(values, "brake")),
        sweep_at=values["sweep.at"],
        sweep_compare=values["sweep.compare"],
        upkeep=Upkeep(**_section(values, "upkeep")),
        retention=Retention(**_section(values, "retention")),
        caches=Caches(**_section(values, "cache")),
        alerts=AlertSettings(**_section(values, "alerts")),
        targets=Targets(**_section(values, "targets")),
    )


def _secrets(project: Path) -> Document | None:
    document = read_protected(project)
    if document is not None:
        document.refuse_unknown(("zoho", "database", "alerts"), list(_IN_SECRETS))
    return document


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name} cannot be read: {error}", place=str(file)) from None


def _effective(
    entry: Option,
    flags: Mapping[str, Any],
    secrets: Document | None,
    document: Document,
) -> tuple[Any, Origin]:
    """The value in force and where it came from; an empty variable or flag does not count."""
    filed = document.value(entry.name)
    if filed is not None and entry.secret and (not entry.in_file or has_password(str(filed))):
        raise SettingsError(
            f"{entry.name} is a secret and must not stand in {FILE}",
            place=document.at(entry.name),
            next_step=f"take it out (and change it, if others saw it); set {entry.variable}",
        )
    said = (
        (flags.get(entry.name), "flag"),
        (os.environ.get(entry.variable) or None, f"environment {entry.variable}"),
        (secrets.value(entry.name) if secrets else None, SECRETS_FILE),
        (filed, document.at(entry.name)),
    )
    raw, source = next(((raw, source) for raw, source in said if raw is not None), (None, ""))
    if raw is None:
        shown = "" if entry.secret else _shown(entry.default)
        return entry.default, Origin(entry.name, shown, "default")
    try:
        value = entry.read(raw)
    except ValueError as error:
        raise SettingsError(f"{entry.name} {error}", place=source) from None
    shown = masked(value) if entry.secret else _shown(value)
    return value, Origin(entry.name, shown, source)


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


def _limits(values: Mapping[str, Any], origins: dict[str, Origin]) -> Limits:
    """The limits of the plan, or with `custom` the user's own numbers over those of standard."""
    plan = values["limits.plan"]
    if plan != CUSTOM:
        names = [name for name in NUMBERS if values[f"limits.{name}"] is not None]
        ours = plan == "guide"  # whose own numbers may be said with it
        if said := [
            name
            for name in names
            if not (ours and origins[f"limits.{name}"].source.startswith("guide."))
        ]:
            raise SettingsError(
                f"limits.{said[0]} says nothing while limits.plan is {plan}",
                place=origins[f"limits.{said[0]}"].source,
                next_step='set plan = "custom", or take the number out',
            )
        if plan == UNLIMITED and not is_local(values["zoho.api_url"]):
            raise SettingsError(
                "limits.plan unlimited is for the sandbox only",
                place=origins["limits.plan"].source,
                next_step="choose standard, premium, guide or custom",
            )
    base = "standard" if plan == CUSTOM else plan
    limits = limits_from(values, PLANS[base])
    if faults := limits.faults():
        raise SettingsError(faults[0], place=FILE)
    for name, shown in in_words(limits).items():
        if values[name] is None:
            origins[name] = Origin(name, shown, f"plan {base}")
    return limits


def _agree(values: dict[str, Any], origins: dict[str, Origin], document: Document) -> None:
    """Raise where two settings contradict each other."""
    if values["worker.heartbeat_s"] * 2 > values["worker.lease_s"]:
        raise document.fail("worker.heartbeat_s", "must be at most half of worker.lease_s")
    if values["worker.send_within_s"] >= values["worker.lease_s"]:
        raise document.fail("worker.send_within_s", "must be less than worker.lease_s")
    if bool(values["alerts.quiet_from"]) != bool(values["alerts.quiet_to"]):
        raise document.fail("alerts.quiet_from", "and alerts.quiet_to go together: set both")
    api, accounts = values["zoho.api_url"], values["zoho.accounts_url"]
    if values["organization.mode"] == "sandbox" and "zoho" in (
        urlsplit(api or "zoho://zoho").netloc
    ):
        raise document.fail(
            "organization.mode",
            "is sandbox, but the API address is Zoho's own: set ZOHOSYNC_API_URL to what "
            "`zohosync sandbox` prints",
        )
    if is_local(api) and accounts is None:  # never a sandbox's credentials to the real Zoho
        values["zoho.accounts_url"] = api
        origins["zoho.accounts_url"] = Origin("zoho.accounts_url", str(api), "zoho.api_url")
    elif is_local(api) != is_local(accounts):
        raise SettingsError(
            "One of ZOHOSYNC_API_URL and ZOHOSYNC_ACCOUNTS_URL is this machine, the other is not",
            next_step="set both, or neither",
        )


def _section(values: Mapping[str, Any], section: str) -> dict[str, Any]:
    prefix = f"{section}."
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


def _kinds(project: Path, document: Document) -> tuple[dict[str, KindSettings], list[str]]:
    """The kinds whose mapping is there, parents before children, and what is worth a note."""
    said = document.content.get("kinds", {})
    if not isinstance(said, dict):
        raise document.fail("kinds", "is a section for each kind: [kinds.NAME]")
    if strange := [kind for kind in said if kind not in MAPPED]:
        raise document.unknown(f"kinds.{strange[0]}", [f"kinds.{name}" for name in MAPPED])
    found: dict[str, KindSettings] = {}
    notes: list[str] = []
    for kind in MAPPED:
        readers = {**_KIND, "when_gone": word_of(KINDS[kind].states.when_gone, kind)}
        read = read_table(document, f"kinds.{kind}", said.get(kind, {}), readers)
        named = read.pop("mapping", None)
        path = project / (named or f"mapping/{kind}.sql")
        if path.is_file():
            found[kind] = KindSettings(path, **read)
        elif named:
            raise SettingsError(
                f"There is no file {named}",
                place=document.at(f"kinds.{kind}.mapping"),
                next_step=f"write it, or take [kinds.{kind}] out: {kind} are then not synced",
            )
        elif kind in said:
            notes.append(f"{kind} are not synced: there is no mapping/{kind}.sql")
    used = {*KINDS, *(kind.mapping.stem for kind in found.values())}
    strangers = {path.stem for path in (project / "mapping").glob("*.sql")} - used
    return found, notes + [f"mapping/{name}.sql is no kind's" for name in sorted(strangers)]


def _watches(document: Document) -> tuple[WatchSettings, ...]:
    said = document.content.get("watch", [])
    if not isinstance(said, list):
        raise document.fail("watch", "is a list: write [[watch]]")
    watches = []
    for place_of, table in enumerate(said, 1):
        read = read_table(document, "watch", table, _WATCH)
        place = f"[[watch]] number {place_of} in {FILE}"
        if missing := [name for name in ("table", "kind") if not read.get(name)]:
            raise SettingsError(f"A watch has no {missing[0]}", place=place)
        if bool(read.get("key")) == bool(read.get("keys")):
            raise SettingsError(
                f"The watch on {read['table']} needs either `key` or `keys`", place=place
            )
        watches.append(WatchSettings(**read))
    return tuple(watches)
