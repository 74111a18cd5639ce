-- Settle: what a person's word leaves behind, and who may be one row under two keys.

-- excluded: records in Zoho that this one is not, by a person's word; no look-up of it takes them.
alter table zohosync.records add column excluded text[] not null default '{}';

-- A row that vanished and one that appeared under another key say the same of themselves. (By digest:
-- a name may be longer than an index entry.)
create index records_identity on zohosync.records (org_id, kind, md5(identity::text))
  where zoho_id is not null;
create index records_intents on zohosync.records (org_id, kind) where intent_id is not null;
create index records_rivals on zohosync.records (org_id, kind, key)
  where zoho_id is null and rivals <> '{}';
