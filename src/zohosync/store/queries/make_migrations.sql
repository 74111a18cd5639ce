-- Promise: the table of applied migrations is there. The first migration has made the schema.
-- Locks: none that anybody waits for.
-- Index: none.
create table if not exists zohosync.migrations (
  version    integer primary key,
  name       text not null,
  checksum   text not null,
  applied_at timestamptz not null default zohosync.current_time()
);
alter table zohosync.migrations enable row level security
