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
create or replace function zohosync.recall() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  was zohosync.forgotten;
begin
  if not exists (select from zohosync.forgotten f where f.org_id = new.org_id and f.kind = new.kind) then
    return new;
  end if;
  delete from zohosync.forgotten f
   where f.org_id = new.org_id and f.kind = new.kind
     and f.key_hash = zohosync.digest_of(new.org_id, new.kind, new.key)
  returning * into was;
  if not found or new.zoho_id is not null then
    return new;
  end if;
  new.gone := true;
  new.identity := jsonb_build_object('forgotten', true, 'told', was.told_hash);
  new.remote_state := was.remote_state;
  new.hints := was.hints;
  new.excluded := was.excluded;
  new.rivals := was.rivals;
  if was.zoho_id is not null and exists (select from zohosync.records r where r.org_id = new.org_id and r.kind = new.kind
               and r.zoho_id = was.zoho_id) then
    new.rivals := new.rivals || was.zoho_id;
  else
    new.zoho_id := was.zoho_id;
  end if;
  return new;
end $$;
create trigger recall before insert on zohosync.records
  for each row execute function zohosync.recall();
