"""A row under a new key that is, beyond doubt, one that vanished under another: it takes its link.

Theory of operation. A row that is given another key looks like one that is gone and one that is
new. Before anything is made for the new one, the records of its kind are looked through for those
that say the same of themselves (`identity_of`) and whose row is not there any more, or is somebody
else's since. One that holds
a link hands it over; one whose write may still land is waited for; two of them, or one that is only
alike, are for a person to say. A row that is there is nobody's namesake: two live rows never share.
Where what is gone is ended in Zoho, its ending waits in turn for every row that says the same and
has no record there yet: it may be the one that takes the link.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import identity_of, somebody_else
from zohosync.core.records import (
    Claim,
    Desired,
    ErrorClass,
    ParentView,
    Payload,
    Problem,
    Ref,
    differing,
)
from zohosync.core.steps import Create, Fail, Find, Inherit, Later, Purpose, Step, Transition, Wait

RENAMED = "renamed"
"""The code of a failure because a vanished row may be this one."""


@dataclass(frozen=True, slots=True)
class Namesake:
    """A record that says the same of itself; `busy`: a write may land; `gone`: its row was away.

    Of a `forgotten` one only its Zoho id is known, and that it did say the same.
    """

    ref: Ref
    zoho_id: str | None
    payload: Payload | None = None
    remote_state: str | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    busy: bool = False
    gone: bool = False
    forgotten: bool = False


def vanished(namesake: Namesake, identity: Payload, row: Desired | None) -> bool:
    """Whether the namesake's row is not there, or its key came back as somebody else."""
    kind = KINDS[namesake.ref.kind]
    return (
        namesake.forgotten
        or row is None
        or (namesake.gone and somebody_else(kind, identity, identity_of(row)))
    )


def tells(kind: Kind, identity: Payload) -> bool:
    """Whether what a row says of itself is enough to look for its former key."""
    named = {*(name for group in kind.somebody for name in group), *kind.namesake}
    return bool(named) and all(identity.get(name) not in (None, "") for name in named)


def would_appear(step: Step) -> bool:
    """Whether the step is to bring a record into being, or to link one, that has no link yet."""
    return isinstance(step, Create) or (
        isinstance(step, Find) and step.purpose in (Purpose.LINK, Purpose.SEED)
    )


def succeed(step: Step, claim: Claim, namesakes: Sequence[Namesake]) -> Step:
    """The step, or what comes before it because its row had another key. Pure.

    `namesakes` have no row any more. Those that a person said it is not are nobody to it.
    """
    kind = KINDS[claim.ref.kind]
    akin = [each for each in namesakes if each.zoho_id not in claim.excluded]
    busy = next((each for each in akin if each.busy), None)
    if busy is not None:
        return Later(f"it may be {busy.ref}, whose write is not settled yet")
    ended = kind.states.ended
    linked = [each for each in akin if each.zoho_id and each.remote_state not in ended]
    if not linked:
        return step
    first = linked[0]
    if len(linked) == 1 and _beyond_doubt(kind, step, first):
        assert first.zoho_id is not None
        return Inherit(
            first.ref, first.zoho_id, first.payload or {}, first.remote_state, first.hints
        )
    who = " and ".join(f"{each.ref} (Zoho {each.zoho_id})" for each in linked)
    return Fail(
        Problem(
            ErrorClass.VALIDATION,
            f"{claim.ref} may be {who} under another key, whose row is gone: say which with "
            f"`zohosync settle {claim.ref.arguments} --link {first.zoho_id}`, or `--new`",
            RENAMED,
            "key",
        )
    )


def naming(kind: Kind, identity: Payload) -> dict[str, str]:
    """The columns of a mapping by which rows of this identity are found, and what those say."""
    columns = {each.field: each.column for each in kind.references if each.within is None}
    return {columns.get(name, name): str(said) for name, said in identity.items()}


def heirs_of(claim: Claim, rows: Iterable[Desired], records: Mapping[Ref, ParentView]) -> list[Ref]:
    """Which of these rows, that say the same, may be this one's under another key. Pure.

    One that is not to be in Zoho, or has a record of its own there, is none.
    """
    ended = KINDS[claim.ref.kind].states.ended
    return sorted(
        row.ref
        for row in rows
        if row.ref != claim.ref and row.eligible and row.state not in ended
        and not (row.ref in records and records[row.ref].zoho_id)
    )  # fmt: skip


def outlived(
    step: Transition, claim: Claim, rows: Sequence[Desired], records: Mapping[Ref, ParentView]
) -> Step:
    """The ending of what is gone here, or what comes before it: a row may take its link. Pure.

    `rows` say the same of themselves as its row did.
    """
    if any(row.ref == claim.ref for row in rows):
        return Later("its row is there again")
    heirs = heirs_of(claim, rows, records)
    if not heirs:
        return step
    what = "says the same and is not in Zoho yet: it may be this one under another key"
    return Wait(heirs[0], frozenset(), f"{heirs[0]} {what}", gone=True)


def _beyond_doubt(kind: Kind, step: Step, namesake: Namesake) -> bool:
    """A number, a name or a reference is; of what has none, all must be as it was."""
    if namesake.forgotten:
        return False
    if kind.somebody or kind.identity == kind.namesake:
        return True
    wanted = step.wanted if isinstance(step, Create) else {}
    return bool(wanted) and differing(wanted, namesake.payload).keys() <= {kind.marker}
