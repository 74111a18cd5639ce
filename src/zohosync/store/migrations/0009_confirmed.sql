-- When Zoho said that the organisation is there and has the mode that was asserted. Before that, a new one
-- takes over from no other, and its mode may still be corrected. (Older rows have been worked with.)
alter table zohosync.organizations add column confirmed_at timestamptz;
update zohosync.organizations set confirmed_at = created_at;
