-- What is kept of an organisation's own lists (products, plans, taxes), by kind; and who reads one.

create table zohosync.org_data_cache (
  org_id      text not null references zohosync.organizations on delete cascade,
  cache_key   text not null,                  -- the kind
  data        jsonb,                          -- Zoho id: fields; null until it was read once
  cached_at   timestamptz,                    -- when the reading of it began
  mappings    jsonb,                          -- the mappings of then: others make it old
  lease_until timestamptz,                    -- until when one process alone reads it
  lease_epoch bigint not null default 0,      -- raised by whoever reads it or changes it
  leased_at   timestamptz,
  primary key (org_id, cache_key)
);
alter table zohosync.org_data_cache enable row level security;
