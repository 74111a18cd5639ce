"""The verb that decides what only a person can: settle."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
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
    from collections.abc import AsyncIterator

    from zohosync.core.settling import Word
    from zohosync.engine.settling import Bench, Spoken
    from zohosync.settings import Settings

MOST = 200
"""How many records are shown."""


def settle(  # noqa: PLR0917 - options are not positional on a command line
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", show_default=False)] = None,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False)] = None,
    project: ProjectDir = HERE,
    same: Annotated[
        bool, typer.Option("--same", help="The key that came back is the same one after all.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="It is none of those in Zoho: make it, under this key.")
    ] = False,
    link: Annotated[
        str | None,
        typer.Option("--link", metavar="ZOHO_ID", help="That record in Zoho is it. One call."),
    ] = None,
    absent: Annotated[
        bool, typer.Option("--absent", help="You looked: the write in doubt did not happen.")
    ] = False,
    done: Annotated[
        bool, typer.Option("--done", help="Mended by hand in Zoho: it has what the row says now.")
    ] = False,
    why: Annotated[str, typer.Option(help="The reason, for the audit.")] = "by hand",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> int:
    """Decide what only a person can; without KEY, list what waits for it, with its evidence.

    Nothing is written to Zoho: what is known of the record is mended, and workers go on from there.
    """
    said = {"same": same, "new": new, "link": link is not None, "absent": absent, "done": done}
    words = [word for word, given in said.items() if given]
    screen, settings = Screen(json), settings_of(project)
    if kind is not None:
        kinds_of([kind], tuple(settings.kinds))
    if key is None or kind is None:
        _wrong_if(bool(words), "It is not said of which record", "name KIND and KEY")
        return asyncio.run(_doubts(screen, settings, kind))
    _wrong_if(len(words) != 1, "A word is needed, and only one", f"say one of {_OPTIONS}")
    _wrong_if(link is not None and not link.strip(), "--link needs the id of a record", "say it")
    zoho_id = link.strip() if link else None
    return asyncio.run(_say(screen, settings, (kind, key), (words[0], zoho_id), (why, yes)))


_OPTIONS = "--same, --new, --link ZOHO_ID, --absent, --done"


def _wrong_if(wrong: bool, what: str, next_step: str) -> None:
    from zohosync.errors import SettingsError

    if wrong:
        raise SettingsError(what, place="zohosync settle", next_step=next_step)


async def _say(
    screen: Screen, settings: "Settings", named: tuple[str, str], said: tuple[str, str | None],
    how: tuple[str, bool],
) -> int:  # fmt: skip
    from zohosync.core.records import Ref
    from zohosync.core.settling import Word
    from zohosync.errors import LeaseLostError, SettingsError

    ref, (word, zoho_id), (why, yes) = Ref(*named), said, how
    async with _bench(settings, Word(word)) as bench:
        spoken = await bench.consider(ref, Word(word), zoho_id)
        for text in _consequences(ref, spoken):
            screen.line(text)
        if not yes and not agreed(screen, "zohosync settle"):
            screen.line("Nothing was changed.")
            screen.result({"settled": False, "kind": ref.kind, "key": ref.key})
            return FAILED
        try:
            audit_id = await bench.write(spoken, why)
        except LeaseLostError as error:  # for the caller it is one more way not to apply
            raise SettingsError(error.what, next_step=error.next_step) from None
    screen.line(f"{ref}: settled ({word}), written to zohosync.audit as {audit_id}")
    screen.next_step(f"zohosync why {ref.arguments}, once a worker has been at it")
    screen.result(
        {
            "settled": True, "kind": ref.kind, "key": ref.key, "word": word, "audit": audit_id,
            "zoho_id": spoken.verdict.zoho_id, "excluded": sorted(spoken.verdict.excluded),
        }
    )  # fmt: skip
    return OK


def _consequences(ref: Any, spoken: "Spoken") -> list[str]:
    """What the word will do, in words."""
    before, after = spoken.standing.claim, spoken.verdict
    texts = []
    if after.zoho_id != before.zoho_id:
        was, now = before.zoho_id or "nothing", after.zoho_id or "nothing: it will be made in Zoho"
        texts.append(f"{ref} was linked to {was}, and will be linked to {now}.")
    else:
        texts.append(f"{ref} stays linked to {before.zoho_id or 'nothing'}.")
    if after.heir_of is not None:
        texts.append(f"{after.heir_of}, whose row is gone, gives that link up.")
    if after.closes and before.intent is not None:
        texts.append(f"Its {before.intent.operation}, sent to Zoho, is in doubt no longer.")
    if fresh := sorted(after.excluded - before.excluded):
        texts.append(f"It will never be taken for {', '.join(fresh)} again.")
    return texts


@asynccontextmanager
async def _bench(settings: "Settings", word: "Word") -> "AsyncIterator[Bench]":
    """The project to judge with; with the remote where a link is to be seen."""
    from zohosync.bootstrap import open_project, open_service
    from zohosync.clock import Chance, SystemClock
    from zohosync.core.settling import Word
    from zohosync.engine.settling import Bench
    from zohosync.store.settling import Settling
    from zohosync.wiring import policy_of

    def bench(project: Any, read: Any = None) -> Bench:
        return Bench(
            Settling(project.database, project.org_id, settings.retention.redact),
            project.records,
            project.source,
            policy_of(settings, project.installation),
            settings.organization.marker_field,
            read,
        )

    if word is not Word.LINK:
        async with open_project(settings, chance=Chance()) as project:
            yield bench(project)
        return
    async with (
        open_service(settings, clock=SystemClock(), chance=Chance(), tell=lambda _: None) as house,
        asyncio.TaskGroup() as tasks,
    ):
        gate = tasks.create_task(house.gate.run())
        try:
            yield bench(house.project, house.remote.read)
        finally:
            gate.cancel()


async def _doubts(screen: Screen, settings: "Settings", kind: str | None) -> int:
    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance
    from zohosync.core.evidence import told
    from zohosync.core.records import Ref
    from zohosync.store.settling import Settling
    from zohosync.wiring import policy_of

    async with open_project(settings, chance=Chance()) as project:
        rows = await Settling(project.database, project.org_id).doubts(kind, limit=MOST)
        mapped = [Ref(row["kind"], row["key"]) for row in rows if row["kind"] in settings.kinds]
        desired = await project.source.desired(mapped)
        policy = policy_of(settings, project.installation)
        doubts = [told(row, desired.get(Ref(row["kind"], row["key"])), policy) for row in rows]
    for doubt in doubts:
        _show(screen, doubt)
    if not doubts:
        screen.line("Nothing waits for a person's word.")
    screen.next_step("zohosync status" if not doubts else doubts[0]["commands"][0])
    screen.result({"doubts": doubts})
    return OK


def _show(screen: Screen, doubt: Mapping[str, Any]) -> None:
    linked = f"Zoho {doubt['zoho_id']}" if doubt["zoho_id"] else "not linked"
    screen.line(f"{doubt['kind']} {doubt['key']}: {doubt['matter']} ({linked})", style="bold")
    screen.line(f"  {doubt['reason']}")
    for text in _intent_lines(doubt["intent"]):
        screen.line(f"  {text}")
    for look in doubt["looks"]:
        found = f": {look['found']}" if look["found"] else ""
        screen.line(f"  looked ({look['look']}) at {_at(look['at'])}, {look['result']}{found}")
    for call in doubt["calls"]:
        answer = call["status"] or "no answer"
        screen.line(f"  call {call['call']} at {_at(call['at'])}: {answer}, {call['outcome']}")
    if doubt["before"]:
        screen.line(f"  before: {_pairs(doubt['before'])}")
        screen.line(f"  now:    {_pairs(doubt['here'])}")
    if doubt["rivals"]:
        screen.line(f"  in Zoho it may be: {', '.join(doubt['rivals'])}")
    if doubt["next_look"] is not None:
        screen.line(f"  looked for again at {instant(doubt['next_look'])} UTC")
    _say_commands(screen, doubt["commands"])


def _say_commands(screen: Screen, commands: Sequence[str]) -> None:
    for command in commands:
        screen.line(f"    {command}")


def _intent_lines(intent: Mapping[str, Any] | None) -> list[str]:
    if intent is None:
        return []
    ended = f"{intent['outcome'] or 'without an outcome'} {intent['status'] or ''}".strip()
    absent = intent["absent_at"]
    sent = f"{intent['operation']} sent at {instant(intent['sent_at'])} UTC"
    texts = [
        f"{sent} as {intent['request']}, ended {ended}",
        f"it carried {_pairs(intent['carried'])}",
        f"it may land until {instant(intent['may_land_until'])} UTC",
    ]
    if absent is not None:
        texts.append(f"not there in a complete look at {instant(absent)} UTC")
    return texts


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items()) or "nothing"


def _at(value: Any) -> str:
    return str(value)[:19].replace("T", " ")
