-- The spine: marks, records, the journal of calls, the organisation's row and what hangs on them.
-- Times come from zohosync.current_time() alone; tests and the demo replace that one function.

create schema if not exists zohosync;

-- The only source of time in our SQL: the database's clock, since hosts disagree.
create or replace function zohosync.current_time() returns timestamptz
  language sql volatile parallel safe
  as $$ select clock_timestamp() $$;

-- Which installation this database belongs to; a restored copy must not write to production (D11).
create table zohosync.installation (
  only_row          boolean primary key default true check (only_row),
  installation      text not null,
  database_name     text not null,
  system_identifier text not null,
  created_at        timestamptz not null default zohosync.current_time()
);

create table zohosync.organizations (
  org_id        text primary key,
  data_center   text not null,
  mode          text not null check (mode in ('test', 'live', 'sandbox')),
  name          text,
  time_zone     text not null,
  currency_code text,
  limits        jsonb not null default '{}',
  active        boolean not null default false,
  paused        text,                          -- why nothing runs at all (credentials refused)
  kinds         text[] not null default '{}',  -- the kinds that there are, for zohosync.mark
  paused_kinds  text[] not null default '{}',
  closed_until  timestamptz,
  closed_reason text,
  mints_closed_until timestamptz,
  overloads     integer not null default 0,
  day           date,
  day_calls     integer not null default 0,
  day_by_lane   jsonb not null default '{}',
  quota_left    integer,
  swept_at      timestamptz,
  created_at    timestamptz not null default zohosync.current_time()
);
create unique index organizations_one_active on zohosync.organizations (active) where active;

-- Appended by triggers, folded into records by workers. No organisation: marks go to the active one.
create table zohosync.marks (
  mark_id  bigint generated always as identity primary key,
  kind     text not null,
  key      text not null,
  op       "char" not null,                    -- I U D, T truncated, B backfill, R by hand
  priority smallint not null
);

create table zohosync.records (
  org_id         text not null references zohosync.organizations,
  kind           text not null,
  key            text not null,
  version        bigint not null default 1,
  synced_version bigint not null default 0,
  status         text not null default 'pending' check (status in
    ('pending', 'syncing', 'synced', 'retrying', 'failed', 'waiting', 'uncertain', 'skipped')),
  priority       smallint not null default 5,
  due_at         timestamptz,
  attempts       integer not null default 0,
  looks          integer not null default 0,
  lease_until    timestamptz,
  lease_epoch    bigint not null default 0,
  lease_worker   text,
  zoho_id        text,
  payload        jsonb,
  fingerprint    text,
  remote_state   text,
  hints          jsonb not null default '{}',
  identity       jsonb,
  gone           boolean not null default false,
  to_check       boolean not null default false,
  intent_id      bigint,
  waiting_kind   text,
  waiting_key    text,
  waiting_needs  text[] not null default '{}',
  error_class    text,
  error_code     text,
  error_field    text,
  error_message  text,
  marked_at      timestamptz not null default zohosync.current_time(),
  success_at     timestamptz,
  settled_at     timestamptz,
  created_at     timestamptz not null default zohosync.current_time(),
  primary key (org_id, kind, key),
  check ((status = 'syncing') = (lease_until is not null))
) with (fillfactor = 80);
create unique index records_one_per_zoho_id on zohosync.records (org_id, kind, zoho_id)
  where zoho_id is not null;
-- Claims: what is due and under no lease, by priority, oldest first.
create index records_due on zohosync.records (org_id, priority desc, due_at)
  where due_at is not null and lease_until is null;
create index records_leased on zohosync.records (lease_until) where lease_until is not null;
create index records_waiting on zohosync.records (org_id, waiting_kind, waiting_key)
  where waiting_kind is not null;
create index records_status on zohosync.records (org_id, status, kind)
  where status not in ('synced', 'skipped');

create table zohosync.sync_logs (
  log_id        bigint generated always as identity primary key,
  org_id        text not null,
  kind          text not null,
  key           text not null,
  version       bigint not null,
  zoho_entity_type text not null,
  zoho_entity_id   text,
  step          text not null,
  status        text not null,
  result        text not null,
  attempt_number integer not null,
  error_class   text,
  error_code    text,
  error_field   text,
  error_message text,
  request_payload  jsonb,
  response_payload jsonb,
  duration_ms   integer not null,
  calls         integer not null,
  worker        text not null,
  created_at    timestamptz not null default zohosync.current_time()
);
create index sync_logs_record on zohosync.sync_logs (org_id, kind, key, log_id desc);
create index sync_logs_created on zohosync.sync_logs using brin (created_at);

-- One row per HTTP call, written before it leaves: minute window, day, in flight, mints, cost and
-- evidence are all read from here (D3, D6).
create table zohosync.api_calls (
  call_id       bigint generated always as identity primary key,
  org_id        text not null,
  door          text not null check (door in ('api', 'accounts')),
  lane          smallint not null,
  kind          text,
  key           text,
  lease_epoch   bigint,
  worker        text not null,
  operation     text not null,
  method        text not null,
  path          text not null,
  started_at    timestamptz not null default zohosync.current_time(),
  deadline      timestamptz not null,
  finished_at   timestamptz,
  counts_until  timestamptz not null,          -- when its place in the remote's minute comes free
  sent          boolean,
  status        integer,
  code          text,
  outcome       text,
  latency_ms    integer,
  intent        jsonb,                         -- what a write carried: its evidence
  intent_total  numeric,
  intent_state  text check (intent_state in ('open', 'duplicate', 'closed')),
  absent_at     timestamptz,
  mint_key      text
);
create index api_calls_counting on zohosync.api_calls (org_id, counts_until) where door = 'api';
create index api_calls_mints on zohosync.api_calls (mint_key, started_at) where door = 'accounts';
create index api_calls_record on zohosync.api_calls (org_id, kind, key, call_id desc)
  where kind is not null;
create index api_calls_started on zohosync.api_calls using brin (started_at);

create table zohosync.token_cache (
  token_key        text primary key,
  access_token     text,                       -- encrypted
  api_domain       text,
  expires_at       timestamptz,
  refreshing_until timestamptz,
  refreshing_by    text,
  updated_at       timestamptz not null default zohosync.current_time()
);

create table zohosync.workers (
  worker       text primary key,
  org_id       text not null,
  host         text not null,
  pid          integer not null,
  version      text not null,
  started_at   timestamptz not null default zohosync.current_time(),
  heartbeat_at timestamptz not null default zohosync.current_time()
);

create table zohosync.audit (
  audit_id bigint generated always as identity primary key,
  org_id   text,
  at       timestamptz not null default zohosync.current_time(),
  who      text not null default session_user,
  act      text not null,
  target   text,
  why      text,
  before   jsonb,
  after    jsonb
);

-- What is watched, so that `migrate` can tell an outdated trigger from a present one.
create table zohosync.watches (
  watch      text primary key,
  table_name text not null,
  kind       text not null,
  definition text not null,
  created_at timestamptz not null default zohosync.current_time()
);

-- Asks for a record to be brought into step: from SQL of any language.
create or replace function zohosync.mark(kind text, key text, priority integer default 5)
  returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  known text[] := (select o.kinds from zohosync.organizations o where o.active);
begin
  if mark.kind <> all (known) then
    raise exception 'zohosync.mark: there is no kind "%"', mark.kind
      using hint = 'The kinds are ' || array_to_string(known, ', ') || '.';
  end if;
  insert into zohosync.marks (kind, key, op, priority)
  values (mark.kind, mark.key, 'R', mark.priority);
end $$;

-- The stable view of what is linked: join it instead of writing back.
create view zohosync.links as
  select r.kind, r.key, r.zoho_id, r.status, r.success_at as synced_at, r.error_message as error
    from zohosync.records r
    join zohosync.organizations o on o.org_id = r.org_id and o.active
   where r.kind not in ('items', 'taxes');

alter table zohosync.installation  enable row level security;
alter table zohosync.organizations enable row level security;
alter table zohosync.marks         enable row level security;
alter table zohosync.records       enable row level security;
alter table zohosync.sync_logs     enable row level security;
alter table zohosync.api_calls     enable row level security;
alter table zohosync.token_cache   enable row level security;
alter table zohosync.workers       enable row level security;
alter table zohosync.audit         enable row level security;
alter table zohosync.watches       enable row level security;
