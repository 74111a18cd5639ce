"""What a sweep finds: which records to mark, and what would change in Zoho, record by record."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.records import Claim, Desired, Payload, Ref, Status
from zohosync.core.steps import Nothing, Skip, Step, Transition, Update, planned_operation
from zohosync.core.worth import of_lines, priced

MOVING = frozenset({Status.PENDING, Status.SYNCING, Status.RETRYING, Status.UNCERTAIN})
"""Statuses in which a record reads its row again by itself: a mark would tell it nothing."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would happen to a record that is in Zoho: `ends` says that it would be closed."""

    ref: Ref
    zoho_id: str
    what: str
    ends: bool
    worth: Decimal | None = None
    fields: tuple[str, ...] = ()


def foresee(
    desired: Desired | None, claim: Claim, step: Step, target: str | None
) -> Foreseen | None:
    """What this step, and those that follow from it, would change in Zoho of a linked record.

    `target` is the state that a record of its kind is moved to when its row is gone.
    """
    if not isinstance(step, Update | Transition):
        return None
    kind = KINDS[claim.ref.kind]
    here = claim.remote_state or kind.states.initial
    left = desired is None or not desired.eligible
    there = target if left else desired.state if desired else None
    ends = there in kind.states.closing and here != there
    fields = tuple(sorted(step.fields)) if isinstance(step, Update) else ()
    return Foreseen(
        claim.ref,
        step.zoho_id,
        f"becomes {there}" if ends else planned_operation(step),
        ends,
        worth_of(kind, claim.payload or {}, desired.total if desired else None),
        fields,
    )


def worth_of(kind: Kind, payload: Payload, total: Decimal | None = None) -> Decimal | None:
    """What a record comes to: the total that its row says, else by its fields; None: not known."""
    if total is not None or kind.worth is None:
        return total
    known = of_lines if kind.worth.lines else priced
    return known(kind.worth, payload)


@dataclass(slots=True)
class Survey:
    """What a whole mapping says, beside what was last judged of its records.

    `marks` are the keys to mark, `changes` what would change of records that are in Zoho, `found`
    how many rows differ, by what is different about them.
    """

    kind: str
    rows: int = 0
    marks: list[str] = field(default_factory=list)
    changes: list[Foreseen] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)

    @property
    def endings(self) -> list[Foreseen]:
        """The records that would be closed."""
        return [change for change in self.changes if change.ends]

    @property
    def words(self) -> str:
        """The survey in one line."""
        found = ", ".join(f"{number:,} {what}" for what, number in sorted(self.found.items()))
        return f"{self.kind}: {self.rows:,} rows, {found or 'nothing differs'}"

    def take(
        self, desired: Desired | None, claim: Claim | None, step: Step, target: str | None
    ) -> None:
        """Take a row that differs, or a record whose row is gone; `step` is what a worker would do.

        `target` is as for `foresee`.
        """
        if claim is not None:
            change = foresee(desired, claim, step, target)
            if change is not None:
                self.changes.append(change)
        if _is_news(claim, step):
            ref = claim.ref if claim else desired.ref if desired else None
            if ref is not None:
                self.marks.append(ref.key)
                self.found["gone" if desired is None else "changed" if claim else "new"] += 1

    def take_double(self, key: str) -> None:
        """Take a key that the mapping returned once more than it may: its record will say so."""
        self.marks.append(key)
        self.found["more than once"] += 1


def _is_news(claim: Claim | None, step: Step) -> bool:
    """Whether a mark would tell anything to a record that differs from what was last judged."""
    if claim is None:
        return not isinstance(step, Skip)
    if claim.status in MOVING:
        return False
    if claim.status is Status.SYNCED:
        return not isinstance(step, Nothing)
    return not (claim.status is Status.SKIPPED and isinstance(step, Skip))


def sum_of(changes: Iterable[Foreseen]) -> Decimal | None:
    """The money of all whose worth is known; None where none is."""
    known = [change.worth for change in changes if change.worth is not None]
    return sum(known, Decimal(0)) if known else None
