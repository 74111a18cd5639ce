-- The brake and the sweep: which calls end a record, which kinds were stopped and why, what a person
-- let through, what each mapping was when it was last swept, and how a row stood when last judged.

alter table zohosync.api_calls add column ends boolean not null default false;
create index api_calls_endings on zohosync.api_calls (org_id, kind, started_at) where ends;

alter table zohosync.organizations
  add column brakes      jsonb not null default '{}',  -- kind: {"cause", "why", "count", "at"}
  add column mappings    jsonb not null default '{}',  -- kind: fingerprint of its mapping
  add column held_kinds  text[] not null default '{}', -- mapping changed, records not yet counted
  add column sweeper     text,                         -- the worker that sweeps
  add column sweep_until timestamptz;                  -- its lease

-- What the row asked for when the record was last judged; null where there was no row.
alter table zohosync.records add column asked text;

-- The endings that a person saw listed and agreed to; each is good for one.
create table zohosync.let_through (
  org_id text not null references zohosync.organizations on delete cascade,
  kind   text not null,
  key    text not null,
  since  timestamptz not null default zohosync.current_time(),
  primary key (org_id, kind, key)
);
alter table zohosync.let_through enable row level security;
