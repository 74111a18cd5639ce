"""Every crash point: a worker is stopped at each of its steps, for each operation of each kind."""

from collections.abc import Callable

import pytest

from sim.crash_kit import Operation, enumerate_points
from sim.crash_operations import OPERATIONS
from zohosync.simulate.arena import Arena

pytestmark = pytest.mark.sim


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(operation, id=operation.name, marks=[pytest.mark.slow] if many else [])
        for operation in OPERATIONS
        for many in [operation.name == "a family at once"]  # of nearly two hundred steps
    ],
)
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    arena: Arena, operation: Operation, record_property: Callable[[str, object], None]
) -> None:
    outcome = enumerate_points(arena, operation)
    record_property("crash points", len(outcome.points))
    assert outcome.violations == []
    assert outcome.bugs == []
    assert len(outcome.points) >= 20  # else it was not what it says
