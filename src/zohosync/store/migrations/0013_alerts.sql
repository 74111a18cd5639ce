-- Alerts: one row a cause, what is told of it, and who is not to hear of it.

create table zohosync.alerts (
  org_id       text not null references zohosync.organizations on delete cascade,
  fingerprint  text not null,                 -- topic/kind/…: what makes two troubles one cause
  topic        text not null,
  kind         text,
  grave        boolean not null default false,
  title        text not null default '',
  body         text not null default '',
  command      text not null default '',
  over         text not null default '',      -- what is said when it is gone
  example_kind text,
  example_key  text,
  records      integer,                       -- how many are concerned, where it is about records
  level        integer not null default 0,    -- of causes that get worse by steps (80, 95, 100)
  since        timestamptz,                   -- when the trouble began, as far as the books know
  first_seen   timestamptz not null default zohosync.current_time(),
  last_seen    timestamptz not null default zohosync.current_time(),
  gone_since   timestamptz,
  resolved_at  timestamptz,
  told_at      timestamptz,                   -- of this episode; null: nobody was told
  told_records integer not null default 0,
  told_level   integer not null default 0,
  told_grave   boolean not null default false,
  held         boolean not null default false,  -- kept back until the quiet hours are over
  episodes     integer not null default 0,    -- how often it came back within a day
  reported     text,                          -- a process's own word that something fails
  primary key (org_id, fingerprint)
);

-- What is to be sent, to which channels still; a channel is named by its scheme and host.
create table zohosync.notices (
  notice_id     bigint generated always as identity primary key,
  org_id        text not null references zohosync.organizations on delete cascade,
  made_at       timestamptz not null default zohosync.current_time(),
  grave         boolean not null,
  good          boolean not null,             -- it tells of a recovery
  title         text not null,
  body          text not null,
  fingerprints  text[] not null,
  pending       text[] not null,              -- channels that have not taken it yet
  tries         integer not null default 0,
  try_at        timestamptz not null default zohosync.current_time(),
  sending_by    text,
  sending_until timestamptz,
  error         text,
  done_at       timestamptz
);
create index notices_due on zohosync.notices (org_id, try_at) where done_at is null;

create table zohosync.alert_mutes (
  org_id   text not null references zohosync.organizations on delete cascade,
  target   text not null,                     -- a fingerprint, a kind or a topic
  until    timestamptz not null,
  muted_at timestamptz not null default zohosync.current_time(),
  primary key (org_id, target)
);

alter table zohosync.alerts      enable row level security;
alter table zohosync.notices     enable row level security;
alter table zohosync.alert_mutes enable row level security;
