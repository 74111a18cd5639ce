"""What an operator's commands do in a simulation: compare, link, resume a braked kind, settle."""

from collections.abc import Callable, Sequence

from zohosync.bootstrap import House, sweeps_of
from zohosync.clock import Clock
from zohosync.core.kinds import MAPPED
from zohosync.core.records import Ref
from zohosync.core.settling import Word
from zohosync.core.survey import Survey
from zohosync.engine.comparing import Comparer, Outcome, Tell
from zohosync.engine.settling import Bench, Spoken
from zohosync.engine.sweep import survey
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


def compare(
    *kinds: str,
    link: bool = True,
    told: Callable[[Outcome], None] = lambda _: None,
    tell: Tell = lambda *_: None,
) -> Errand:
    """`zohosync compare [--link] [KIND…]`: parents first; `told` hears what each kind came to."""

    async def errand(house: House, clock: Clock) -> None:
        comparer, store = comparer_of(house, clock, tell=tell)
        for kind in kinds or MAPPED:
            outcome = await comparer.compare(kind)
            if link:
                outcome.linked = await _link(comparer, store, kind, outcome.comparison_id)
            told(outcome)

    return errand


def link(kind: str) -> Errand:
    """The second half of `compare --link`: what the newest comparison is sure of is linked."""

    async def errand(house: House, clock: Clock) -> None:
        comparer, store = comparer_of(house, clock)
        await _link(comparer, store, kind, (await store.newest())[kind]["comparison_id"])

    return errand


async def _link(comparer: Comparer, store: Comparisons, kind: str, comparison_id: int) -> int:
    pairs = await store.sure(comparison_id)
    return len(await comparer.link(kind, comparison_id, pairs))


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
