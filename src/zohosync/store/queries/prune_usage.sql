-- Promise: the totals of days that are longer than `keep_days` past are gone, the first `limit` of them.
-- Locks: those rows.
-- Index: none (a row a day).
with gone as (
  delete from zohosync.usage_days u
   where u.ctid = any (array(
     select d.ctid from zohosync.usage_days d
      where d.day < (zohosync.current_time() - make_interval(days => %(keep_days)s))::date
      limit %(limit)s for update skip locked))
  returning 1
)
select count(*)::int as gone, %(after)s as last, count(*) = %(limit)s as more from gone
