"""The verbs that keep house: upkeep (the leader's jobs, by hand or by cron), forget."""

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
    agreed,
    instant,
    kinds_of,
    settings_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from zohosync.bootstrap import Project
    from zohosync.core.records import Ref
    from zohosync.engine.keeper import Ran
    from zohosync.settings import Settings
    from zohosync.store.upkeep import Forgotten


def upkeep(
    project: ProjectDir = HERE,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Run what is due now, once, and end: for a cron.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Run every job once, due or not.")
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear-cache", help="Forget Zoho's lists that are kept.")
    ] = False,
    rotate: Annotated[
        bool, typer.Option("--rotate-key", help="Make a new key for the token in the database.")
    ] = False,
    json: AsJson = False,
) -> int:
    """The upkeep: which job ran when, what came of it, when it is next, and who leads.

    A running worker does all of it by itself. With --once it is done here and now.
    """
    from zohosync.errors import SettingsError

    screen, settings = Screen(json), settings_of(project)
    acts = {"--once, --all": once or everything, "--clear-cache": clear, "--rotate-key": rotate}
    if sum(acts.values()) > 1:
        raise SettingsError(
            "One act at a time", place="zohosync upkeep",
            next_step=f"say one of {', '.join(acts)}",
        )  # fmt: skip
    # Each option is an act of its own, where its matter is at home.
    if clear:
        from zohosync.cli.see import clear_cache

        return clear_cache(screen, settings)
    if rotate:
        from zohosync.cli.install import rotate_key

        return rotate_key(screen, settings)
    if once or everything:
        return asyncio.run(_run(screen, settings, everything=everything))
    return asyncio.run(_list(screen, settings))


async def _run(screen: Screen, settings: "Settings", *, everything: bool) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.clock import Chance, SystemClock
    from zohosync.engine.keeper import Leader
    from zohosync.events import log
    from zohosync.jobs import jobs_of
    from zohosync.store.organizations import read_organization
    from zohosync.store.upkeep import Upkeep

    clock = SystemClock()
    async with open_database(settings) as database:
        org_id = organization_id(settings)
        if await read_organization(database, org_id) is None:
            _unknown(screen, org_id)
            return FAILED  # a cron is to hear that nothing was kept up
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
    from zohosync.jobs import jobs_of
    from zohosync.store.upkeep import Upkeep

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
    shown = {each["job"] for each in told}  # those that need Zoho are a worker's own
    told += [_told(row, job, (None, None), None) for job, row in known.items() if job not in shown]
    _say(screen, told, look.now, leader)
    late = any(_is_due(each, look.now) for each in told)
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
    row: Mapping[str, Any], job: str, when: tuple[float | None, str | None],
    after: "datetime | None",
) -> dict[str, Any]:  # fmt: skip
    """One job for programs; `next_at` None: it never ran and nobody led since it was added.

    Without `every_s` it is one that workers alone do, when they say.
    """
    every_s, at = when
    return {
        "job": job, "every_s": every_s, "at": at, "state": row.get("state", "new"),
        "runs": row.get("runs", 0), "last_at": row.get("started_at"),
        "took_ms": row.get("took_ms"), "told": row.get("told"), "worker": row.get("worker"),
        "failures": row.get("failures", 0) if row.get("state") == "failed" else 0,
        "failed": row.get("failed", 0), "next_at": after,
    }  # fmt: skip


def _is_due(job: Mapping[str, Any], now: "datetime") -> bool:
    after = job["next_at"]
    return job["every_s"] is not None and (after is None or after <= now)


def _say(
    screen: Screen, told: Sequence[Mapping[str, Any]], now: "datetime",
    leader: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    from zohosync.core.figures import span_words

    rows = []
    for each in told:
        due, every = _is_due(each, now), "by a worker"
        if each["at"]:
            every = f"at {each['at']}"
        elif each["every_s"] is not None:
            every = f"every {span_words(each['every_s']).removeprefix('about ')}"
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


def forget(
    kind: Annotated[str, typer.Argument(metavar="KIND", show_default=False)],
    key: Annotated[str, typer.Argument(metavar="KEY", show_default=False)],
    project: ProjectDir = HERE,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the audit.")] = "by hand",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> int:
    """Remove from our tables all that tells of a record whose row is gone, for good.

    What it is in Zoho stays there, and is remembered by a hash of the key, so that nothing is
    ever made twice. Spends no call.
    """
    from zohosync.core.kinds import MAPPED

    kinds_of([kind], MAPPED)
    return asyncio.run(_forget(Screen(json), settings_of(project), (kind, key), (why, yes)))


async def _forget(
    screen: Screen, settings: "Settings", named: tuple[str, str], how: tuple[str, bool]
) -> int:
    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance
    from zohosync.core.records import Ref
    from zohosync.errors import LeaseLostError, SettingsError
    from zohosync.store.upkeep import Forgetting

    ref, (why, yes) = Ref(*named), how
    told = {"kind": ref.kind, "key": ref.key}
    await _known_or_wrong(settings)
    async with open_project(settings, chance=Chance()) as project:
        forgetting = Forgetting(project.database, project.org_id)
        since = await forgetting.since(ref)
        if not await forgetting.known(ref):
            if since is None:
                raise SettingsError(
                    f"Nothing here tells of {ref}", place="zohosync.records",
                    next_step="see that kind and key are those of the mapping",
                )  # fmt: skip
            screen.line(f"{ref} is forgotten since {instant(since)} UTC.")
            screen.next_step("zohosync status")
            screen.result({"forgotten": True, "since": since, "pending": False, **told})
            return OK
        await _refuse(project, settings, ref)
        _say_what_goes(screen, ref)
        if not yes and not agreed(screen, "zohosync forget"):
            screen.line("Nothing was changed.")
            screen.result({"forgotten": False, **told})
            return FAILED
        try:
            done = await forgetting.forget(ref, why)
        except LeaseLostError as error:  # for the caller it is one more reason to refuse
            raise SettingsError(error.what, next_step=error.next_step) from None
    screen.line(f"Forgotten, written to zohosync.audit as {done.audit_id}: {_counted(done)}")
    if done.pending:
        screen.line(
            "A write of it is still in doubt: what that carried stays until it is settled, and "
            "goes by itself then."
        )
        screen.next_step("zohosync settle, if it does not settle by itself within the hour")
    elif done.zoho_id:
        screen.line(f"In Zoho it is still {done.zoho_id}: nothing was changed there.")
        screen.next_step(f"delete or anonymise {done.zoho_id} in Zoho by hand, if that is asked")
    else:
        screen.next_step("zohosync status")
    screen.result(
        {
            "forgotten": not done.pending, "pending": done.pending, "zoho_id": done.zoho_id,
            "remembered": done.remembered, "alias": done.alias, "removed": done.counts,
            "audit": done.audit_id, **told,
        }
    )  # fmt: skip
    return OK


async def _known_or_wrong(settings: "Settings") -> None:
    """Raise SettingsError where the organisation is not known: opening the project registers it."""
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.errors import SettingsError
    from zohosync.store.organizations import read_organization

    async with open_database(settings) as database:
        org_id = organization_id(settings)
        if await read_organization(database, org_id) is None:
            what = f"Organisation {org_id} is not known in this database yet"
            raise SettingsError(what, next_step="name the right one, or run `zohosync migrate`")


async def _refuse(project: "Project", settings: "Settings", ref: "Ref") -> None:
    """Raise SettingsError where the record may not be forgotten now."""
    from zohosync.core.privacy import forbids
    from zohosync.errors import SettingsError
    from zohosync.store.settling import Settling
    from zohosync.wiring import policy_of

    rows = await project.source.desired([ref])
    if ref not in rows:
        raise SettingsError(
            f"Whether the row of {ref} is gone cannot be told: its table is locked just now",
            next_step="say it again in a minute",
        )
    standing = await Settling(project.database, project.org_id).standing(ref)
    refusal = forbids(
        ref, standing.claim if standing else None, policy_of(settings, project.installation),
        row=rows[ref] is not None,
    )  # fmt: skip
    if refusal is not None:
        raise SettingsError(refusal.what, place=str(ref), next_step=refusal.next_step)


def _say_what_goes(screen: Screen, ref: "Ref") -> None:
    from zohosync.core.privacy import children_of

    screen.line(
        f"All that our tables tell of {ref} goes, for good: what was accepted, sent and answered, "
        "what comparisons saw, messages. A hash of the key and the Zoho id stay."
    )
    if children := children_of(ref.kind):
        screen.line(f"Its {', '.join(children)} are records of their own, and stay as they are.")
    screen.line("Zoho, your own tables, your logs elsewhere and your backups are not touched.")


def _counted(done: "Forgotten") -> str:
    names = {"logs": "attempts", "calls": "calls", "compared": "rows of comparisons",
             "acts": "acts in the audit"}  # fmt: skip
    parts = [f"{done.counts[name]:,} {what}" for name, what in names.items() if done.counts[name]]
    return ", ".join(parts) + " tell of nobody now" if parts else "nothing told of it"
