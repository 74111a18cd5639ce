-- Lanes: who waits, which of them are closed for now, and what of the day others have used.

alter table zohosync.organizations
  add column lanes_waiting jsonb not null default '{}',  -- lane: {"by": worker, "until": instant}
  add column lanes_closed  jsonb not null default '{}',  -- lane: not claimed before this instant
  add column day_foreign   integer not null default 0,   -- calls of the day that were not ours
  add column quota_limit   integer;                      -- the day's limit as Zoho told it
