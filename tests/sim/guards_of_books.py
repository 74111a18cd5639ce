"""The guards of a company's real books: compare, link, the brake, and a person's word."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sim import guard_books as books
from sim.guard_kit import told
from sim.guard_off import Guard, name, query
from zohosync.core import settling
from zohosync.core.compare import Here
from zohosync.core.pairs import Row, linked_row
from zohosync.core.plan import Policy, plan
from zohosync.core.records import Claim, Payload
from zohosync.core.steps import Step
from zohosync.engine import comparing, sentinel, sweep, worker
from zohosync.engine.joined import here_in
from zohosync.store import comparisons


def _unrivalled(desired: Any, claim: Claim, parents: Any, policy: Policy) -> Step:
    return plan(desired, replace(claim, rivals=()), parents, policy)


def _as_zoho_has_it(row: Row, zoho_id: str, there: Payload, now: datetime) -> dict[str, Any]:
    told_ = linked_row(row, zoho_id, there, now)
    return {**told_, "payload": {**told_["payload"], **there}, "asked": None}


def _as_if_settled(row: Row, *, live: bool) -> Here:
    return replace(here_in(row, live=live), parents=())


def _as_if_nobody_spoke(row: Row, *, live: bool) -> Here:
    return replace(here_in(row, live=live), excluded=frozenset())


async def _nothing_is_held(*_: Any) -> list[str]:
    return []


OF_BOOKS: Mapping[str, Guard] = {
    "the brake counts endings": Guard(
        "no more than twenty records of a kind end within an hour before a person has looked",
        query("view_endings", ("coalesce(l.lately, 0)::int as lately", "0 as lately")),
        told(books.twelve_people_are_closed_at_once, books.FEW),
    ),
    "the brake counts a mapping's changes": Guard(
        "an edit of a mapping changes no more than a hundred records before a person has looked",
        name(sweep, "too_many_updates", lambda *_: None),
        told(books.a_mapping_edit_would_change_twelve_people, books.FEW),
    ),
    "an ending waits for an heir": Guard(
        "a row that is given another key is not taken for gone, and ended in Zoho",
        name(worker, "outlived", lambda step, *_: step),
        told(books.everybody_is_given_another_key, books.GONE),
    ),
    "what may be there is not made": Guard(
        "nothing is made for a row that may be in Zoho already",
        name(worker, "plan", _unrivalled),
        told(books.a_row_may_be_in_zoho_already),
    ),
    "fencing of comparisons": Guard(
        "who was taken over keeps no verdict, and lets nothing go",
        query("touch_comparison", ("and busy_by = %(who)s and finished_at is null", "")),
        told(books.a_zombie_compares_what_another_has_compared),
    ),
    "a list is read twice": Guard(
        "what slipped from a list while it was read is not thereby absent",
        name(comparing, "lacks", lambda *_: False),
        told(books.a_row_slips_from_the_list),
    ),
    "a link is looked at again": Guard(
        "a row that is somebody else by now is not linked",
        name(comparing.Comparer, "_still", lambda *_, **__: True),
        told(books.a_row_becomes_somebody_else_before_it_is_linked),
    ),
    "a link's baseline": Guard(
        "what is linked is not sent before its row changes",
        name(comparing, "linked_row", _as_zoho_has_it),
        told(books.a_linked_row_is_written_again_as_it_is),
    ),
    "a link wakes who waits": Guard(
        "what waited for a row is due once that row is linked",
        name(comparisons, "wakes", lambda *_: []),
        told(books.a_service_waits_for_whom_compare_links),
    ),
    "a child of what is in doubt": Guard(
        "nothing is made for a row whose parent may be in Zoho already, and its records with it",
        name(comparing, "here_in", _as_if_settled),
        told(books.a_child_is_compared_while_its_parent_is_in_doubt),
    ),
    "what is held for nothing is looked at": Guard(
        "what a record may be in Zoho is compared anew once that is settled",
        name(sentinel.Sentinel, "_stale", _nothing_is_held),
        told(books.a_person_says_who_it_is_and_nobody_compares_again, books.NIGHTS),
    ),
    "what a person said it is not": Guard(
        "a record that a person set aside is no candidate ever again",
        name(comparing, "here_in", _as_if_nobody_spoke),
        told(books.a_person_says_that_it_is_none_of_them),
    ),
    "a word comes after an open intent": Guard(
        "nobody says that a record is to be made anew while a create of it is in doubt",
        name(settling, "_in_doubt", lambda *_: None),
        told(books.a_person_says_new_while_its_create_is_in_doubt),
    ),
}
