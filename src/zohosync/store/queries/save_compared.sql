-- Promise: how these rows were sorted is kept with their comparison.
-- Locks: none.
-- Index: -
insert into zohosync.compared (comparison_id, org_id, kind, key, zoho_id, sort, linked, sure,
  candidates, reason, differences, equal_fields, remote_state, label)
select %(comparison_id)s, %(org_id)s, %(kind)s, r.key, r.zoho_id, r.sort, r.linked, r.sure,
       r.candidates, r.reason, r.differences, r.equal_fields, r.remote_state, r.label
  from jsonb_to_recordset(%(rows)s::jsonb) as r (key text, zoho_id text, sort text, linked boolean,
       sure boolean, candidates text[], reason text, differences jsonb, equal_fields text[],
       remote_state text, label text)
