-- Metrics: one key figure of one closed day of the organisation's own, of a kind or of all of them.
-- The guide's table and names; `all` instead of NULL, which no unique key would hold to one row.

create table zohosync.sync_metrics (
  org_id       text not null references zohosync.organizations on delete cascade,
  metric_date  date not null,
  metric_type  text not null,
  entity_type  text not null default 'all',
  metric_value numeric not null,
  metadata     jsonb not null default '{}',    -- what it is made of, so that days can be added up
  created_at   timestamptz not null default zohosync.current_time(),
  primary key (org_id, metric_date, metric_type, entity_type)
);
alter table zohosync.sync_metrics enable row level security;

-- What an attempt led to: 0 it was not tried (parked, or given back), 1 its record is in step, 2 it is for
-- a person now, 3 it was tried and is not at its end (a retry, a write in doubt), 4 a further step.
create function zohosync.ending(status text, result text, step text) returns integer
  language sql immutable parallel safe as $$
    select case when status = 'success' then 1
                when status = 'failed' or result = 'undecided' then 2
                when result = 'orphaned' then 3
                when status in ('waiting', 'skipped') or step = 'later'
                  or result in ('throttled', 'unauthorized', 'woken') or result like 'closed%' then 0
                when status in ('retrying', 'uncertain') or result = 'absent' then 3
                else 4 end
  $$;

-- A sync is all attempts of a record until one ends it. What it took so far stands with the record, and
-- with each attempt, itself included; null in the log: from before this was kept.
alter table zohosync.records
  add column spent_ms    bigint not null default 0,
  add column spent_calls integer not null default 0;
alter table zohosync.sync_logs
  add column sync_ms    bigint,
  add column sync_calls integer;
