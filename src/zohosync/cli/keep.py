"""The verbs that keep house: upkeep (the leader's jobs, by hand or by cron)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import (
    FAILED,
    HERE,
    OK,
    AsJson,
    ProjectDir,
    Screen,
    instant,
    settings_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from zohosync.engine.keeper import Ran
    from zohosync.settings import Settings


def upkeep(
    project: ProjectDir = HERE,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Run what is due now, once, and end: for a cron.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Run every job once, due or not.")
    ] = False,
    json: AsJson = False,
) -> int:
    """The upkeep: which job ran when, what came of it, when it is next, and who leads.

    A running worker does all of it by itself. With --once it is done here and now.
    """
    screen, settings = Screen(json), settings_of(project)
    # Each option is an act of its own, in a module of its own.
    if once or everything:
        return asyncio.run(_run(screen, settings, everything=everything))
    return asyncio.run(_list(screen, settings))


async def _run(screen: Screen, settings: "Settings", *, everything: bool) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.clock import Chance, SystemClock
    from zohosync.engine.keeper import Leader
    from zohosync.events import log
    from zohosync.store.organizations import read_organization
    from zohosync.store.upkeep import Upkeep
    from zohosync.wiring import jobs_of

    clock = SystemClock()
    async with open_database(settings) as database:
        org_id = organization_id(settings)
        if await read_organization(database, org_id) is None:
            return _unknown(screen, org_id)
        jobs = jobs_of(settings, database, org_id, clock=clock, tell=log)
        store = Upkeep(database, org_id, Chance().token("upkeep"))
        with screen.progress("jobs done") as meter:
            leader = Leader(store, jobs, clock=clock, tell=log)
            ran = await leader.once(everything=everything)
            meter(len(ran), len(ran))
    for each in ran:
        screen.line(_ran_line(each), style=None if each.done else "red")
    failed = [each.job for each in ran if not each.done]
    if not ran:
        screen.line("Nothing is due.")
    screen.next_step("zohosync upkeep" if not failed else "zohosync upkeep --once, when mended")
    screen.result(
        {
            "organization": org_id, "ran": [
                {"job": each.job, "done": each.done, "took_ms": each.took_ms, "told": each.told}
                for each in ran
            ],
        }
    )  # fmt: skip
    return FAILED if failed else OK


def _ran_line(ran: "Ran") -> str:
    what = "done" if ran.done else "failed"
    return f"{ran.job}: {what} in {ran.took_ms / 1_000:.1f} s{f': {ran.told}' if ran.told else ''}"


def _unknown(screen: Screen, org_id: str) -> int:
    screen.line(f"Organisation {org_id} is not known in this database yet.")
    screen.next_step("zohosync migrate")
    screen.result({"organization": org_id, "known": False})
    return OK


async def _list(screen: Screen, settings: "Settings") -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.clock import SystemClock
    from zohosync.core.upkeep import next_at
    from zohosync.engine.keeper import schedules_of
    from zohosync.store.upkeep import Upkeep
    from zohosync.wiring import jobs_of

    async with open_database(settings) as database:
        org_id = organization_id(settings)
        jobs = jobs_of(settings, database, org_id, clock=SystemClock(), tell=lambda _: None)
        look, rows, leader = await Upkeep(database, org_id, "cli").listed()
    if look is None:
        return _unknown(screen, org_id)
    known = {row["job"]: row for row in rows}
    told = [
        _told(
            known.get(each.name, {}), each.name, (each.every_s, each.at),
            next_at(each, look.known[each.name], look.zone) if each.name in known else None,
        )
        for each in schedules_of(jobs)
    ]  # fmt: skip
    _say(screen, told, look.now, leader)
    late = any(each["next_at"] is None or each["next_at"] <= look.now for each in told)
    if leader is None:
        screen.next_step("zohosync run, or zohosync upkeep --once" if late else "zohosync run")
    else:
        screen.next_step("zohosync status")
    screen.result(
        {
            "organization": org_id, "known": True, "now": look.now, "jobs": told,
            "leader": leader["worker"] if leader else None,
            "leads_since": leader["since"] if leader else None,
        }
    )  # fmt: skip
    return OK


def _told(
    row: Mapping[str, Any], job: str, when: tuple[float, str | None], after: "datetime | None"
) -> dict[str, Any]:
    """One job for programs; `next_at` None: it never ran and nobody led since it was added."""
    every_s, at = when
    return {
        "job": job, "every_s": every_s, "at": at, "state": row.get("state", "new"),
        "runs": row.get("runs", 0), "last_at": row.get("started_at"),
        "took_ms": row.get("took_ms"), "told": row.get("told"), "worker": row.get("worker"),
        "failures": row.get("failures", 0) if row.get("state") == "failed" else 0,
        "failed": row.get("failed", 0), "next_at": after,
    }  # fmt: skip


def _say(
    screen: Screen, told: Sequence[Mapping[str, Any]], now: "datetime",
    leader: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    from zohosync.core.figures import span_words

    rows = []
    for each in told:
        due = each["next_at"] is None or each["next_at"] <= now
        every = (
            f"at {each['at']}"
            if each["at"]
            else f"every {span_words(each['every_s']).removeprefix('about ')}"
        )
        came = each["state"] + (f" ({each['failures']} in a row)" if each["failures"] else "")
        coming = "running" if each["state"] == "running" else instant(each["next_at"])
        rows.append(
            [each["job"], every, instant(each["last_at"]), came, each["told"] or "",
             "now" if due and each["state"] != "running" else coming]
        )  # fmt: skip
    screen.table(("job", "when", "last run (UTC)", "state", "what came of it", "next (UTC)"), rows)
    if leader is None:
        screen.line("Nobody leads: no worker runs, or the last one has just gone.")
    else:
        screen.line(f"{leader['worker']} leads since {instant(leader['since'])} UTC")
