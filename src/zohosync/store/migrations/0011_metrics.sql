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
