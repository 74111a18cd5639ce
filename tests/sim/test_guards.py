"""Each guard is switched off once: a guard whose removal goes unnoticed is a missing test."""

from collections.abc import Callable

import pytest

from sim.guard_kit import Case
from sim.guard_off import Guard
from sim.guards import GUARDS, table
from zohosync.simulate.arena import Arena

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def kept(arena: Arena) -> Callable[[Case], list[str]]:
    """What a case complains of with every guard on; each case is played once for all guards."""
    played: dict[str, list[str]] = {}

    def complaints(case: Case) -> list[str]:
        if case.name not in played:
            played[case.name] = case.play(arena)
        return played[case.name]

    return complaints


@pytest.mark.parametrize("title", GUARDS)
def test_a_guard_that_is_off_is_noticed(
    title: str,
    arena: Arena,
    kept: Callable[[Case], list[str]],
    record_property: Callable[[str, object], None],
) -> None:
    guard: Guard = GUARDS[title]
    assert kept(guard.case) == []
    with guard.off():
        noticed = guard.case.play(arena)
    first = noticed[0] if noticed else "nothing noticed"
    record_property("guard", f"{title} | {guard.case.name} | {first[:100]}")
    misfits = [each for each in noticed if "TypeError" in each or "AttributeError" in each]
    assert misfits == [], "what stands in the guard's place does not fit there any more"
    assert noticed != [], f"{guard.case.name} does not notice that this is off: {guard.protects}"


def test_every_guard_says_what_it_protects_and_stands_in_the_table() -> None:
    rows = list(table())
    assert len(GUARDS) >= 25
    assert len(rows) == len(GUARDS) + 2
    assert all(guard.protects and guard.case.name for guard in GUARDS.values())
