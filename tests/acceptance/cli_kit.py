"""Runs the command as a process of its own, with an environment of its own."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zohosync.sandbox import Sandbox
from zohosync.store.database import Database

PEOPLE = """
create table public.people (id integer primary key, name text, email text);
insert into public.people select n, 'P ' || n, n || '@example.com' from generate_series(1, 5) n;
"""
TOML = """
[organization]
mode = "test"
time_zone = "Africa/Johannesburg"

[limits]
plan = "guide"

[worker]
debounce_s = 0

[[watch]]
table = "public.people"
kind = "customers"
key = "id"
"""
MAPPING = "select p.id as key, p.name as display_name, p.email from public.people p\n"


def project(folder: Path, toml: str = TOML, mapping: str = MAPPING) -> Path:
    """A project with customers only."""
    (folder / "mapping").mkdir(parents=True, exist_ok=True)
    for file in (folder / "mapping").glob("*.sql"):
        file.unlink()
    (folder / "zohosync.toml").write_text(toml, encoding="utf-8")
    (folder / "mapping" / "customers.sql").write_text(mapping, encoding="utf-8")
    return folder


async def sql(url: str, text: str) -> None:
    """Run SQL as the user's own application would."""
    database = await Database.open(url, connections=1)
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)
    await database.close()


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    error: str

    @property
    def last(self) -> dict[str, Any]:
        """The object on the last line of standard output."""
        return Shell.read(self.output.splitlines()[-1])


class Shell:
    """Runs `zohosync` in a project folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = folder
        clean = {n: v for n, v in os.environ.items() if not n.startswith("ZOHOSYNC_")}
        self._said = environment
        self._environment = {**clean, **environment}

    def at(self, sandbox: Sandbox, url: str) -> "Shell":
        """The same, pointed at a pretend Zoho."""
        return Shell(
            self._folder,
            **self._said,
            ZOHOSYNC_API_URL=url,
            ZOHOSYNC_ACCOUNTS_URL=url,
            ZOHOSYNC_ORGANIZATION_ID=sandbox.organization_id,
            ZOHOSYNC_CLIENT_ID=sandbox.client_id,
            ZOHOSYNC_CLIENT_SECRET=sandbox.client_secret,
            ZOHOSYNC_REFRESH_TOKEN=sandbox.refresh_token,
        )

    async def __call__(
        self, verb: str, *arguments: str, text: str = "", cwd: Path | None = None,
        project: bool = True,
    ) -> Done:  # fmt: skip
        """Run a verb to its end."""
        process = await self.start(verb, *arguments, cwd=cwd, project=project)
        try:
            output, error = await asyncio.wait_for(process.communicate(text.encode()), 60)
        except TimeoutError:
            process.kill()
            output, error = await process.communicate()
            raise AssertionError(f"{verb} did not end: {output!r} {error!r}") from None
        assert process.returncode is not None
        return Done(process.returncode, output.decode(), error.decode())

    async def start(
        self, verb: str, *arguments: str, cwd: Path | None = None, project: bool = True
    ) -> Process:
        """Start a verb and leave it running."""
        place = ("--project", str(self._folder)) if project else ()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "zohosync", verb, *arguments, *place),
            stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=cwd or self._folder, env=self._environment,
        )  # fmt: skip

    @staticmethod
    def read(line: str | bytes) -> dict[str, Any]:
        """A line of JSON."""
        found: dict[str, Any] = json.loads(line)
        return found
