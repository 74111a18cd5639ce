-- Upkeep: who leads, which job ran when; and what is left of a record whose data was let go of.

-- One process of an organisation does the upkeep for all, as long as its lease runs. `epoch` is another
-- one for each leadership: what a former leader still asks for is refused.
create table zohosync.leaders (
  org_id text primary key references zohosync.organizations on delete cascade,
  worker text,                                 -- null: it was given up
  epoch  bigint not null default 0,
  since  timestamptz,
  until  timestamptz
);

-- One row a job. `runs` is counted up as a run begins, by whoever saw the number before: no run
-- begins twice. While it goes on, its runner says so again and again (`held_until`).
create table zohosync.jobs (
  org_id     text not null references zohosync.organizations on delete cascade,
  job        text not null,
  noted_at   timestamptz not null default zohosync.current_time(),
  runs       bigint not null default 0,
  state      text not null default 'new' check (state in
    ('new', 'running', 'done', 'failed', 'given back')),
  started_at timestamptz,
  ended_at   timestamptz,
  worker     text,                             -- who ran it last
  held_until timestamptz,
  took_ms    integer,
  told       text,                             -- what came of it
  failures   integer not null default 0,       -- in a row; a run that goes on counts until it is done
  failed     bigint not null default 0,        -- ever
  primary key (org_id, job)
);

-- What is left of a forgotten record: enough that nothing is ever made a second time. `told_hash` is
-- kept of kinds that have a number or a name of their own; it tells such a row under another key.
create table zohosync.forgotten (
  org_id       text not null references zohosync.organizations on delete cascade,
  kind         text not null,
  key_hash     text not null,
  told_hash    text,
  zoho_id      text,
  remote_state text,
  hints        jsonb not null default '{}',
  rivals       text[] not null default '{}',
  excluded     text[] not null default '{}',
  forgotten_at timestamptz not null default zohosync.current_time(),
  primary key (org_id, kind, key_hash)
);
create index forgotten_told on zohosync.forgotten (org_id, kind, told_hash)
  where told_hash is not null;
-- Forgotten ones that are records (again): a write was in doubt, or their key was named since.
create index records_forgotten on zohosync.records (org_id, kind, key)
  where identity @> '{"forgotten": true}';

alter table zohosync.leaders   enable row level security;
alter table zohosync.jobs      enable row level security;
alter table zohosync.forgotten enable row level security;

-- The digest that stands for a key, or for what a row tells of itself; another one in each installation.
create or replace function zohosync.digest_of(org_id text, kind text, told text) returns text
  language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
    select encode(sha256(convert_to(concat_ws(chr(10),
             (select i.installation from zohosync.installation i), org_id, kind, told), 'UTF8')), 'hex')
  $$;

-- A record whose key was forgotten comes back as what it is: linked, and by another word than the
-- row's. Whatever makes a record comes through here. (A link that comes along is somebody's word.)
-- After the insert: one that waited for a forgetting of its key sees what that left behind.
create or replace function zohosync.recall() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from zohosync.forgotten f
                  where (f.org_id, f.kind) in (select a.org_id, a.kind from added a)) then
    return null;
  end if;
  with was as (
    delete from zohosync.forgotten f using added a
     where f.org_id = a.org_id and f.kind = a.kind
       and f.key_hash = zohosync.digest_of(a.org_id, a.kind, a.key)
    returning a.key, f.*
  ), known as (
    select w.*, exists (select from zohosync.records o where o.org_id = w.org_id and o.kind = w.kind
                           and o.zoho_id = w.zoho_id) as taken from was w
  )
  update zohosync.records r
     set gone = true, identity = jsonb_build_object('forgotten', true, 'told', k.told_hash),
         remote_state = k.remote_state, hints = k.hints, excluded = k.excluded,
         rivals = case when k.taken then k.rivals || k.zoho_id else k.rivals end,
         zoho_id = case when not k.taken then k.zoho_id end
    from known k
   where r.org_id = k.org_id and r.kind = k.kind and r.key = k.key and r.zoho_id is null;
  return null;
end $$;
create trigger zohosync_recall after insert on zohosync.records
  referencing new table as added for each statement execute function zohosync.recall();
