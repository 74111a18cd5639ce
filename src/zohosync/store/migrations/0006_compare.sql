-- Compare: what Zoho's lists held, how every row was sorted, and what may not be made meanwhile.

-- One row a reading of a kind's list; the newest finished one is what people look at. A reading that
-- was broken off goes on at `page`.
create table zohosync.comparisons (
  comparison_id bigint generated always as identity primary key,
  org_id      text not null references zohosync.organizations on delete cascade,
  kind        text not null,
  started_at  timestamptz not null default zohosync.current_time(),
  finished_at timestamptz,
  pass        smallint not null default 1,     -- a list that lost or moved rows is read twice
  page        integer not null default 0,      -- the last page read of this pass
  torn        boolean not null default false,  -- rows moved between the pages of this pass
  calls       integer not null default 0,
  busy_by     text,                            -- who reads it now, until when nobody else does
  busy_until  timestamptz,
  counts      jsonb not null default '{}'      -- how many rows of each sort
);
create index comparisons_newest on zohosync.comparisons (org_id, kind, comparison_id desc);

-- The rows of Zoho's lists, in the spellings that we write, as of the newest reading.
create table zohosync.seen (
  org_id        text not null references zohosync.organizations on delete cascade,
  kind          text not null,
  zoho_id       text not null,
  comparison_id bigint not null,
  pass          smallint not null,
  page          integer not null,
  place         integer not null,              -- within its page
  fields        jsonb not null,
  primary key (org_id, kind, comparison_id, zoho_id)
);
create index seen_page on zohosync.seen (comparison_id, pass, page, place);

-- How each row was sorted by the newest finished comparison. `key` null: it is only there.
create table zohosync.compared (
  compared_id   bigint generated always as identity primary key,
  comparison_id bigint not null references zohosync.comparisons on delete cascade,
  org_id        text not null,
  kind          text not null,
  key           text,
  zoho_id       text,
  sort          text not null check (sort in
    ('linked', 'differs', 'matches', 'ambiguous', 'only here', 'only there', 'double')),
  linked        boolean not null default false,
  sure          boolean not null default false,
  candidates    text[] not null default '{}',
  reason        text,
  differences   jsonb not null default '{}',   -- field: [here, there]
  equal_fields  text[] not null default '{}',
  remote_state  text,
  label         text                           -- how a person knows the row: e-mail, number …
);
create index compared_key on zohosync.compared (org_id, kind, key);

-- rivals: records in Zoho that this one may be; while there are any and none is linked, nothing is
-- made (settle, compare --link). accepted: what differed in Zoho when a person linked it. proof: when
-- each field was last seen equal in Zoho.
alter table zohosync.records
  add column rivals   text[] not null default '{}',
  add column accepted jsonb not null default '{}',
  add column proof    jsonb not null default '{}';

alter table zohosync.comparisons enable row level security;
alter table zohosync.seen        enable row level security;
alter table zohosync.compared    enable row level security;
