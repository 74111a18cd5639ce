"""What a person's word does to a record that waits for one: decided before anything is written.

Theory of operation. A word (`same`, `new`, `link`, `absent`, `done`) never says how a record ends:
it mends what is known of the record and gives it back to be judged. So no word makes anything in
Zoho, and an open intent outranks each of them: while the write may still land, nothing is believed
that could lead to a second one, but for a record that shows beyond doubt that it is ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.lines import KEPT, LINE_IDS, kept_of, line_ids, plain_kept, without_line_ids
from zohosync.core.lookups import ours
from zohosync.core.mapping import identity_of, somebody_else
from zohosync.core.plan import BY_HAND, RAISED, REUSED, Policy
from zohosync.core.records import Candidate, Claim, Desired, Payload, Ref, Status, differing, same
from zohosync.core.renames import RENAMED, Namesake
from zohosync.core.settlement import TAKEN, UNKNOWN, Scene
from zohosync.core.steps import Find, Purpose


class Word(StrEnum):
    """What a person can say of a record."""

    SAME = "same"  # the key that came back is the same one after all
    NEW = "new"  # it is none of those that it may be: make it
    LINK = "link"  # that remote record is it
    ABSENT = "absent"  # the write in doubt did not happen
    DONE = "done"  # Zoho was mended by hand: it has what the row says


CODES = (REUSED, BY_HAND, TAKEN, RENAMED)
"""Codes of failures that wait for a word, besides records that Zoho lost."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A record as a word finds it: what a claim would, whether it is held, what it may be."""

    claim: Claim
    leased: bool = False
    rivals: tuple[str, ...] = ()
    error_class: str | None = None
    error_field: str | None = None

    @property
    def now(self) -> datetime:
        """When it was looked at, by the database's clock."""
        return self.claim.claimed_at

    @property
    def missing(self) -> bool:
        """Whether Zoho lost it."""
        return self.claim.zoho_id is not None and self.error_class == "not_found"


@dataclass(frozen=True, slots=True)
class Owner:
    """The record that a Zoho id is linked to; `vanished`: its row is gone and nothing holds it."""

    ref: Ref
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What there is to see: the row as it is now, and for a link what Zoho showed.

    `wanted` is the payload with its parents' ids, `lacking` the parent that is not in Zoho;
    `found` None says that there is no such record in Zoho.
    """

    desired: Desired | None
    wanted: Payload = field(default_factory=dict)
    lacking: Ref | None = None
    marker: str = ""
    marker_field: str | None = None
    policy: Policy = field(default_factory=Policy)
    zoho_id: str | None = None
    found: Candidate | None = None
    owner: Owner | None = None
    namesakes: tuple[Namesake, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of the record from now on; `heir_of` is the vanished one whose link it takes.

    It is due at once. `closes` says that its open intent is over; who the key is, and whether its
    row was gone, stay as they were where they are None.
    """

    word: Word
    zoho_id: str | None
    payload: Payload | None
    remote_state: str | None
    hints: Mapping[str, Any]
    identity: Payload | None
    gone: bool | None
    rivals: tuple[str, ...]
    excluded: frozenset[str]
    closes: bool = False
    heir_of: Ref | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a word does not apply, and what to do instead; nothing is changed."""

    what: str
    next_step: str


def decide(word: Word, standing: Standing, sight: Sight) -> Verdict | Refusal:
    """What the word does, or why it cannot be said of this record now. Pure."""
    ref = standing.claim.ref
    if standing.leased:
        return Refusal(f"{ref} is being worked on just now", "say it again in a few seconds")
    if word is not Word.ABSENT:
        wrong = _row_fault(ref, sight)
        if wrong is not None:
            return wrong
    return _WORDS[word](standing, sight)


def is_reused(standing: Standing, desired: Desired | None) -> bool:
    """Whether the key came back as somebody else, as `plan` judges it."""
    before = standing.claim.gone_identity
    return bool(
        before
        and standing.claim.zoho_id
        and desired is not None
        and somebody_else(KINDS[desired.ref.kind], before, identity_of(desired))
    )


def closed_from(standing: Standing, policy: Policy) -> datetime | None:
    """From when on the open write can no longer land; None when there is none."""
    intent = standing.claim.intent
    if intent is None:
        return None
    return intent.deadline + timedelta(seconds=policy.first_absent_s)


def _row_fault(ref: Ref, sight: Sight) -> Refusal | None:
    """What is wrong with the row, which every word but `absent` speaks of."""
    desired = sight.desired
    if desired is None:
        return Refusal(f"The row of {ref} is not there", "see that the key is the mapping's")
    if not desired.eligible:
        return Refusal(f"The row of {ref} is not eligible", "nothing is to be settled until it is")
    if desired.faults:
        wrong = desired.faults[0].message
        return Refusal(f"The row of {ref} is not right: {wrong}", "mend it first")
    return None


def _kept(word: Word, standing: Standing, sight: Sight, **changes: Any) -> Verdict:
    """All that is known stays known, but for these changes; the row is who it says it is."""
    claim = standing.claim
    known = Verdict(
        word=word,
        zoho_id=claim.zoho_id,
        payload=claim.payload,
        remote_state=claim.remote_state,
        hints=claim.hints,
        identity=identity_of(sight.desired) if sight.desired else None,
        gone=False,
        rivals=standing.rivals,
        excluded=claim.excluded,
    )
    return replace(known, **changes)


def _unlinked(standing: Standing, sight: Sight, others: frozenset[str]) -> Verdict:
    """A fresh start: what was linked, and those others, are never taken for it again."""
    claim = standing.claim
    was = frozenset({claim.zoho_id} if claim.zoho_id else ())
    return _kept(
        Word.NEW, standing, sight, zoho_id=None, payload=None, remote_state=None, hints={},
        rivals=(), excluded=claim.excluded | was | others,
    )  # fmt: skip


def _in_doubt(standing: Standing, sight: Sight) -> Refusal | None:
    """The refusal of a word that an open intent outranks."""
    intent = standing.claim.intent
    if intent is None:
        return None
    ref, until = standing.claim.ref, closed_from(standing, sight.policy)
    return Refusal(
        f"A write of {ref} ({intent.operation}) is still in doubt, and comes first",
        f"wait: it is looked up by itself; or, from {until:%Y-%m-%d %H:%M:%S} UTC on and when you "
        f"have seen that it did not happen, `zohosync settle {ref.arguments} --absent`",
    )


def _same(standing: Standing, sight: Sight) -> Verdict | Refusal:
    if doubt := _in_doubt(standing, sight):
        return doubt
    if not is_reused(standing, sight.desired):
        return _nothing(standing, "its key did not come back as somebody else")
    return _kept(Word.SAME, standing, sight)


def _new(standing: Standing, sight: Sight) -> Verdict | Refusal:
    if doubt := _in_doubt(standing, sight):
        return doubt
    if is_reused(standing, sight.desired):
        return _unlinked(standing, sight, frozenset(standing.rivals))
    if standing.claim.zoho_id is None:
        akin = {each.zoho_id for each in sight.namesakes if each.zoho_id}
        others = frozenset(standing.rivals) | akin
        if others - standing.claim.excluded:
            return _unlinked(standing, sight, others)
    if standing.missing:
        return Refusal(
            f"{standing.claim.ref} is no longer in Zoho, and nobody can tell that from deleted",
            "look for it in Zoho, and say --link ZOHO_ID; else give the row a new key",
        )
    return _nothing(standing, "nothing in Zoho is taken for it that it could be told apart from")


def _nothing(standing: Standing, why: str) -> Refusal:
    claim = standing.claim
    return Refusal(
        f"There is nothing of that to settle of {claim.ref}: it is {claim.status}, and {why}",
        f"zohosync why {claim.ref.arguments}",
    )


def _absent(standing: Standing, sight: Sight) -> Verdict | Refusal:
    claim, intent = standing.claim, standing.claim.intent
    if intent is None:
        return _nothing(standing, "no write of it is in doubt")
    until = closed_from(standing, sight.policy)
    assert until is not None
    if standing.now < until:
        left_s = (until - standing.now).total_seconds()
        return Refusal(
            f"The {intent.operation} of {claim.ref} may still land in Zoho",
            f"look again and say it from {until:%Y-%m-%d %H:%M:%S} UTC on "
            f"(in {left_s / 60:.0f} minutes)",
        )
    return _kept(
        Word.ABSENT, standing, sight, closes=True, payload=_as_far_as_known(claim),
        identity=None, gone=None,
    )  # fmt: skip


def _as_far_as_known(claim: Claim) -> Payload | None:
    """What Zoho has of a change that, by a person's word, did not happen: it is sent once more."""
    intent = claim.intent
    if intent is None or claim.payload is None or claim.zoho_id is None:
        return claim.payload
    sent = without_line_ids(KINDS[claim.ref.kind], intent.payload)
    return {**claim.payload, **dict.fromkeys(differing(sent, claim.payload), UNKNOWN)}


def _done(standing: Standing, sight: Sight) -> Verdict | Refusal:
    claim = standing.claim
    if doubt := _in_doubt(standing, sight):
        return doubt
    if claim.status is not Status.FAILED or claim.zoho_id is None:
        return _nothing(standing, "only what failed and is linked can be mended by hand in Zoho")
    if is_reused(standing, sight.desired):
        return Refusal(f"The key of {claim.ref} was re-used", "say --same or --new")
    if standing.missing:
        return Refusal(f"{claim.ref} is no longer in Zoho", "say --link ZOHO_ID of the one that is")
    if standing.error_field == "total":
        return Refusal(
            f"Zoho reckons another total for {claim.ref}, and only a comparison tells that it is "
            "mended",
            f"mend the row, then zohosync retry {claim.ref.arguments}",
        )
    if sight.lacking is not None:
        return _lacks(claim.ref, sight.lacking)
    assert sight.desired is not None
    state = sight.desired.state or claim.remote_state
    return _kept(Word.DONE, standing, sight, payload=sight.wanted, remote_state=state)


def _lacks(ref: Ref, parent: Ref) -> Refusal:
    return Refusal(
        f"{ref} names {parent}, which is not in Zoho", f"zohosync why {parent.arguments}"
    )


def _link(standing: Standing, sight: Sight) -> Verdict | Refusal:
    claim, ref = standing.claim, standing.claim.ref
    if wrong := _unfit(standing, sight):
        return wrong
    found, desired = sight.found, sight.desired
    assert found is not None
    assert desired is not None
    kind = KINDS[ref.kind]
    heir_of = None
    if sight.owner is not None and sight.owner.ref != ref:
        if not sight.owner.vanished:
            return Refusal(
                f"{kind.singular} {found.zoho_id} in Zoho is linked to {sight.owner.ref} already",
                f"two rows never share one: zohosync why {sight.owner.ref.arguments}",
            )
        heir_of = sight.owner.ref
    was = frozenset({claim.zoho_id} if claim.zoho_id else ())
    hints = {name: found.fields[name] for name in kind.hints if found.fields.get(name)}
    if ids := line_ids(kind, found.fields):
        hints[LINE_IDS] = ids
    if claim.intent is None:  # somebody else made it: what we did not change is said as it is there
        hints[KEPT] = plain_kept(kept_of(kind, found.fields))
    hints |= {RAISED: True} if kind.raises and desired.raised_by == "zoho" else {}
    return _kept(
        Word.LINK, standing, sight,
        zoho_id=found.zoho_id,
        payload=claim.intent.payload if claim.intent else sight.wanted,
        remote_state=kind.states.of(found.fields.get("status")),
        hints=hints, rivals=(), closes=claim.intent is not None, heir_of=heir_of,
        excluded=(claim.excluded | was) - {found.zoho_id},
    )  # fmt: skip


def _unfit(standing: Standing, sight: Sight) -> Refusal | None:
    """Why that remote record cannot be linked to this one."""
    claim, ref = standing.claim, standing.claim.ref
    kind = KINDS[ref.kind]
    if claim.zoho_id is not None and claim.intent is not None:
        return _in_doubt(standing, sight)
    wanting = standing.missing or is_reused(standing, sight.desired)
    if claim.zoho_id is not None and not wanting:
        return _nothing(standing, f"it is linked to {claim.zoho_id}")
    if sight.found is None:
        return Refusal(
            f"Zoho has no {kind.singular} {sight.zoho_id} in this organisation",
            "see that the id is the one in the address of its page in Zoho",
        )
    if claim.zoho_id == sight.found.zoho_id:
        return _nothing(standing, "it is linked to that one")
    until = closed_from(standing, sight.policy)
    if until and standing.now < until and not _is_ours(kind, claim, sight):
        return Refusal(
            f"The create of {ref} may still land in Zoho, and would be a second one beside "
            f"{sight.found.zoho_id}",
            f"say it from {until:%Y-%m-%d %H:%M:%S} UTC on",
        )
    if sight.lacking is not None:
        return _lacks(ref, sight.lacking)
    return _strange(kind, ref, sight)


def _is_ours(kind: Kind, claim: Claim, sight: Sight) -> bool:
    assert claim.intent is not None
    assert sight.found is not None
    step = Find(Purpose.VERIFY, claim.intent.payload, claim.intent.total)
    scene = Scene(claim.claimed_at, sight.policy, sight.marker, sight.marker_field)
    return ours(kind, step, sight.found, scene)


def _strange(kind: Kind, ref: Ref, sight: Sight) -> Refusal | None:
    """What of a remote record no word can make right: whose it is, and what it comes to."""
    found, desired = sight.found, sight.desired
    assert found is not None
    assert desired is not None
    for slot in desired.slots:
        if len(slot.path) != 1:
            continue
        name = slot.path[0]
        here, there = sight.wanted.get(str(name)), found.fields.get(str(name))
        if there is not None and not same(here, there):
            return Refusal(
                f"{kind.singular} {found.zoho_id} in Zoho has {name} {there}, and {slot.parent} "
                f"of {ref} is {here}",
                "it is another one's: look again which is meant",
            )
    total = found.fields.get("total")
    if desired.total is not None and total is not None and not same(desired.total, total):
        return Refusal(
            f"{kind.singular} {found.zoho_id} comes to {total} in Zoho, and {ref} to "
            f"{desired.total} here",
            "mend the row, or link another one",
        )
    return None


_WORDS: Mapping[Word, Callable[[Standing, Sight], Verdict | Refusal]] = {
    Word.SAME: _same,
    Word.NEW: _new,
    Word.LINK: _link,
    Word.ABSENT: _absent,
    Word.DONE: _done,
}
