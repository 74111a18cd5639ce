"""What a braked kind would do if it were resumed: listed record by record, and asked about."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from zohosync.cli.screen import FAILED, WRONG, Screen

if TYPE_CHECKING:
    from zohosync.bootstrap import Project
    from zohosync.core.survey import Survey
    from zohosync.settings import Settings

SCREENFUL = 20
"""Records of a kind that are listed one by one; of the rest only their number."""

FIELDS = 6
"""Names of fields that are shown of an update."""


async def agreed_on(
    screen: Screen, settings: "Settings", kinds: Sequence[str], *, yes: bool
) -> tuple[dict[str, list[str]], dict[str, Any], int | None]:
    """List what each of these braked kinds would do, and ask.

    Returns the keys whose endings are agreed to by kind, the list for programs, and the exit code
    where nobody agreed. Spends no call. Raises SettingsError where the mapping here is not the one
    that the brake was pulled for.
    """
    from zohosync.bootstrap import open_project, sweeps_of
    from zohosync.clock import Chance
    from zohosync.engine.sweep import survey
    from zohosync.store.organizations import read_organization
    from zohosync.wiring import policy_of

    async with open_project(settings, chance=Chance(), kinds=tuple(kinds)) as project:
        organization = await read_organization(project.database, project.org_id) or {}
        brakes = {kind: organization["brakes"][kind] for kind in kinds}
        _same_mappings(project, organization["mappings"])
        policy = policy_of(settings, project.installation)
        found = {}
        for kind in kinds:
            with screen.progress(f"looking at {kind}"):
                found[kind] = await survey(sweeps_of(project), kind, policy, moving=True)
    for kind in kinds:
        _say(screen, found[kind], brakes[kind], settings.organization.currency)
    listed = {kind: _plain(found[kind], brakes[kind]) for kind in kinds}
    keys = {kind: [change.ref.key for change in found[kind].endings] for kind in kinds}
    return keys, listed, None if yes else _ask(screen, kinds, listed)


def _same_mappings(project: "Project", known: Mapping[str, str]) -> None:
    from zohosync.errors import SettingsError

    for kind, ours in project.source.fingerprints.items():
        if known.get(kind, ours) != ours:
            raise SettingsError(
                f"The mapping of {kind} here is not the one that the workers have",
                place=f"mapping/{kind}.sql",
                next_step="restart the workers with it (they count what it would change), "
                f"then zohosync resume {kind}",
            )


def _ask(screen: Screen, kinds: Sequence[str], listed: Mapping[str, Any]) -> int | None:
    """The exit code where nobody says yes; None where somebody does."""
    names = " ".join(kinds)
    if screen.as_json or not sys.stdin.isatty():
        screen.line("Nobody is there to be asked: nothing was resumed.", style="yellow")
        screen.next_step(f"zohosync resume {names} --yes")
        screen.result(
            {
                "error": "nobody is there to be asked", "exit": WRONG, "braked": listed,
                "next_step": f"zohosync resume {names} --yes",
            }
        )  # fmt: skip
        return WRONG
    if typer.confirm(f"Let this happen, and resume {names}?", default=False):
        return None
    screen.line("Nothing was resumed.")
    screen.next_step("mend the rows, the mapping or when_gone; then zohosync resume again")
    return FAILED


def _say(screen: Screen, found: "Survey", brake: Mapping[str, Any], currency: str | None) -> None:
    from zohosync.core.survey import sum_of

    screen.line(f"Braked: {brake['why']}", style="yellow")
    rows = [
        (change.ref.key, change.zoho_id, change.what, _fields(change.fields), change.worth)
        for change in found.changes[:SCREENFUL]
    ]
    if rows:
        columns = ("key", "Zoho id", "would", "fields", "comes to")
        screen.table(columns, rows, title=f"{found.kind} when resumed")
    if len(found.changes) > SCREENFUL:
        screen.line(f"… and {len(found.changes) - SCREENFUL:,} more")
    updates = len(found.changes) - len(found.endings)
    total = sum_of(found.changes)
    money = "" if total is None else f", {currency or ''} {total:,.2f} together".replace("  ", " ")
    screen.line(f"{found.kind}: {len(found.endings):,} would be ended, {updates:,} changed{money}")


def _fields(names: Sequence[str]) -> str:
    more = f" and {len(names) - FIELDS} more" if len(names) > FIELDS else ""
    return ", ".join(names[:FIELDS]) + more


def _plain(found: "Survey", brake: Mapping[str, Any]) -> dict[str, Any]:
    from zohosync.core.survey import sum_of

    return {
        "why": brake["why"], "cause": brake["cause"], "at": brake["at"],
        "endings": len(found.endings), "changes": len(found.changes) - len(found.endings),
        "sum": sum_of(found.changes),
        "records": [
            {
                "key": change.ref.key, "zoho_id": change.zoho_id, "what": change.what,
                "ends": change.ends, "fields": list(change.fields), "worth": change.worth,
            }
            for change in found.changes
        ],
    }  # fmt: skip
