-- A claim takes what is due in one order whatever lies where: many records may be due at one instant
-- (a TRUNCATE touches all of its kind), and the first come first must be the same again.

drop index zohosync.records_due;
create index records_due on zohosync.records (org_id, priority desc, due_at, kind, key)
  where due_at is not null and lease_until is null;
