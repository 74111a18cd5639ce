"""The page about reliability tells of the faults and guards that there are."""

from pathlib import Path

from sim.guards import table
from zohosync.simulate.troubles import FAMILIES, SORTS

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_guard_of_the_suite_stands_in_the_page() -> None:
    assert "\n".join(table()) in PAGE


def test_every_fault_and_family_of_the_simulator_stands_in_the_page() -> None:
    assert [name for name in SORTS if f"`{name}`" not in PAGE] == []
    assert [name for name in FAMILIES if f"| {name} |" not in PAGE] == []
