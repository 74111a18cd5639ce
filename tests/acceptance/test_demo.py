"""What the demo promises, read from its JSON: nothing lost, nothing double, no limit crossed."""

import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import simplejson

from acceptance.kit import ZOHOSYNC, ZONE
from zohosync.core.kinds import MAPPED
from zohosync.demo import book as books
from zohosync.demo.story import expected

pytestmark = pytest.mark.acceptance
SPEED = 100.0
"""Faster than what `make demo` shows, so that the tests are done sooner."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where this run keeps everything: whatever it leaves behind names it."""
    with tempfile.TemporaryDirectory(prefix="zohosync-demo-") as name:
        Path(name).chmod(0o711)  # where root runs it, the server runs as somebody else
        yield Path(name)


@pytest.fixture(scope="module")
def closing(folder: Path) -> dict[str, Any]:
    """What one run of the demo says at its end."""
    command = [*ZOHOSYNC, "demo", "--json", "--speed", str(SPEED), "--directory", str(folder)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=240, check=False
    )
    assert done.returncode == 0, (done.stdout[-4_000:], done.stderr[-2_000:])
    told: dict[str, Any] = simplejson.loads(done.stdout.splitlines()[-1], use_decimal=True)
    return told


def test_the_demo_breaks_none_of_its_promises(closing: dict[str, Any]) -> None:
    nothing = (
        "duplicates", "differences", "lost_updates", "blocks", "rate_limit_hits", "emails",
        "charges", "deletions",
    )  # fmt: skip
    assert {name: closing[name] for name in nothing} == dict.fromkeys(nothing, 0)
    assert closing["ok"] is True
    assert closing["speed"] == SPEED
    assert 0 < closing["largest_minute"] <= 100


def test_the_demo_brings_every_kind_where_its_story_says(closing: dict[str, Any]) -> None:
    story = expected(books.build(datetime.now(ZoneInfo(ZONE)).date()))
    assert set(closing["kinds"]) == set(MAPPED)
    for kind, told in closing["kinds"].items():
        wanted = story[kind]
        assert told["local"] == wanted.local, kind
        assert told["in_zoho"] == wanted.in_zoho, kind
        assert told["failed"] == len(wanted.failed), kind
        assert told["waiting"] == len(wanted.waiting), kind
        assert told["eligible"] == told["in_zoho"] + told["failed"] + told["waiting"], kind
        assert sum(told["reasons"].values()) == len(wanted.failed), kind


def test_the_demo_is_as_large_as_it_says(closing: dict[str, Any]) -> None:
    eligible = {kind: told["eligible"] for kind, told in closing["kinds"].items()}
    assert eligible["customers"] >= 200
    assert eligible["subscriptions"] >= 240
    assert eligible["plans"] >= 6
    assert eligible["invoices"] >= 500
    assert eligible["payments"] >= 450


def test_the_demo_costs_a_call_for_each_record_and_a_token_an_hour(closing: dict[str, Any]) -> None:
    spent = closing["calls_by_purpose"]
    assert closing["calls"] == sum(spent.values())
    assert closing["calls_per_created_record"] <= 1.01  # what the kill and the lost reply cost
    assert closing["calls_per_record"] <= 1.25
    assert 1 <= closing["token_refreshes"] <= 1 + closing["virtual_minutes"] // 55


def test_the_demo_leaves_no_process_behind(closing: dict[str, Any], folder: Path) -> None:
    assert closing
    left = [
        command
        for entry in Path("/proc").glob("[0-9]*/cmdline")
        if folder.name in (command := _read(entry))
    ]
    assert not left


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""
