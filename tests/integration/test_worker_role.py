"""The role of `migrate --print-role`: a worker lives with it, and can do nothing besides."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from acceptance.kit import MAPPING, SHOP, Shop, shop
from integration.test_query_plans import COMMON, QUERIES, WAYS
from zohosync.bootstrap import open_service
from zohosync.clock import Chance, SystemClock
from zohosync.core.options import Secret
from zohosync.settings import Settings
from zohosync.store.connection import TYPES
from zohosync.store.rights import OWNERS, rights_of, worker_role
from zohosync.wiring import texts_of, write_back_of

EXTRA = """
create table public.salaries (id integer primary key, amount numeric);
create schema crm;
create function crm.named(text) returns text language sql immutable as $$ select 'Ms ' || $1 $$;
create view crm.contacts as select id, name, email, phone from public.people;
alter table public.people add zoho_id text, add state text, enable row level security;
revoke all on function crm.named from public;
"""
CUSTOMERS = "select p.id as key, crm.named(p.name) as display_name, p.email from crm.contacts p\n"
BACK = """
[kinds.customers.write_back]
table = "public.people"
key = "id"
zoho_id = "zoho_id"
status = "state"
"""
REFUSED = (
    "drop table public.people",
    "drop table zohosync.records",
    "alter table zohosync.records disable row level security",
    "select * from public.salaries",
    "select phone from public.people",
    "update public.people set name = 'x'",
    "insert into public.people (id) values (99)",
    "delete from public.people",
    "truncate public.bills",
    "truncate zohosync.audit",  # rows of it go by retention, and names by forgetting
    "update zohosync.installation set installation = 'other'",
    "insert into zohosync.migrations (version, name, checksum) values (9999, 'x', 'x')",
    "delete from zohosync.watches",
    "create table zohosync.mine (id int)",
    "create table public.mine (id int)",
    "create role another",
)


@pytest.fixture
def role(empty_database_url: str) -> Iterator[str]:
    """A name of this test's own; roles are the server's, not a database's."""
    name = 'worker "of" this test'
    yield name
    with psycopg.connect(empty_database_url) as link:
        link.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        link.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def as_role(url: str, role: str) -> str:
    return url.replace("//postgres@", f"//{role.replace(' ', '%20').replace(chr(34), '%22')}@")


async def granted(here: Shop, settings: Settings, role: str) -> str:
    script = await worker_role(here.database, role, texts_of(settings), write_back_of(settings))
    for _ in range(2):  # it can be run again
        async with here.database.transaction() as transaction:
            await transaction.execute_sql(script.replace("begin;\n", "").replace("commit;\n", ""))
    return script


async def test_a_worker_lives_with_the_role_and_what_is_not_granted_is_refused(
    empty_database_url: str, tmp_path: Path, role: str
) -> None:
    mapping = {**MAPPING, "customers": CUSTOMERS}
    async with shop(
        tmp_path, empty_database_url, mapping=mapping, time="select 1", worker=BACK,
        schema=SHOP + EXTRA,
    ) as here:  # fmt: skip
        settings = here.project.settings
        script = await granted(here, settings, role)
        assert empty_database_url not in script
        await here.fill(people=2, bills=2, paid=1)
        worker = replace(
            settings,
            database=replace(
                settings.database, url=Secret(as_role(empty_database_url, role))
            ),
        )  # fmt: skip
        async with (
            open_service(
                worker, clock=SystemClock(), chance=Chance(5), tell=lambda _: None
            ) as house,
            asyncio.timeout(60),
        ):
            await house.service.run_until_idle(asyncio.Event(), poll_s=0.05)
            await house.project.source.mark_all("customers", priority=1)
            await house.service.run_until_idle(asyncio.Event(), poll_s=0.05)
        await here.assert_in_step(customers=2, invoices=2, payments=1)
        written = await here.rows("select zoho_id, state from public.people order by id")
        assert [row["state"] for row in written] == ["synced", "synced"]
        assert all(row["zoho_id"] for row in written)
    refuses(as_role(empty_database_url, role))
    explains(as_role(empty_database_url, role))


def refuses(url: str) -> None:
    """What is not granted, is not to be had."""
    with psycopg.connect(url, autocommit=True) as link:
        for statement in REFUSED:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                link.execute(statement.encode())


def explains(url: str) -> None:
    """Every statement of a worker may be run: EXPLAIN asks for its rights, too."""
    with psycopg.connect(url, prepare_threshold=None, context=TYPES) as link:
        for name in sorted(set(QUERIES) - OWNERS):
            for way in WAYS.get(name, [{}]):
                with link.transaction(force_rollback=True):
                    names = dict.fromkeys(re.findall(r"%\((\w+)\)", QUERIES[name]))
                    link.execute(f"explain {QUERIES[name]}".encode(), names | COMMON | way)


def test_rights_are_what_the_statements_do() -> None:
    texts = {
        "a": "-- delete from zohosync.audit\ninsert into zohosync.marks (kind) values (1)",
        "b": "with x as (delete from zohosync.marks returning 1) select 1 from zohosync.records",
        "d": "insert into zohosync.workers as w values (1) on conflict (a) do update set b = 2",
        "c": "select 1 from zohosync.installation for update",
    }
    assert rights_of(texts.values()) == {
        "marks": {"insert", "delete"},
        "installation": {"lock"},
        "workers": {"insert", "update"},
    }
