"""A braked kind at the command line: listed, asked about, let through once, and no more."""

import asyncio
import os
import pty
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from acceptance.cli_kit import MAPPING, PEOPLE, TOML, Shell, project, sql
from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import Sandbox, SandboxLimits, serving

pytestmark = pytest.mark.acceptance

BRAKED = (
    TOML
    + """
[kinds.customers]
when_gone = "inactivate"

[brake]
endings = 2
updates = 4
"""
)
GONE = "delete from public.people where id <= 4"


@asynccontextmanager
async def shop(folder: Path, url: str) -> AsyncIterator[tuple[Shell, Sandbox]]:
    """Five customers in step."""
    await sql(url, PEOPLE)
    project(folder, BRAKED)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1), limits=SandboxLimits.lifted())
    async with serving(sandbox) as address:
        shell = Shell(folder, ZOHOSYNC_DATABASE_URL=url).at(sandbox, address)
        assert (await shell("migrate")).code == 0
        assert (await shell("backfill")).code == 0
        yield shell, sandbox


def inactive(sandbox: Sandbox) -> list[str]:
    rows = sandbox.ledger.records("customers")
    return sorted(row["display_name"] for row in rows if row["status"] == "inactive")


async def test_endings_are_listed_asked_about_and_let_through_once(
    empty_database_url: str, tmp_path: Path
) -> None:
    async with shop(tmp_path, empty_database_url) as (shell, sandbox):
        await sql(empty_database_url, GONE)
        ran = await shell("run", "--until-idle")
        assert ran.code == 0
        assert "zohosync resume customers" in ran.error
        assert len(inactive(sandbox)) == 2
        status = await shell("status", "--json")
        assert status.last["paused_kinds"] == ["customers"]
        assert status.last["brakes"]["customers"]["cause"] == "endings"
        alone = await shell("resume", "customers")
        assert alone.code == 2
        assert "2 would be ended" in alone.output
        assert "becomes inactive" in alone.output
        assert "Next: zohosync resume customers --yes" in alone.output
        unasked = await shell("resume", "customers", "--json")
        assert (unasked.code, unasked.last["braked"]["customers"]["endings"]) == (2, 2)
        assert len(inactive(sandbox)) == 2
        agreed = await shell("resume", "customers", "--yes", "--json")
        assert (agreed.code, agreed.last["paused"]) == (0, [])
        listed = agreed.last["let_through"]["customers"]["records"]
        assert [row["what"] for row in listed] == ["becomes inactive"] * 2
        await sql(empty_database_url, "delete from public.people where id = 5")  # nobody saw it
        assert (await shell("run", "--until-idle")).code == 0
        status = await shell("status", "--json")
        assert status.last["paused_kinds"] == ["customers"]
        assert "P 5" not in inactive(sandbox)
        assert len(inactive(sandbox)) <= 4


async def test_a_mapping_edit_is_listed_with_its_fields(
    empty_database_url: str, tmp_path: Path
) -> None:
    async with shop(tmp_path, empty_database_url) as (shell, sandbox):
        before = sorted(row["display_name"] for row in sandbox.ledger.records("customers"))
        project(tmp_path, BRAKED, MAPPING.replace("p.name as", "p.name || '!' as"))
        assert (await shell("run", "--until-idle")).code == 0
        rows = sandbox.ledger.records("customers")
        assert sorted(row["display_name"] for row in rows) == before
        alone = await shell("resume", "customers")
        assert alone.code == 2
        assert "5 changed" in alone.output
        assert "display_name" in alone.output
        project(tmp_path, BRAKED, MAPPING)  # another one than the worker had
        wrong = await shell("resume", "customers", "--yes")
        assert wrong.code == 2
        assert "is not the one that the workers have" in wrong.error
        project(tmp_path, BRAKED, MAPPING.replace("p.name as", "p.name || '!' as"))
        assert (await shell("resume", "customers", "--yes")).code == 0
        assert (await shell("run", "--until-idle")).code == 0
        rows = sandbox.ledger.records("customers")
        assert sorted(row["display_name"] for row in rows) == [f"{name}!" for name in before]


async def test_a_person_is_asked_and_may_say_no(empty_database_url: str, tmp_path: Path) -> None:
    async with shop(tmp_path, empty_database_url) as (shell, sandbox):
        await sql(empty_database_url, GONE)
        assert (await shell("run", "--until-idle")).code == 0
        said = await at_a_terminal(shell, "n\n")
        assert "Let this happen" in said
        assert (await shell("status", "--json")).last["paused_kinds"] == ["customers"]
        await at_a_terminal(shell, "y\n")
        assert (await shell("status", "--json")).last["paused_kinds"] == []
        assert (await shell("run", "--until-idle")).code == 0
        assert inactive(sandbox) == [f"P {n}" for n in range(1, 5)]


async def at_a_terminal(shell: Shell, answer: str) -> str:
    """What `resume customers` says where somebody answers at a terminal."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zohosync", "resume", "customers"),
        *("--project", str(shell._folder)),
        stdin=theirs, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=shell._environment,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answer.encode())
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    os.close(ours)
    return output.decode()
