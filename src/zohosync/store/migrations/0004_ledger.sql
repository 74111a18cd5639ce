-- What an attempt spared, and what each day used: calls not made are nowhere in the journal.

-- Marks that the attempt brought into step (all but the first were merged into it), and parents whose
-- Zoho ids it knew without asking (taxes, items).
alter table zohosync.sync_logs add column changes integer not null default 0;
alter table zohosync.sync_logs add column reads_saved integer not null default 0;

-- One row a day of the organisation's own: the calls of others are in no journal of ours, and who was
-- told that the day runs short is told once.
create table zohosync.usage_days (
  org_id        text not null references zohosync.organizations on delete cascade,
  day           date not null,
  calls         integer not null default 0,
  foreign_calls integer not null default 0,
  per_day       integer,                       -- the limit in force, null: none
  warned        smallint not null default 0,   -- percent: 0, 80, 95, 100
  warned_at     timestamptz,
  primary key (org_id, day)
);
alter table zohosync.usage_days enable row level security;
