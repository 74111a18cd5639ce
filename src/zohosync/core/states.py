"""How a record moves from status to status: the whole table, as data.

Theory of operation. `records.status` says who moves a record next: time (it has a `due_at`), a
worker (it has a lease), another record (it waits on a parent), or a change of its row or a person
(it rests). Only a worker's attempt judges; everything else gives a record back to be judged, save
a link that compare made: it is taken as it is, and nothing is sent. An open intent is
no status of its own: it is kept beside it, and whatever the status is, the next attempt looks the
write up before anything else. So the table can be read without it, and it holds for every kind
alike.
"""

from dataclasses import dataclass

from zohosync.core.kinds import KINDS
from zohosync.core.records import Status

OPERATIONS = frozenset(
    operation for kind in KINDS.values() for operation in kind.states.moves.values()
)
"""The changes of state that an attempt can make; each is a result of its own."""


@dataclass(frozen=True, slots=True)
class Change:
    """From a status to another: what does it (a query of the store), and when.

    `before` None is a record that is not there yet. `results` are the words of the log that a
    settled attempt leaves; "moved" stands for every operation that changes a state.
    """

    before: Status | None
    after: Status
    by: str
    when: str
    results: frozenset[str] = frozenset()


def _settled(after: Status, when: str, results: str) -> Change:
    return Change(Status.SYNCING, after, "settle_record", when, frozenset(results.split()))


_S = Status
CHANGES: tuple[Change, ...] = (
    Change(None, _S.PENDING, "fold_marks", "a mark names a key for the first time"),
    Change(None, _S.PENDING, "park_parent", "a child waits on a parent that has no record yet"),
    *(
        Change(rested, _S.PENDING, "fold_marks", "its row changed, or somebody asks to retry")
        for rested in (_S.SYNCED, _S.FAILED, _S.SKIPPED)
    ),
    *(
        Change(rested, _S.PENDING, "suspect_parent", "a child was told that Zoho lacks it")
        for rested in (_S.SYNCED, _S.FAILED, _S.SKIPPED)
    ),
    Change(None, _S.PENDING, "hold_records", "compare found what in Zoho may be it"),
    Change(_S.FAILED, _S.PENDING, "release_held", "compare finds nothing any more that may be it"),
    Change(_S.FAILED, _S.PENDING, "free_records", "nothing in Zoho is it, a person said"),
    *(
        Change(before, after, "link_records", f"compare linked it{since}")
        for after, since in ((_S.SYNCED, ""), (_S.PENDING, "; its row changed since"))
        for before in (None, _S.PENDING, _S.RETRYING, _S.FAILED, _S.WAITING, _S.SKIPPED)
        if before not in (after, None if since else _S.SYNCING)
    ),
    *(
        Change(rested, _S.PENDING, "hand_over", "its link went to the row's new key")
        for rested in (_S.SYNCED, _S.RETRYING, _S.FAILED, _S.WAITING, _S.SKIPPED)
    ),
    *(
        Change(left, _S.PENDING, "settle_by_word", "a person's word (`zohosync settle`)")
        for left in (_S.RETRYING, _S.FAILED, _S.WAITING, _S.UNCERTAIN)
    ),
    Change(_S.WAITING, _S.PENDING, "wake_children", "the parent is as it has to be"),
    Change(None, _S.PENDING, "seek_parent", "a child names what may be Zoho's own"),
    *(
        Change(rested, _S.PENDING, "seek_parent", "a child asks anew whether Zoho has it")
        for rested in (_S.WAITING, _S.SKIPPED)
    ),
    *(
        Change(rested, _S.PENDING, "rouse_heir", "what is gone may be this row under another key")
        for rested in (None, _S.SKIPPED, _S.FAILED)
    ),
    Change(_S.WAITING, _S.PENDING, "wake_refused", "its parent is neither here nor in Zoho"),
    Change(_S.FAILED, _S.PENDING, "wake_refused", "the parent that was unknown is not so any more"),
    Change(_S.WAITING, _S.PENDING, "wake_listed", "Zoho's list has it now"),
    *(
        Change(due, _S.SYNCING, "claim_records", "it is due, and a worker takes it")
        for due in (_S.PENDING, _S.RETRYING, _S.WAITING, _S.UNCERTAIN)
    ),
    *(
        Change(_S.SYNCING, after, query, f"{what}, {whether}")
        for query, what in (
            ("rescue_records", "its worker went silent"),
            ("release_worker", "its worker stops"),
        )
        for after, whether in (
            (_S.PENDING, "with nothing under way"),
            (_S.UNCERTAIN, "with a write under way"),
        )
    ),
    _settled(
        _S.SYNCED,
        "Zoho has what the row says",
        "unchanged created updated moved linked adopted",
    ),
    _settled(_S.PENDING, "a further step follows", "created updated moved"),
    _settled(_S.PENDING, "it was found in Zoho, and is compared now", "adopted linked checked"),
    _settled(_S.PENDING, "it takes the link of the row's former key", "inherited"),
    _settled(_S.PENDING, "the write did not happen, and is planned anew", "absent"),
    _settled(_S.PENDING, "no call may leave now: the attempt is given back", "closed throttled"),
    _settled(_S.PENDING, "the credentials are refused: the attempt is given back", "unauthorized"),
    _settled(_S.PENDING, "the parent landed in the same moment", "woken"),
    _settled(
        _S.PENDING,
        "its row changed meanwhile, or a child was told that Zoho lacks it",
        "unchanged created updated moved linked adopted failed skipped",
    ),
    _settled(_S.RETRYING, "it failed in a way that may pass; after a pause", "retrying"),
    _settled(_S.FAILED, "only a change of the row or a person can mend it", "failed"),
    _settled(_S.WAITING, "a parent is missing, or is not as it has to be", "waiting"),
    _settled(_S.WAITING, "Zoho is still to raise it; looked for again later", "waiting"),
    _settled(_S.WAITING, "Zoho lacks what it names: that parent is looked up", "orphaned"),
    _settled(_S.UNCERTAIN, "a write may have happened: looked up at once", "uncertain duplicate"),
    _settled(_S.UNCERTAIN, "not found yet: looked up again, later", "absent"),
    _settled(
        _S.UNCERTAIN, "the look-up could not be made; again, later",
        "uncertain closed throttled unauthorized",
    ),
    _settled(_S.UNCERTAIN, "more than one may be it: for a person", "undecided"),
    _settled(_S.WAITING, "it is neither here nor in Zoho; looked for again later", "waiting"),
    _settled(_S.SKIPPED, "not eligible, or gone here", "skipped"),
    _settled(_S.SKIPPED, "Zoho's own, which a child names and no row does", "linked"),
)  # fmt: skip
"""Every change of status that there is; whatever is not here does not happen."""

MEANING: dict[Status, tuple[str, str]] = {
    _S.PENDING: ("to be brought into step, now or at `due_at`", "time"),
    _S.SYNCING: ("a worker has it, under a lease", "the worker; after the lease, any other"),
    _S.SYNCED: ("Zoho has what the row says", "a change of the row"),
    _S.RETRYING: ("failed in a way that may pass", "time"),
    _S.FAILED: ("says which field and why", "a change of the row, `zohosync retry`, or `settle`"),
    _S.WAITING: ("on a named parent, or for Zoho to raise it", "the parent, or time"),
    _S.UNCERTAIN: (
        "a write may have happened; looked up, never repeated blindly",
        "time; where it is left to a person, `zohosync settle`, or `retry`: looked up again",
    ),
    _S.SKIPPED: ("not eligible, or gone here", "a change of the row"),
}
"""What each status means, and what moves a record out of it."""


def foreseen(before: Status | None, after: Status, result: str | None = None) -> bool:
    """Whether the table knows this change, and that an attempt with this result makes it."""
    word = None if result is None else result.partition(":")[0]
    word = "moved" if word in OPERATIONS else word
    return any(
        change.before == before
        and change.after == after
        and (word is None or word in change.results)
        for change in CHANGES
    )


def as_markdown() -> str:
    """docs/states.md: a diagram, what each status means, and the table."""
    arrows = dict.fromkeys((change.before, change.after) for change in CHANGES)
    words = {
        arrow: dict.fromkeys(
            change.by for change in CHANGES if (change.before, change.after) == arrow
        )
        for arrow in arrows
    }
    diagram = [
        f"  {before or '[*]'} --> {after}: {', '.join(words[before, after])}"
        for before, after in arrows
    ]
    meanings = [f"| `{status}` | {what} | {who} |" for status, (what, who) in MEANING.items()]
    rows = [
        f"| {change.before or 'new'} | {change.after} | `{change.by}` | {change.when} | "
        f"{' '.join(sorted(change.results)) or '-'} |"
        for change in CHANGES
    ]
    theory = (__doc__ or "").partition("Theory of operation. ")[2].strip()
    return "\n".join(
        [
            "# States of a record",
            "",
            "This page is drawn from `core/states.py`; a test holds the two together, and another",
            "drives the decisions at random and finds every change of status in the table.",
            "",
            theory,
            "",
            "```mermaid",
            "stateDiagram-v2",
            *diagram,
            "```",
            "",
            "| status | means | what moves it |",
            "|---|---|---|",
            *meanings,
            "",
            "Each change is made by one query of `store/queries`. An attempt leaves its result in",
            "the log (`sync_logs.result`); *moved* stands for a change of state, by its own name:",
            ", ".join(f"`{operation}`" for operation in sorted(OPERATIONS)) + ".",
            "",
            "| from | to | by | when | results |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
