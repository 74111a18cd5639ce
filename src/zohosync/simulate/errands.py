"""What an operator's commands do in a simulation: compare, link, resume a braked kind, settle."""

from collections.abc import Callable, Mapping, Sequence

from zohosync.bootstrap import House, sweeps_of
from zohosync.clock import Clock
from zohosync.core.compare import Sort
from zohosync.core.kinds import MAPPED
from zohosync.core.linkfile import Line, judged
from zohosync.core.records import Ref
from zohosync.core.settling import Word
from zohosync.core.survey import Survey
from zohosync.engine.comparing import Comparer, Tell
from zohosync.engine.settling import Bench, Spoken
from zohosync.engine.sweep import survey
from zohosync.errors import SettingsError
from zohosync.simulate.process import Errand
from zohosync.store.brakes import Brakes
from zohosync.store.comparisons import Comparisons
from zohosync.store.history import History
from zohosync.store.settling import Settling
from zohosync.wiring import policy_of


def comparer_of(
    house: House, clock: Clock, *, live: bool = False, tell: Tell = lambda *_: None
) -> tuple[Comparer, Comparisons]:
    """A comparer whose calls leave through the gate, and what it keeps."""
    project = house.project
    store = Comparisons(project.database, project.org_id, project.worker)
    comparer = Comparer(
        remote=house.remote, source=project.source, comparisons=store, clock=clock, live=live,
        tell=tell,
    )  # fmt: skip
    return comparer, store


Heard = Callable[[str, Mapping[str, str]], None]
"""Hears of links: a kind, and key → Zoho id."""


def compare(
    *kinds: str,
    link: bool = True,
    linked: Heard = lambda _kind, _pairs: None,
    left: Heard = lambda _kind, _pairs: None,
    tell: Tell = lambda *_: None,
) -> Errand:
    """`zohosync compare [--link] [KIND…]`: parents first.

    `linked` hears what is about to be linked, and `left` what was not after all.
    """

    async def errand(house: House, clock: Clock) -> None:
        comparer, store = comparer_of(house, clock, tell=tell)
        for kind in kinds or MAPPED:
            outcome = await comparer.compare(kind)
            if link:
                pairs = await store.sure(outcome.comparison_id)
                linked(kind, pairs)
                done = set(await comparer.link(kind, outcome.comparison_id, pairs))
                left(kind, {key: pairs[key] for key in pairs.keys() - done})

    return errand


async def _newest(store: Comparisons, kind: str) -> int:
    """Raises SettingsError, as the command does, where none came to its end."""
    newest = (await store.newest()).get(kind)
    if newest is None:
        raise SettingsError(f"{kind} were never compared", next_step=f"zohosync compare {kind}")
    return int(newest["comparison_id"])


def link(kind: str) -> Errand:
    """The second half of `compare --link`: what the newest comparison is sure of is linked."""

    async def errand(house: House, clock: Clock) -> None:
        comparer, store = comparer_of(house, clock)
        newest = await _newest(store, kind)
        await comparer.link(kind, newest, await store.sure(newest))

    return errand


Choose = Callable[[str, str, Sequence[str]], str | None]
"""Which of these Zoho ids a row is, by kind and key: one of them, `new`, or None: not said."""


def fill_in(kind: str, choose: Choose) -> Errand:
    """`compare --out links.csv`, a person's words in it, and `compare --in links.csv`."""

    async def errand(house: House, clock: Clock) -> None:
        comparer, store = comparer_of(house, clock)
        newest = await _newest(store, kind)
        lines: list[Line] = []
        async for rows in store.verdicts(newest, (Sort.AMBIGUOUS, Sort.DOUBLE)):
            for row in rows:
                named = tuple(row["candidates"])
                said = (
                    None if row["key"] is None or row["sure"] else choose(kind, row["key"], named)
                )
                if said is not None:
                    lines.append(Line(len(lines) + 2, kind, row["key"], said, named))
        while lines:  # what the command refuses is taken out
            ids = [line.zoho_id for line in lines]
            state = await store.state(kind, newest, [line.key for line in lines], ids)
            found = judged(lines, {kind: state})
            if not found.faults:
                await comparer.link(kind, newest, found.links.get(kind, {}), by_hand=True)
                await store.free(kind, found.fresh.get(kind, {}))
                return
            wrong = {fault.split(":")[0] for fault in found.faults}
            lines = [line for line in lines if f"line {line.number}" not in wrong]

    return errand


def let_through(
    kinds: Sequence[str], agreed: Callable[[Survey], bool] = lambda _survey: True
) -> Errand:
    """`zohosync resume KIND…` of braked kinds: lists what would happen, and agrees to just that."""

    async def errand(house: House, _: Clock) -> None:
        project = house.project
        policy = policy_of(project.settings, project.installation)
        brakes = Brakes(project.database, project.org_id)
        for kind in kinds:
            found = await survey(sweeps_of(project), kind, policy, moving=True)
            if agreed(found):
                await brakes.release(kind, [each.ref.key for each in found.endings], why="looked")
                await History(project.database, project.org_id).wake([kind])

    return errand


def settle(
    ref: Ref,
    word: Word,
    zoho_id: str | None = None,
    told: Callable[[Spoken], None] = lambda _: None,
) -> Errand:
    """`zohosync settle KIND KEY --WORD`; raises SettingsError where the word does not apply."""

    async def errand(house: House, _: Clock) -> None:
        project = house.project
        bench = Bench(
            Settling(project.database, project.org_id), project.records, project.source,
            policy_of(project.settings, project.installation), read=house.remote.read,
        )  # fmt: skip
        spoken = await bench.consider(ref, word, zoho_id)
        await bench.write(spoken, "simulated")
        told(spoken)

    return errand
