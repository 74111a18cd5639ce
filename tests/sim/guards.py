"""The must-fail suite as data: each guard, how it is switched off, the case that must notice."""

from collections.abc import Iterator, Mapping

from sim import guard_gaps as gap
from sim import guard_rows as rows
from sim import guard_stories as story
from sim import guard_zoho as zoho
from sim.guard_kit import Case, Setting, told
from sim.guard_off import Guard, entry, name, query, schema, together
from sim.guards_of_books import OF_BOOKS
from sim.guards_of_upkeep import OF_UPKEEP
from zohosync.core import checks, lanes, lookups, outcome
from zohosync.core import plan as core_plan
from zohosync.core.steps import Purpose
from zohosync.engine import gate, worker
from zohosync.store import journal, records
from zohosync.store.database import Database
from zohosync.zoho import client, door
from zohosync.zoho.answers import Page

NO_FILTER = Setting(sandbox={"ignored_filters": ("email",)})
"""A Zoho whose lists do not narrow by e-mail: what nobody has promised."""

FOREVER_S = 1e9


_WRITES = {
    "intent before create": Guard(
        "a write is the record's open intent before it leaves",
        query("open_calls", ("set intent_id = a.call_id", "set intent_id = null")),
        told(story.a_worker_is_killed_before_it_hears),
    ),
    "open intent outranks status": Guard(
        "whether a write happened is found out before anything else is planned",
        name(worker, "plan", gap.blind),
        told(story.a_reply_is_lost),
    ),
    "a mark closes no intent": Guard(
        "a change of the row, or a retry, leaves the doubt open",
        query("fold_marks", ("set version =", "set intent_id = null, version =")),
        told(story.a_row_changes_while_a_write_is_in_doubt),
    ),
    "a rescue closes no intent": Guard(
        "who takes over from a dead worker takes its doubt over, too",
        query("rescue_records", (
            "set status = case when r.intent_id is null then 'pending' else 'uncertain' end,",
            "set status = 'pending', intent_id = null,",
        )),
        told(story.a_worker_is_killed_before_it_hears),
    ),
    "a release closes no intent": Guard(
        "a worker that stops gives its doubt back open",
        query("release_worker", (
            "set status = case when r.intent_id is null then 'pending' else 'uncertain' end,",
            "set status = 'pending', intent_id = null,",
        )),
        told(story.a_worker_stops_with_a_write_in_doubt),
    ),
    "fencing of calls": Guard(
        "a call leaves only under the lease of its claim",
        query(
            "open_calls",
            ("and r.lease_epoch = w.lease_epoch", ""),
            ("and r.lease_until > zohosync.current_time()", ""),
            ("and h.lease_epoch = w.lease_epoch", ""),
        ),
        told(story.a_zombie_sends_what_another_has_sent),
    ),
    "fencing of settlements": Guard(
        "an attempt is settled only under the lease of its claim",
        query(
            "settle_record",
            ("and r.lease_epoch = %(epoch)s and r.lease_until is not null", ""),
        ),
        told(story.a_zombie_settles_while_another_calls),
    ),
    "send deadline": Guard(
        "a first byte leaves within two seconds of its leave, or never",
        name(door._Departure, "leave", gap.leave),
        told(story.a_zombie_wakes_after_its_send_deadline),
    ),
    "time limit of calls": Guard(
        "a call that does not come back is given up",
        together(
            name(gate, "Ticket", gap.ticket_with(time_limit_s=FOREVER_S)),
            name(door, "min", max),
        ),
        told(story.a_call_never_comes_back),
    ),
    "two look-ups": Guard(
        "a record is made anew only after two complete look-ups found nothing",
        entry(lookups._FOUND, Purpose.VERIFY, gap.first_absence),
        told(story.it_is_done_after_our_time_limit),
    ),
    "ten minutes before the first": Guard(
        "the first look-up that counts is ten minutes after the call's deadline",
        gap.hasty_policy(first_absent_s=0.0),
        told(story.it_commits_late_and_is_listed_later_still),
    ),
    "twenty minutes between them": Guard(
        "the second look-up that counts is twenty minutes after the first",
        gap.hasty_policy(second_absent_s=0.0),
        told(story.it_commits_late_and_is_listed_later_still),
    ),
    "exact comparison": Guard(
        "only what is ours beyond doubt is taken for ours",
        name(lookups, "ours", lambda *_: True),
        told(story.a_stranger_has_the_same_address),
    ),
    "marker exact": Guard(
        "a marker is a whole line, not a part of one",
        name(lookups, "marked", lambda text, marker: marker in str(text)),
        told(story.one_key_is_the_beginning_of_another),
    ),
    "pages to the end": Guard(
        "what is not on the first page is not thereby absent",
        name(client, "page_of", lambda *_: Page(more=False, whole=True)),
        told(story.others_fill_the_first_page, NO_FILTER),
    ),
    "torn lists are read again": Guard(
        "a list whose rows moved between its pages proves nothing",
        name(client.Remote, "_list_to_end", gap.once_through),
        told(story.rows_move_between_the_pages, NO_FILTER),
    ),
    "version compared on completion": Guard(
        "what changed during an attempt is not taken for done",
        query(
            "settle_record",
            ("r.version > %(version)s", "false"),
            ("then %(version)s", "then r.version"),
        ),
        told(story.a_row_changes_while_its_write_is_under_way),
    ),
    "marks during a lease count": Guard(
        "a mark that comes during an attempt raises the version",
        query("fold_marks", (
            "version = r.version + excluded.version",
            "version = r.version + case when r.lease_until is null then 1 else 0 end",
        )),
        told(story.a_row_changes_while_its_write_is_under_way),
    ),
    "rescue of dead leases": Guard(
        "what a dead worker held is taken over",
        query("rescue_records", ("where lease_until <", "where false and lease_until <")),
        told(story.a_worker_is_killed_and_not_replaced_at_once),
    ),
}  # fmt: skip


_ZOHO = {
    "journal before send": Guard(
        "every call is counted before it leaves",
        query("open_calls", ("from allowed\n), intended", "from allowed where false\n), intended")),
        told(zoho.more_work_than_fits_in_a_minute, zoho.TEN_A_MINUTE),
    ),
    "a call without an end is counted": Guard(
        "a dead worker's calls hold their places as long as they can arrive",
        query("open_calls", ("=> %(time_limit_s)s + %(minute_s)s)", "=> 0)")),
        told(zoho.a_worker_dies_with_calls_under_way, zoho.TEN_A_MINUTE),
    ),
    "places of the minute": Guard(
        "a place in the minute is held until 60.25 s after the finish, not after the start",
        query("finish_calls", (
            "then zohosync.current_time() + make_interval(secs => %(minute_s)s)",
            "then c.started_at + make_interval(secs => %(minute_s)s)",
        )),
        told(zoho.calls_arrive_long_after_their_start, zoho.TEN_A_MINUTE),
    ),
    "places in flight": Guard(
        "no more calls are under way than Zoho takes at once",
        query(
            "view_journal",
            ("(o.limits ->> 'in_flight')::int", "0"),
            ("case when c.finished_at is not null then", "case when true then"),
        ),
        told(zoho.more_work_than_may_be_in_flight, zoho.TWO_IN_FLIGHT),
    ),
    "half a minute at midnight": Guard(
        "a spent day opens half a minute late, since clocks differ",
        name(journal, "DAY_GUARD_S", 0.0),
        told(zoho.our_midnight_is_before_theirs, zoho.FIVE_A_DAY),
    ),
    "single-flight refresh": Guard(
        "one process refreshes the token, the others wait for it",
        query("token_lease", ("where (kept", "where true or (kept")),
        told(zoho.two_workers_want_a_token_at_once),
    ),
    "mint window": Guard(
        "ten tokens in ten minutes, whoever kills them",
        name(journal, "MINT_WINDOW_S", 0.0),
        told(zoho.tokens_die_every_twenty_seconds),
    ),
    "a 401 is mended once": Guard(
        "a token that died is replaced, and the call is made again",
        name(client, "is_mendable", lambda _: False),
        told(zoho.a_token_dies_before_its_time),
    ),
    "a 429 closes the organisation": Guard(
        "a block costs one call",
        name(gate, "effect_of", gap.not_closed),
        told(zoho.zoho_blocks_us),
    ),
    "a block costs no attempt": Guard(
        "the attempt that met a block is given back",
        name(outcome, "_given_back", gap.charged),
        told(zoho.zoho_blocks_us_again_and_again),
    ),
    "one call after a closing": Guard(
        "a closing is left by one call that finds out, not by a herd",
        name(gate, "choose", gap.as_if_never_closed),
        told(zoho.a_block_ends_and_everybody_waits, zoho.TWO_IN_FLIGHT),
    ),
    "lower lanes are paced": Guard(
        "places come free evenly, so live work never waits for a whole minute",
        name(lanes, "BURST", 1_000),
        told(zoho.people_come_while_a_backfill_runs, zoho.TWENTY_A_MINUTE),
    ),
    "a lane's guaranteed share": Guard(
        "what waits in a lower lane gets its share, however much is live",
        name(lanes._Turn, "_owed_below", lambda *_: 0),
        told(zoho.more_people_than_the_minute_holds, zoho.FIVE_A_MINUTE),
    ),
    "down after five overloads": Guard(
        "a Zoho that answers nothing but errors is left alone",
        gap.never_down(),
        told(zoho.zoho_is_down_for_ten_minutes),
    ),
    "one probe while down": Guard(
        "while Zoho is down, one reading call at a time asks whether it is up again",
        together(
            name(gate, "choose", gap.as_if_up),
            query("claim_records", ("and o.overloads < %(down_after)s", "")),
        ),
        told(zoho.zoho_is_down_for_ten_minutes),
        "asked at the gate and in the claim: each stands in for the other",
    ),
}  # fmt: skip


_ROWS = {
    "children are woken": Guard(
        "whoever waits on a parent is woken by its settlement",
        query("wake_children", ("where p.org_id", "where false and p.org_id")),
        told(rows.a_child_waits_on_its_parent),
    ),
    "no lost wake-up": Guard(
        "a child looks at its parent once more in the moment in which it parks",
        name(records.Records, "_park", gap.parked_blindly),
        told(rows.a_parent_lands_while_its_child_parks),
    ),
    "parents first": Guard(
        "a child waits until its parent is in the state that it needs",
        name(core_plan, "_waits_on", gap.any_state),
        told(rows.a_payment_comes_before_its_invoice_is_open),
    ),
    "row security is an error": Guard(
        "rows that a policy hides are not taken for gone",
        name(Database, "transaction", gap.transaction),
        told(rows.row_security_hides_the_rows),
    ),
    "a key that is somebody else": Guard(
        "a key that comes back as somebody else does not get the other's record",
        name(core_plan, "somebody_else", lambda *_: False),
        told(rows.a_key_comes_back_as_somebody_else),
    ),
    "locked fields": Guard(
        "what is issued is not changed",
        gap.kinds(core_plan, "invoices", locked={}),
        told(rows.an_issued_invoice_changes_here),
    ),
    "total compared before opening": Guard(
        "an invoice that Zoho sums up otherwise stays a draft",
        name(outcome, "_accepted", gap.whatever_total),
        told(rows.our_total_is_not_theirs),
    ),
    "due date in every PUT": Guard(
        "an update of an invoice does not move its due date",
        gap.kinds(core_plan, "invoices", always=("customer_id", "invoice_items")),
        told(rows.only_the_terms_of_an_invoice_change),
    ),
    "pause after five lost records": Guard(
        "five records that Zoho has lost pause the organisation",
        name(worker, "too_many_missing", lambda _: None),
        told(rows.zoho_has_lost_our_customers),
    ),
    "the debounce's trailing edge": Guard(
        "a change within the debounce is carried when that is over",
        query("fold_marks", ("then r.success_at + %(debounce)s", "then null::timestamptz")),
        told(rows.a_row_changes_again_within_the_debounce),
    ),
    "the debounce": Guard(
        "twenty changes in a row are one call",
        query("fold_marks", ("r.status = 'synced' and excluded.priority = 5", "false")),
        told(rows.a_row_changes_twenty_times_in_a_row),
    ),
    "a database error ends no worker": Guard(
        "a worker outlives what its database does",
        name(worker, "DatabaseError", gap.NeverError),
        told(rows.the_database_fails_while_work_is_claimed),
    ),
    "a linked record is nobody else's": Guard(
        "what is linked to another record is no candidate",
        name(lookups, "_owner", lambda *_: None),
        told(rows.two_invoices_look_alike_and_one_is_linked),
    ),
    "one record per Zoho id": Guard(
        "two records never share one in Zoho, even when both find it at once",
        schema(
            "drop index zohosync.records_one_per_zoho_id",
            "create unique index records_one_per_zoho_id on zohosync.records "
            "(org_id, kind, zoho_id) where zoho_id is not null",
        ),
        told(rows.two_rows_fit_one_invoice),
    ),
    "no high-water mark": Guard(
        "marks are folded because they are there, not because their number is new",
        together(
            schema(
                "create sequence folded_up_to minvalue 0 start 0; "
                "grant all on sequence folded_up_to to public",
                "drop sequence folded_up_to",
            ),
            query(
                "fold_marks",
                (
                    "order by mark_id limit",
                    "and mark_id > (select last_value from folded_up_to) order by mark_id limit",
                ),
                (
                    "select (select count(*) from taken)",
                    """select (select count(*) + coalesce(0 * setval('folded_up_to', max(mark_id)),
                                                          0) from taken)""",
                ),
            ),
        ),
        told(rows.a_mark_commits_after_a_younger_one),
    ),
    "folding passes by what is held": Guard(
        "a mark that somebody has locked holds up no other",
        query("fold_marks", ("for update skip locked", "for update nowait")),  # the limit, at once
        told(rows.somebody_holds_a_mark),
    ),
    "leases run on": Guard(
        "a slow call is not taken for a dead worker",
        query("extend_leases", ("and r.lease_epoch = mine.epoch", "and false")),
        told(story.a_call_takes_longer_than_a_lease),
        "it costs calls, never a double: the next one looks first",
    ),
    "a payment's reference is its own": Guard(
        "two payments with one reference are told of before the first call",
        gap.kinds(checks, "payments", unique=()),
        Case("two payments with one reference are checked", rows.checked),
    ),
    "each claim has an epoch of its own": Guard(
        "a zombie's epoch is nobody's any more",
        together(
            query("claim_records", ("lease_epoch = r.lease_epoch + 1,", "")),
            query("rescue_records", (",\nlease_epoch = r.lease_epoch + 1", "")),
        ),
        told(story.a_zombie_calls_while_another_calls),
        "raised by the rescue and by the next claim: each stands in for the other",
    ),
}  # fmt: skip

GUARDS: Mapping[str, Guard] = {**_WRITES, **_ZOHO, **_ROWS, **OF_BOOKS, **OF_UPKEEP}


def table() -> Iterator[str]:
    """The guards as a table for docs/reliability.md: what each protects, and the case."""
    yield "| guard | what it protects | the case that notices |"
    yield "|---|---|---|"
    for title, guard in GUARDS.items():
        note = f" ({guard.note})" if guard.note else ""
        yield f"| {title} | {guard.protects}{note} | {guard.case.name} |"
