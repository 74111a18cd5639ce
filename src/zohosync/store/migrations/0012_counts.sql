-- Maintained counts: how many records of each kind stand where, without counting them. And what health
-- needs besides: its last verdict, the oldest due of a kind, and the guide's function for Supabase.

-- Every statement that changes records appends what it changed, in its own transaction: no row is ever
-- waited for. Upkeep folds them into record_counts; the truth is the sum of both, in one snapshot.
create table zohosync.count_deltas (
  delta_id bigint generated always as identity primary key,
  org_id   text not null,
  kind     text not null,
  status   text not null,
  linked   boolean not null,
  timed    boolean not null,                   -- has a due time
  records  bigint not null
) with (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);

create table zohosync.record_counts (
  org_id   text not null,
  kind     text not null,
  status   text not null,
  linked   boolean not null,
  timed    boolean not null,
  records  bigint not null,
  primary key (org_id, kind, status, linked, timed)
) with (fillfactor = 50);

-- SECURITY DEFINER: whoever may change records needs no right on the counts.
create function zohosync.count_added() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into zohosync.count_deltas (org_id, kind, status, linked, timed, records)
  select org_id, kind, status, zoho_id is not null, due_at is not null, count(*)
    from added group by 1, 2, 3, 4, 5;
  return null;
end $$;

create function zohosync.count_removed() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into zohosync.count_deltas (org_id, kind, status, linked, timed, records)
  select org_id, kind, status, zoho_id is not null, due_at is not null, -count(*)
    from removed group by 1, 2, 3, 4, 5;
  return null;
end $$;

create function zohosync.count_changed() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into zohosync.count_deltas (org_id, kind, status, linked, timed, records)
  select org_id, kind, status, linked, timed, sum(one)
    from (select org_id, kind, status, zoho_id is not null as linked, due_at is not null as timed,
                 1 as one from added
          union all
          select org_id, kind, status, zoho_id is not null, due_at is not null, -1 from removed) c
   group by 1, 2, 3, 4, 5 having sum(one) <> 0;
  return null;
end $$;

-- A TRUNCATE waits for whoever changes records, so what is counted in one snapshot is all there was.
create function zohosync.count_truncated() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into zohosync.count_deltas (org_id, kind, status, linked, timed, records)
  select org_id, kind, status, linked, timed, -sum(records)
    from (select org_id, kind, status, linked, timed, records from zohosync.record_counts
          union all
          select org_id, kind, status, linked, timed, records from zohosync.count_deltas) c
   group by 1, 2, 3, 4, 5 having sum(records) <> 0;
  return null;
end $$;

create trigger zohosync_count_added after insert on zohosync.records
  referencing new table as added for each statement execute function zohosync.count_added();
create trigger zohosync_count_changed after update on zohosync.records
  referencing old table as removed new table as added
  for each statement execute function zohosync.count_changed();
create trigger zohosync_count_removed after delete on zohosync.records
  referencing old table as removed for each statement execute function zohosync.count_removed();
create trigger zohosync_count_truncated after truncate on zohosync.records
  for each statement execute function zohosync.count_truncated();

-- Nobody changes records from here to the end of this transaction: the triggers' lock sees to that.
insert into zohosync.record_counts (org_id, kind, status, linked, timed, records)
select org_id, kind, status, zoho_id is not null, due_at is not null, count(*)
  from zohosync.records group by 1, 2, 3, 4, 5;

-- The oldest due of each kind, for people; claims go by records_due.
create index records_oldest on zohosync.records (org_id, kind, due_at)
  where due_at is not null and lease_until is null;

-- How the organisation was judged last, and since when it stands so.
create table zohosync.health (
  org_id    text primary key references zohosync.organizations on delete cascade,
  state     text not null check (state in ('healthy', 'degraded', 'unhealthy')),
  checks    jsonb not null default '[]',       -- those that did not pass: name, verdict, words, mend
  since     timestamptz not null default zohosync.current_time(),
  judged_at timestamptz not null default zohosync.current_time()
);

-- The guide's figures for Supabase RPC, in `public` since that is what PostgREST serves. Makes the
-- function where it is missing and may be made; returns what was done, never fails for want of rights.
-- (A body of BEGIN ATOMIC depends on our tables, so `drop schema zohosync cascade` takes it along.)
create function zohosync.offer_sync_health() returns text
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  ours constant text := 'zohosync: how many records of each kind are in step';
  told text;
begin
  if to_regnamespace('public') is null then
    return 'not made: there is no schema public';
  end if;
  select coalesce(obj_description(p.oid, 'pg_proc'), '') into told
    from pg_proc p where p.oid = to_regprocedure('public.get_zoho_sync_health()');
  if told = ours then
    return 'there';
  elsif told is not null then
    return 'not made: public.get_zoho_sync_health() is there already and is not of zohosync';
  elsif not has_schema_privilege('public', 'create') then
    return format('not made: %I may not create in schema public', current_user);
  end if;
  create function public.get_zoho_sync_health()
    returns table (entity_type text, total_count bigint, synced_count bigint, failed_count bigint,
                   sync_rate numeric, heartbeat_age_s numeric)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    begin atomic
      select k.kind, coalesce(c.total, 0), coalesce(c.synced, 0), coalesce(c.failed, 0),
             round(c.synced * 100.0 / nullif(c.total, 0), 2), w.age_s
        from zohosync.organizations o
       cross join lateral unnest(o.kinds) with ordinality as k (kind, place)
        left join (
          select r.org_id, r.kind, sum(r.records) filter (where r.status <> 'skipped')::bigint as total,
                 coalesce(sum(r.records) filter (where r.status = 'synced'), 0)::bigint as synced,
                 coalesce(sum(r.records) filter (where r.status = 'failed'), 0)::bigint as failed
            from (select d.org_id, d.kind, d.status, d.records from zohosync.record_counts d
                  union all
                  select d.org_id, d.kind, d.status, d.records from zohosync.count_deltas d) r
           group by r.org_id, r.kind) c on c.org_id = o.org_id and c.kind = k.kind
        left join lateral (
          select round(extract(epoch from zohosync.current_time() - max(h.heartbeat_at)), 1) as age_s
            from zohosync.workers h where h.org_id = o.org_id) w on true
       where o.active
       order by k.place;
    end;
  execute format('comment on function public.get_zoho_sync_health() is %L', ours);
  revoke all on function public.get_zoho_sync_health() from public;
  -- Supabase gives every new function of public to the roles of its API; this one is not for browsers.
  select string_agg(format('revoke all on function public.get_zoho_sync_health() from %I;', rolname), ' ')
    into told from pg_roles where rolname in ('anon', 'authenticated');
  execute coalesce(told, '');
  if exists (select from pg_roles where rolname = 'service_role') then
    grant execute on function public.get_zoho_sync_health() to service_role;
  end if;
  return 'made';
end $$;
revoke all on function zohosync.offer_sync_health() from public;
do $$ begin raise notice 'public.get_zoho_sync_health(): %', zohosync.offer_sync_health(); end $$;

alter table zohosync.count_deltas  enable row level security;
alter table zohosync.record_counts enable row level security;
alter table zohosync.health        enable row level security;
