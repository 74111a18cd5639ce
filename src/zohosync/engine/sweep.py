"""The sweep: finds what no trigger saw, counts what a changed mapping would do, spends no call."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from zohosync.clock import Clock
from zohosync.core.brake import Brake, too_many_updates
from zohosync.core.mapping import identity_of
from zohosync.core.plan import Policy, plan
from zohosync.core.records import Desired, fingerprint
from zohosync.core.renames import outlived
from zohosync.core.steps import Transition
from zohosync.core.survey import Survey
from zohosync.engine.passes import fresh
from zohosync.errors import DatabaseError, DatabaseUnavailableError
from zohosync.events import Listener, Noted
from zohosync.store.brakes import Brakes
from zohosync.store.sweeps import Sweeps

LOOK_S = 10.0
"""How often a process asks whether it is its turn to sweep."""


async def survey(sweeps: Sweeps, kind: str, policy: Policy, *, moving: bool) -> Survey:
    """Plan every row of a mapping that differs, and every record that it no longer returns.

    With `moving`, records that are on their way by themselves are counted, too. Raises
    DatabaseError when the mapping cannot be read to its end.
    """
    result = Survey(kind)
    target = policy.when_gone.get(kind)
    seen: set[str] = set()
    doubles: set[str] = set()
    news: dict[str, list[Desired]] = {}
    async with aclosing(sweeps.compared(kind, moving=moving)) as batches:
        async for batch in batches:
            for key in batch.keys:
                (doubles if key in seen else seen).add(key)
            result.rows += len(batch.keys)
            for each in batch.differing:
                claim = each.claim or fresh(each.ref)
                if target and each.desired and claim.zoho_id is None:  # what is gone may be it
                    news.setdefault(fingerprint(identity_of(each.desired)), []).append(each.desired)
                step = plan(each.desired, claim, batch.parents, policy)
                result.take(each.desired, each.claim, step, target)
    for each in await sweeps.absent(kind, list(seen)):
        claim = each.claim or fresh(each.ref)
        step = plan(None, claim, {}, policy)
        if isinstance(step, Transition) and claim.identity:
            step = outlived(step, claim, news.get(fingerprint(claim.identity), ()), {})
        result.take(None, each.claim, step, target)
    for key in sorted(doubles):
        result.take_double(key)
    return result


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """When the sweep runs, and what it judges by: `at` is a time of the organisation's day."""

    at: str
    policy: Policy
    brake: Brake


class Sweeper:
    """Sweeps when it is this process's turn, until cancelled."""

    def __init__(
        self,
        *,
        sweeps: Sweeps,
        brakes: Brakes,
        clock: Clock,
        tell: Listener,
        wake: Callable[[], None],
        settings: SweepSettings,
        pace: float = 1.0,
        afterwards: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """`wake` is told when there is work; `pace` stretches the interval.

        `afterwards` is done by the one who swept by night, when nobody waits for it any more.
        """
        self._afterwards = afterwards
        self._sweeps = sweeps
        self._brakes = brakes
        self._clock = clock
        self._tell = tell
        self._wake = wake
        self._settings = settings
        self._pace = pace
        self._others: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look again and again; a database that is away is waited for."""
        while True:
            try:
                await self.look()
            except DatabaseError as error:
                self._tell(Noted(f"the sweep: {error}", logging.WARNING))
            await self._clock.sleep(LOOK_S * self._pace)

    async def look(self) -> list[Survey]:
        """Sweep what is due, where it is our turn; returns what was found. Raises DatabaseError."""
        turn = await self._sweeps.turn(self._settings.at)
        self._tell_of(turn.others)
        if not turn.taken:
            return []
        found: list[Survey] = []
        kinds = self._sweeps.kinds if turn.night else turn.held
        for kind in (kind for kind in kinds if kind not in turn.others):
            if found and not (await self._sweeps.turn(self._settings.at)).taken:
                return found  # it took so long that somebody else goes on with it
            swept = await self._kind(kind, held=kind in turn.held)
            if swept is not None:
                found.append(swept)
        await self._sweeps.done((), over=True, night=turn.night)
        self._wake()
        if turn.night and self._afterwards is not None:
            await self._afterwards()
        return found

    async def _kind(self, kind: str, *, held: bool) -> Survey | None:
        """Sweep a kind; None when its mapping cannot be read, which changes nothing."""
        try:
            found = await survey(self._sweeps, kind, self._settings.policy, moving=held)
        except DatabaseError as error:
            if isinstance(error, DatabaseUnavailableError) or error.retryable:
                raise
            why = f"{kind}: its mapping could not be read to its end, nothing was marked: {error}"
            self._tell(Noted(why, logging.WARNING))
            if held:
                await self._brakes.pause(kind, "unreadable", why, 0)
            return None
        changes = len(found.changes)
        why_not = too_many_updates(kind, changes, self._settings.brake) if held else None
        if why_not is not None and await self._brakes.pause(kind, "mapping", why_not, changes):
            self._tell(Noted(why_not, logging.WARNING))
        await self._sweeps.mark(kind, found.marks)
        if held:
            await self._sweeps.done([kind], over=False)
        gone = found.found["gone"] > self._settings.brake.endings
        loud = gone or found.found["more than once"]
        if found.marks:
            self._tell(Noted(f"swept {found.words}", logging.WARNING if loud else logging.INFO))
        return found

    def _tell_of(self, others: tuple[str, ...]) -> None:
        """Say once which kinds are left to processes that have a newer mapping of them."""
        if others and others != self._others:
            what = "another process works with another mapping: left to it until this one is"
            self._tell(Noted(f"{', '.join(others)}: {what} restarted", logging.WARNING))
        self._others = others
