-- Promise: the Zoho ids of one page of a reading, in their order.
-- Locks: none.
-- Index: seen_page.
select zoho_id from zohosync.seen
 where org_id = %(org_id)s and kind = %(kind)s and comparison_id = %(comparison_id)s
   and pass = %(pass)s and page = %(page)s
 order by place
