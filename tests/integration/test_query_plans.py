"""Every query uses the index that its comment promises, and the hot ones read next to nothing."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

from zohosync.clock import SystemClock
from zohosync.core.governor import MINT_WINDOW_S, MINUTE_S
from zohosync.store.connection import TYPES

QUERIES = {
    path.name.removesuffix(".sql"): path.read_text()
    for path in files("zohosync.store").joinpath("queries").iterdir()
}
# A book after some years: most in step, some due now and some later, some paused, some waiting.
SEED = """
insert into zohosync.organizations (org_id, data_center, mode, time_zone, active, paused_kinds)
values ('1', 'us', 'sandbox', 'Africa/Johannesburg', true, '{payments}'),
       ('2', 'us', 'sandbox', 'UTC', false, '{}');
insert into zohosync.records (org_id, kind, key, version, synced_version, status, priority, due_at,
  lease_until, lease_worker, lease_epoch, zoho_id, hints, intent_id, waiting_kind, waiting_key,
  error_class, error_message)
select '1', (array['customers', 'invoices', 'payments', 'subscriptions'])[1 + n % 4], n, 2, 2,
       s.status, (array[10, 5, 1, 0])[1 + n % 7 % 4],
       case when s.status = 'pending' then clock_timestamp() + (n % 2000 - 1000) * interval '1 min'
            when s.status = 'retrying' then clock_timestamp() + interval '1 hour' end,
       case when s.status = 'syncing' then clock_timestamp() + (n % 9 - 4) * interval '1 min' end,
       case when s.status = 'syncing' then 'w1' end, 7, 'z' || n,
       case when n % 4 = 3 then jsonb_build_object('child_invoice_id', 'z' || n - 2) else '{}' end,
       case when n % 1000 < 3 then n end,
       case when s.status = 'waiting' then 'customers' end,
       case when s.status = 'waiting' then (n - n % 4)::text end,
       case when s.status = 'failed' then 'validation' end,
       case when s.status = 'failed' then 'no e-mail' end
  from generate_series(1, 50000) n,
       lateral (select case when n % 500 = 0 then 'syncing' when n % 50 = 1 then 'failed'
                            when n % 50 = 2 then 'waiting' when n % 50 = 3 then 'retrying'
                            when n % 10 = 4 then 'pending' else 'synced' end as status) s;
insert into zohosync.api_calls (org_id, door, lane, kind, key, lease_epoch, worker, operation,
  method, path, started_at, deadline, finished_at, counts_until, sent, status, intent_state,
  mint_key)
select '1', case when n % 250 = 0 then 'accounts' else 'api' end, 5, 'customers', n, 7, 'w1',
       'customers.create', 'POST', '/customers', t.at, t.at + interval '15 s',
       t.at + interval '1 s', t.at + interval '62 s', true, 201, 'closed',
       case when n % 250 = 0 then 'client' end
  from generate_series(1, 50000) n,
       lateral (select clock_timestamp() - (50000 - n) * interval '2 s' as at) t;
insert into zohosync.api_calls (org_id, door, lane, kind, key, lease_epoch, worker, operation,
  method, path, started_at, deadline, finished_at, counts_until, sent, outcome, ends)
select '1', 'api', 5, 'customers', n, 7, 'w1', 'customers.markasinactive', 'POST', '/customers',
       t.at, t.at + interval '15 s', t.at, t.at, true, 'accepted', true
  from generate_series(1, 2000) n,
       lateral (select clock_timestamp() - (2000 - n) * interval '10 min' as at) t;
insert into zohosync.let_through (org_id, kind, key)
select '1', 'customers', n from generate_series(1, 3000) n;
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, zoho_entity_id, step,
  status, result, attempt_number, duration_ms, calls, worker, created_at)
select '1', 'customers', n, 1, 'customer', 'z' || n, 'create', 'success', 'created', 1, 9, 1, 'w1',
       clock_timestamp() - (20000 - n) * interval '2 min' from generate_series(1, 20000) n;
insert into zohosync.usage_days (org_id, day, calls, per_day)
select '1', current_date - n, 900, 1000 from generate_series(1, 3000) n;
update zohosync.organizations
  set day = (current_timestamp at time zone time_zone)::date, day_calls = 900, limits =
  '{"per_minute": 100, "in_flight": 10, "per_second": 10, "per_day": 5000}' where org_id = '1';
insert into zohosync.marks (kind, key, op, priority)
select 'invoices', 2 * n, 'U', 5 from generate_series(1, 3000) n;
insert into zohosync.comparisons (org_id, kind, finished_at)
select '1', k, clock_timestamp()
  from generate_series(1, 400), unnest(array['invoices', 'payments', 'customers']) k;
insert into zohosync.seen (org_id, kind, zoho_id, comparison_id, pass, page, place, fields)
select '1', 'customers', 'z' || n, 1198, 1, 1 + n / 200, n % 200, '{"email": "a@example.com"}'
  from generate_series(1, 20000) n;
insert into zohosync.compared (comparison_id, org_id, kind, key, zoho_id, sort, linked, sure)
select 1198, '1', 'customers', n, 'z' || n, case when n % 500 = 0 then 'differs' else 'linked' end,
       true, true from generate_series(1, 20000) n;
insert into zohosync.alerts (org_id, fingerprint, topic)
select '1', 'failed/customers/' || n, 'failed' from generate_series(1, 3000) n;
insert into zohosync.alert_mutes (org_id, target, until)
select '1', 'customers/' || n, clock_timestamp() from generate_series(1, 3000) n;
insert into zohosync.notices (org_id, grave, good, title, body, fingerprints, pending, done_at)
select '1', false, false, '', '', '{}', '{log}', case when n % 1000 > 0 then clock_timestamp() end
  from generate_series(1, 3000) n;
insert into zohosync.sync_metrics (org_id, metric_date, metric_type, entity_type, metric_value)
select '1', current_date - n, t, k, n from generate_series(1, 1000) n,
       unnest(array['success_rate', 'failed_syncs', 'api_calls']) t,
       unnest(array['all', 'customers', 'invoices']) k;
insert into zohosync.workers (worker, org_id, host, pid, version)
select 'w' || n, '1', 'here', n, '0' from generate_series(1, 3) n;
"""
# What the parameters are; a query that has other ones, or several ways, says so below.
COMMON: dict[str, Any] = {
    "org_id": "1", "kind": "customers", "key": "4004", "worker": "w1", "limit": 10,
    "kinds": ["customers", "invoices"], "keys": ["4004", "4001"], "epochs": [7, 7],
    "reasons": ["a parent"],
    "parent_kind": "customers", "parent_key": "4004", "priority": 10,
    "priorities": [10, 5, 1, 0], "lease_s": 60, "debounce": timedelta(seconds=300),
    "horizon_s": 60, "window_s": 600, "down_after": 5, "epoch": 7, "version": 2, "host": "here",
    "pid": 1, "zoho_ids": ["z1", "z2"], "minute_s": MINUTE_S, "mint_window_s": MINT_WINDOW_S,
    "day_guard_s": 30, "mint_key": "client", "per_minute": 100, "in_flight": 10, "per_second": 10,
    "time_limit_s": 15, "call_ids": [49_999], "sent": [True], "statuses": [200], "codes": ["0"],
    "outcomes": ["done"], "latencies_ms": [9], "token_key": "t", "by": "w1", "access_token": "x",
    "api_domain": "x", "good_for_s": 60, "fresh_s": 60, "watch": "watch_1", "table_name": "t",
    "definition": "x", "pause": True, "why": "x", "data_center": "us", "mode": "sandbox",
    "name": None, "time_zone": "UTC", "currency_code": None, "limits": "{}", "day_spent": "x",
    "quota_limit": None, "lower": 8, "most": [7, 6, 7, 8], "least": [0, 1, 1, 1],
    "waiting": "{}", "closed": "{}",
    "close_s": 1.0, "until_midnight": False, "reason": "x", "close_mints_s": None,
    "overload": True, "healthy": False, "overloads_max": 5, "quota_left": None,
    "status": "synced", "due_in_s": None, "attempts": 0, "looks": 0, "zoho_id": "z4004",
    "payload": "{}", "fingerprint": "1:x", "remote_state": "active", "hints": "{}",
    "identity": None, "gone": None, "keep_intent": False, "waiting_kind": None,
    "waiting_key": None, "waiting_needs": [], "error_class": None, "error_code": None,
    "error_field": None, "error_message": None, "succeeded": True, "absent": False, "attempt": 1,
    "checked": False, "duration_ms": 9, "entity_type": "customer", "intent_state": "closed",
    "log_status": "success", "request": None, "response": None, "result": "created",
    "step": "create", "installation": "x", "looked": False, "reads_saved": 0,
    "sure": True, "steps": [80, 95, 100], "keep_days": 90,
    "role": "w1", "view": "t", "indexes": ["records_due"],
    "who": "w1", "busy_s": 60, "comparison_id": 1198, "pass": 1, "page": 2, "torn": False,
    "after": "z5", "sorts": ["differs"], "counts": "{}", "versions": '{"4004": 2}',
    "rows": '[{"key": "4004", "zoho_id": "z4004", "place": 1, "fields": {}, "rivals": ["z1"],'
    ' "proof": {}, "sort": "linked", "payload": {}, "accepted": {}, "version": 2}]',
    "jobs": ["retention", "metrics"], "job": "retention", "runs": 0, "took_ms": 9, "told": None,
    "done": True, "log_message": None, "tells": True, "act": "forget",
    "alias": "~1", "closed_intent": None,
    "asked": "1:x", "mappings": '{"customers": "2"}', "places": [0, 1], "at": "02:30",
    "cause": "endings", "count": 20, "over": True, "night": True, "alive_s": 30,
    "linked": "z4004", "intent_id": None, "rivals": [], "rivals_seen": [], "excluded": [],
    "closes": False, "heir_of": None, "word": "new", "newest": 10_000, "look": 5_000,
    "closed_for_s": 60, "channels": ["log"], "target": "customers", "for_s": 60, "taken": ["log"],
    "error": None, "retry_s": 60, "keep_s": 60, "notice_id": 900, "tries": 1, "reported": None,
    "late_s": 60, "lately_s": 60, "state": "healthy", "checks": "[]", "seek_s": 60, "data": "{}",
    "began": SystemClock().now() - timedelta(hours=2), "ended": SystemClock().now(),
    "stale_after": timedelta(days=7), "at_least": False,
    "first": SystemClock().now().date() - timedelta(days=7), "last": SystemClock().now().date(),
    "since": SystemClock().now() - timedelta(hours=1), "day": SystemClock().now().date(),
    "calls": '[{"place": 0, "door": "api", "lane": 5, "kind": "customers", "key": "500",'
    ' "lease_epoch": 7, "operation": "x", "method": "POST", "path": "/", "writes": true}]',
}  # fmt: skip
LATER = {"after": 5}
ONE_OR_ALL: list[dict[str, Any]] = [{}, {"kind": None, "key": None}]
WAYS: dict[str, list[dict[str, Any]]] = {
    "read_calls": ONE_OR_ALL,
    "read_logs": ONE_OR_ALL,
    "read_doubts": [{"kind": None, "codes": ["re-used"]}],
    "settle_by_word": [{"closes": True, "intent_id": 1}],
    "namesakes": [{"identity": '{"email": "4004@example.com"}'}],
    "retry_failed": [{"key": None}, {"key": "4001"}],
    "touch_organization": [{"pause": None}],
    "read_compared": [LATER],
    "save_alerts": [{"rows": '[{"fingerprint": "failed/customers/9", "topic": "failed"}]'}],
    "report_trouble": [{"fingerprint": "failed/9", "reported": said} for said in (None, "x")],
    "mute_alerts": [{}, {"for_s": None, "target": "customers/9"}],
    "prune_calls": [LATER],
    "prune_logs": [LATER],
    "prune_audit": [LATER],
    "prune_seen": [{"keep_days": 0, **LATER}],
    "prune_compared": [{"keep_days": 0, **LATER}],
    "prune_usage": [LATER],
    "forget_record": [{"hints": ["raised"]}],
}
# Tables of a handful of rows: their index is there and fits, though a scan may be as cheap.
SMALL = (
    "organizations", "workers", "leaders", "jobs", "forgotten", "audit", "watches", "migrations",
    "installation", "token_cache", "record_counts", "count_deltas", "health",
    "org_data_cache", "sync_metrics",
)  # fmt: skip
# What runs all the time, and how many 8 kB pages it may touch, whatever the size of the book.
PAGES = {
    "claim_records": 400, "fold_marks": 400, "next_due": 60, "view_journal": 300,
    "settle_record": 150, "wake_children": 150, "park_parent": 60, "look_at_parent": 20,
    "seek_parent": 60, "wake_refused": 150,
    "read_parents": 20, "taken_ids": 20, "promised_ids": 20, "open_calls": 250, "finish_calls": 40,
    "extend_leases": 60, "rescue_records": 1_500, "lock_organization": 10,
    "glance_alerts": 30,
    "touch_organization": 20, "beat": 20, "note_usage": 20, "warn_usage": 20, "fold_counts": 100,
    "count_records": 20, "read_progress": 100, "read_oldest": 60,
}  # fmt: skip

Explain = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def explain(clusters: Callable[[str], Any]) -> Iterator[Explain]:
    """Explains a query over a big book; nothing that it does stays."""
    cluster = clusters("embedded")
    name = cluster.create("zohosync_template")
    link: psycopg.Connection[TupleRow]
    with psycopg.connect(
        cluster.postgres.url(name), autocommit=True, prepare_threshold=None, context=TYPES
    ) as link:
        link.execute(SEED)
        link.execute("vacuum analyze")

        def plan(
            query: str,
            way: dict[str, Any],
            *,
            scans: bool = True,
            run: bool = False,
            first: str = "",
            generic: bool = False,
        ) -> Any:
            options = "analyze, buffers, format json" if run else "format json"
            text = f"explain ({options}) {QUERIES[query]}"
            if generic:
                names = iter(range(1, 100))
                seen = defaultdict[str, str](lambda: f"${next(names)}")
                text = re.sub(r"%\((\w+)\)s", lambda found: seen[found[1]], text)
                text = text.replace("explain (", "explain (generic_plan, ").replace("%%", "%")
            with link.transaction(force_rollback=True):
                link.execute(f"set local jit = off; {first}".encode())
                if not scans:
                    link.execute("set local enable_seqscan = off")
                row = link.execute(text.encode(), None if generic else COMMON | way).fetchone()
            assert row is not None
            return row[0][0]

        yield plan
    cluster.drop(name)


def promised(query: str) -> set[str]:
    """The indexes that a query's comment names."""
    found = re.search(r"^--.*\bIndex: (.+)$", QUERIES[query], re.MULTILINE)
    assert found, f"{query}.sql says nothing of its index"
    return set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", found[1]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def used(plan: dict[str, Any]) -> set[str]:
    """Every index that a plan uses."""
    names = {node["Index Name"] for node in nodes(plan["Plan"]) if "Index Name" in node}
    arbiters = [node.get("Conflict Arbiter Indexes", []) for node in nodes(plan["Plan"])]
    return names.union(*arbiters)


@pytest.mark.parametrize("query", sorted(QUERIES))
def test_a_query_uses_the_index_that_it_promises(explain: Explain, query: str) -> None:
    names = promised(query)
    if not names:
        return
    ways = WAYS.get(query, [{}])
    found = set[str]().union(*(used(explain(query, way)) for way in ways))
    small = {name for name in names if name.startswith(SMALL)}
    if small - found:
        found |= set[str]().union(*(used(explain(query, way, scans=False)) & small for way in ways))
    assert names <= found, f"{query}.sql uses {sorted(found)} only"


@pytest.mark.parametrize("query", sorted(PAGES))
def test_what_runs_all_the_time_reads_little_of_a_big_book(explain: Explain, query: str) -> None:
    for way in WAYS.get(query, [{}]):
        plan = explain(query, way, run=True)
        pages = sum(plan["Plan"].get(f"Shared {what} Blocks", 0) for what in ("Hit", "Read"))
        assert pages <= PAGES[query], plan


@pytest.mark.parametrize("query", ["view_journal", "open_calls", "view_endings"])
def test_a_call_is_let_go_with_the_same_plan_whatever_it_is(explain: Explain, query: str) -> None:
    """lock_organization asks for generic plans: they must be as good as those of one call."""
    plan = explain(query, {}, generic=True)
    assert promised(query) - {"organizations_pkey"} <= used(plan)
    scanned = {
        node["Relation Name"] for node in nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan"
    }
    assert not scanned & {"api_calls", "records", "let_through"}


def test_the_journal_is_looked_at_as_quickly_when_no_call_was_made_lately(explain: Explain) -> None:
    """Nothing counts then: whoever looks for the calls in flight might read all there ever were."""
    quiet = (
        "delete from zohosync.api_calls; insert into zohosync.api_calls (org_id, door, lane,"
        " worker, operation, method, path, started_at, deadline, finished_at, counts_until)"
        " select '1', 'api', 10, 'w', 'find', 'GET', '/customers', t.at, t.at, t.at, t.at"
        " from generate_series(1, 10000) n,"
        " lateral (select clock_timestamp() - interval '2 min' - n * interval '9 s' as at) t;"
        " analyze zohosync.api_calls"
    )
    plan = explain("view_journal", {}, run=True, first=quiet)
    pages = sum(plan["Plan"].get(f"Shared {what} Blocks", 0) for what in ("Hit", "Read"))
    assert pages <= 30, plan
