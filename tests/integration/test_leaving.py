"""Leaving: one statement takes all of ours away, and the user's tables are as they were."""

import asyncio
from typing import Any

import psycopg

from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.capture import Watch, install_watches
from zohosync.store.database import Database
from zohosync.store.migrate import migrate
from zohosync.testing.world import WorldSettings, world

SCHEMA = """
create table people (id integer primary key, name text, email text, edits integer default 0);
create function stamp() returns trigger language plpgsql as
  $$ begin new.edits := old.edits + 1; return new; end $$;
create trigger stamped before update on people for each row execute function stamp();
create view named as select id, name from people;
insert into people values (1, 'Ada', 'ada@example.com'), (2, 'Bob', 'bob@example.com');
"""
MAPPING = {"customers": "select id as key, name as display_name, email from people"}
WATCHES = [Watch("public.people", "customers", key="id")]
FAST = WorldSettings().working(debounce_s=0.0)
# All that is in the database and is not Postgres's own, but what a catalogue keeps to itself.
EVERYTHING = """
select 'schema' as what, nspname::text as name, nspacl::text as told from pg_namespace
 where nspname !~ '^pg_'
union all select 'relation', oid::regclass::text, relkind::text || coalesce(relacl::text, '')
  from pg_class where relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
union all select 'column', attrelid::regclass || '.' || attname, atttypid::regtype::text
  from pg_attribute join pg_class c on c.oid = attrelid
 where c.relnamespace = 'public'::regnamespace and attnum > 0
union all select 'function', p.oid::regprocedure::text, md5(prosrc) from pg_proc p
 where pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
union all select 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(t.oid)
  from pg_trigger t where not tgisinternal
union all select 'event trigger', evtname::text, evtevent::text from pg_event_trigger
union all select 'extension', extname::text, extversion::text from pg_extension
union all select 'cast', castsource::regtype::text, casttarget::regtype::text from pg_cast
 where oid > 16383
union all select 'person', id::text, people::text from people
order by 1, 2, 3
"""


def everything(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as link:
        return link.execute(EVERYTHING).fetchall()


async def test_dropping_our_schema_leaves_the_users_tables_as_they_were_and_writable(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    with psycopg.connect(url) as link:
        link.execute(SCHEMA)
    before = everything(url)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1), limits=SandboxLimits.lifted())
    database = await Database.open(url)
    await migrate(database)
    await install_watches(database, WATCHES, clock=SystemClock())
    async with world(database, MAPPING, sandbox, settings=FAST) as joined:
        await joined.source.mark_all("customers", priority=1)
        async with asyncio.timeout(30):
            await joined.service.run_until_idle(asyncio.Event(), poll_s=0.05)
    await database.close()
    assert len(sandbox.ledger.records("customers")) == 2
    assert any("zohosync" in str(row) for row in everything(url))
    assert any("get_zoho_sync_health" in str(row) for row in everything(url))
    with psycopg.connect(url) as link:
        link.execute("drop schema zohosync cascade")
    assert everything(url) == before
    with psycopg.connect(url) as link:
        link.execute("insert into people values (3, 'Eve', 'eve@example.com')")
        link.execute("update people set name = 'Ada L.' where id = 1")
        link.execute("delete from people where id = 2")
        rows = link.execute("select id, name, edits from people order by id").fetchall()
        link.execute("truncate people")
    assert rows == [(1, "Ada L.", 1), (3, "Eve", 0)]


LINKS = [
    ("kind", "text"),
    ("key", "text"),
    ("zoho_id", "text"),
    ("status", "text"),
    ("synced_at", "timestamp with time zone"),
    ("error", "text"),
]


async def test_the_view_of_links_keeps_its_columns_and_their_types(database: Database) -> None:
    async with database.transaction() as transaction:
        found = await transaction.describe_sql("select * from zohosync.links limit 0")
    assert found == LINKS
