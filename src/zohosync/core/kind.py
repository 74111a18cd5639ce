"""What a kind of record is made of: its references, its states, and its rules."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zohosync.core.records import NORMAL
from zohosync.core.worth import Worth


@dataclass(frozen=True, slots=True)
class Reference:
    """A column of a mapping that names a parent by its key.

    `within` is the list whose items carry the column; `field` is the dotted place of the
    parent's Zoho id in the payload (or in the item). A reference with a `fallback` names the
    parent `fallback_prefix + value of the fallback column` where its own column is empty.
    """

    column: str
    kind: str
    field: str
    within: str | None = None
    required: bool = True
    sent: bool = True
    needs: frozenset[str] = frozenset()
    prefix: str = ""
    fallback: str | None = None
    fallback_prefix: str = ""


@dataclass(frozen=True, slots=True)
class States:
    """The states that a mapping may ask for, what Zoho calls them, and the moves between them.

    A move into a `closing` state ends something: the brake counts it. `when_gone` are the words
    for what may be done with a record whose row is gone, and the state that each leads to.
    """

    initial: str
    remote: Mapping[str, str]
    moves: Mapping[tuple[str, str], str] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()
    when_gone: Mapping[str, str] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)

    def of(self, remote_status: Any) -> str:
        """Our word for the status that Zoho reports; the initial state where it reports none."""
        return self.remote.get(str(remote_status or "").lower(), self.initial)

    def names(self) -> frozenset[str]:
        """Every state that a mapping may name."""
        return frozenset({self.initial, *self.remote.values(), *self.ended})

    def next_move(self, here: str, there: str) -> tuple[str, str] | None:
        """The first move on the shortest way: (operation, state reached), or None."""
        ways: deque[tuple[str, tuple[str, str] | None]] = deque([(here, None)])
        seen = {here}
        while ways:
            at, first = ways.popleft()
            if at == there:
                return first
            for (source, target), operation in self.moves.items():
                if source == at and target not in seen:
                    seen.add(target)
                    ways.append((target, first or (operation, target)))
        return None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of record.

    `marker` is the field that carries `zs:<installation>:<key>`; `somebody` are groups of fields
    that, when all of a group differ, tell that a key came back as somebody else; `namesake` are
    what else a row under a new key must share with one that vanished to be the same (a number of
    its own, or what it is for); `identity` are
    the fields that must be equal for a remote record to be ours, `near_identity` those of one that
    Zoho raised (found within `near_days`, by a row that has `near_required`); `always` are sent
    with every update because a PUT demands them; `locked` names, per state in Zoho (`*` = any),
    the fields that may not change; `lines` is the list that a PUT replaces, whose items keep their
    `line_id` and are the same when their `line_identity` is; `link_only` records are found in
    Zoho, never made. `match` are groups of fields by which a row and a record that were made apart
    are known to be one, strongest first, where the fields of `agree` do not say otherwise;
    `resemble` are groups that only propose it; `told_by` is how people know one. Of a `listed` kind
    Zoho's own records may be named where no row has that key, by the first field of `identity`:
    the organisation's list of them is kept. `guide_batch` is a
    backfill's batch under the guide's plan, and its pause in seconds. `worth` says where its money
    stands.
    """

    name: str
    singular: str
    id_field: str
    states: States
    required: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    marker: str | None = None
    marker_is_whole: bool = False
    identity: tuple[str, ...] = ()
    near_days: int = 0
    near_identity: tuple[str, ...] = ()
    near_required: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    always: tuple[str, ...] = ()
    locked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lock_advice: str = "change it back, or change it by hand in Zoho"
    hints: tuple[str, ...] = ()
    hint_for: str | None = None
    lines: str | None = None
    line_identity: tuple[str, ...] = ()
    line_id: str = ""
    money: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    raises: bool = False
    unique: tuple[str, ...] = ()
    somebody: tuple[tuple[str, ...], ...] = ()
    namesake: tuple[str, ...] = ()
    match: tuple[tuple[str, ...], ...] = ()
    resemble: tuple[tuple[str, ...], ...] = ()
    agree: tuple[str, ...] = ()
    told_by: tuple[str, ...] = ()
    internal: bool = False
    link_only: bool = False
    listed: bool = False
    new_priority: int = NORMAL
    guide_batch: tuple[int, float] | None = None
    worth: Worth | None = None
