"""Which row here and which record in Zoho are one, and how they differ; from both lists alone.

Theory of operation. Both sides are told by names: the values of a group of fields (an e-mail; a
number; a customer and a plan), letter case and spaces aside. A row and a record are one beyond
doubt when one of these says so, strongest first: the link that there is; the mapping's own
`zoho_id`, where some name bears it out; a name that occurs once here and once there. A name that
occurs more than once, or that only resembles, proposes and decides nothing: such a row is left to a
person, and nothing is made for it meanwhile. No record is ever given to two rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.records import Desired, Payload, canonical, same

NAMED_MAX = 10  # candidates that a verdict names

BLIND = "blind"
"""Stands in a record whose list tells something by a name that is no one's, or several ones'."""

PARENT = "a parent may be in Zoho already: settle that one, then compare again"
"""Why a row is held whose parent is itself in doubt."""

Name = tuple[Any, ...]
Names = tuple[bytes | None, ...]
"""One name by each group of fields, as a digest: a company has tens of thousands of them."""


class Sort(StrEnum):
    """How a row here and a record there stand to each other."""

    LINKED = "linked"
    DIFFERS = "differs"
    MATCHES = "matches"
    AMBIGUOUS = "ambiguous"
    ONLY_HERE = "only here"
    ONLY_THERE = "only there"
    DOUBLE = "double"


@dataclass(frozen=True, slots=True)
class Here:
    """A row of the mapping, as far as it takes to find its record.

    `names` are by the kind's `match`, `likes` by its `resemble`; `found_only`: Zoho makes these, so
    what resembles is enough; `makes`: were it not there, it would be made. `linked` and `seed` are
    Zoho ids, `excluded` those that a person said it is not. `parents` are records in Zoho that its
    parents may be, which nobody has settled yet; `ended` says that its row asks for no live one.
    """

    key: str
    names: Names = ()
    likes: Names = ()
    agree: Name = ()
    linked: str | None = None
    seed: str | None = None
    found_only: bool = False
    makes: bool = True
    excluded: frozenset[str] = frozenset()
    parents: tuple[str, ...] = ()
    ended: bool = False


@dataclass(frozen=True, slots=True)
class There:
    """A record of Zoho's list; of two that are one, the one with the least `weight` is kept."""

    zoho_id: str
    names: Names = ()
    likes: Names = ()
    agree: Name = ()
    ended: bool = False
    weight: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a row (`key`) or what is only there (None) was sorted; `zoho_id` is beyond doubt."""

    sort: Sort
    key: str | None = None
    zoho_id: str | None = None
    candidates: tuple[str, ...] = ()
    reason: str | None = None


def name_of(fields: Mapping[str, Any], group: Sequence[str]) -> Name | None:
    """The values of these (dotted) fields in the form in which they are compared; None: one lacks.

    Texts are compared without regard to case and to spaces around them.
    """
    name = []
    for path in group:
        value: Any = fields
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            value = " ".join(value.split()).casefold()
        if value in (None, ""):
            return None
        name.append(canonical(value))
    return tuple(name)


def digest_of(fields: Mapping[str, Any], group: Sequence[str]) -> bytes | None:
    """The name of `name_of`, short; None where that is."""
    name = name_of(fields, group)
    return None if name is None else blake2b(repr(name).encode(), digest_size=12).digest()


def agreement_of(kind: Kind, fields: Mapping[str, Any]) -> Name:
    """The values that two must not contradict each other in, None where one is not known."""
    return tuple(next(iter(name_of(fields, (each,)) or ()), None) for each in kind.agree)


def here_of(
    kind: Kind,
    desired: Desired,
    wanted: Payload,
    *,
    linked: str | None,
    live: bool,
    excluded: frozenset[str] = frozenset(),
    parents: tuple[str, ...] = (),
) -> Here:
    """A row with its parents' ids in `wanted`, as the sorting needs it; `live`: seeds count."""
    fields = {**wanted, "total": desired.total, BLIND: True}
    return Here(
        desired.ref.key,
        tuple(digest_of(fields, group) for group in kind.match),
        tuple(digest_of(fields, group) for group in kind.resemble),
        agreement_of(kind, fields),
        linked,
        desired.seed_id if live else None,
        desired.raised_by == "zoho",
        desired.eligible
        and desired.raised_by == "us"
        and not desired.faults
        and desired.state not in kind.states.ended,
        excluded,
        parents,
        desired.state in kind.states.ended,
    )


def there_of(kind: Kind, zoho_id: str, fields: Payload) -> There:
    """A record of a list, in the spellings that we write, as the sorting needs it."""
    owed = sum(1 for name in ("outstanding", "unused_credits") if fields.get(name))
    money = bool(owed) or not same(fields.get("balance", 0), fields.get("total", 0))
    return There(
        zoho_id,
        tuple(digest_of(fields, group) for group in kind.match),
        tuple(digest_of(fields, group) for group in kind.resemble),
        agreement_of(kind, fields),
        kind.states.of(fields.get("status")) in kind.states.ended,
        (not money, str(fields.get("created_time") or "~"), zoho_id),
    )


def lacks(heres: Iterable[Here], verdicts: Iterable[Verdict]) -> bool:
    """Whether a row would be made for lack of a record: then no record may have been overlooked."""
    makes = {here.key for here in heres if here.makes and here.linked is None}
    return any(verdict.sort is Sort.ONLY_HERE and verdict.key in makes for verdict in verdicts)


@dataclass(slots=True)
class _Board:
    """Who has a name on either side, and what is decided so far."""

    kind: Kind
    heres: Mapping[str, Here]
    theres: Mapping[str, There]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)  # Zoho id → key

    def give(self, key: str, zoho_id: str, sort: Sort, reason: str | None = None) -> None:
        self.given[zoho_id] = key
        self.verdicts[key] = Verdict(sort, key, zoho_id, reason=reason)

    def doubt(self, key: str, candidates: Iterable[str], reason: str) -> None:
        named = tuple(sorted(candidates))[:NAMED_MAX]
        self.verdicts[key] = Verdict(Sort.AMBIGUOUS, key, None, named, reason)

    def left(self) -> list[Here]:
        return [here for key, here in self.heres.items() if key not in self.verdicts]


def sort_out(kind: Kind, heres: Iterable[Here], theres: Iterable[There]) -> list[Verdict]:
    """Every row, and every record that is no row's: rows first, in their order. Pure.

    A `zoho_id` stands in one verdict at the most, and never beside `candidates` that hold it.
    A pair that was not linked is MATCHES; whether its fields differ is asked elsewhere.
    """
    board = _Board(
        kind, {here.key: here for here in heres}, {there.zoho_id: there for there in theres}
    )
    _by_links(board)
    _by_seeds(board)
    for place in range(len(kind.match)):
        _by_name(board, "names", place, sure=True)
    for place in range(len(kind.resemble)):
        _by_name(board, "likes", place, sure=False)
    for here in board.left():
        board.verdicts[here.key] = Verdict(Sort.ONLY_HERE, here.key)
        if here.parents:
            board.doubt(here.key, here.parents, PARENT)
    _by_twins(board)
    held = {each for verdict in board.verdicts.values() for each in verdict.candidates}
    return [board.verdicts[key] for key in board.heres] + [
        verdict
        for verdict in _only_there(board, held)
        if verdict.zoho_id not in held  # a candidate stands with its row
    ]


def _by_links(board: _Board) -> None:
    for key, here in board.heres.items():
        if here.linked is None:
            continue
        reason = None
        if here.linked not in board.theres:
            reason = f"Zoho does not list {board.kind.singular} {here.linked} (any more)"
        board.give(key, here.linked, Sort.ONLY_HERE if reason else Sort.LINKED, reason)


def _by_seeds(board: _Board) -> None:
    """The mapping's own ids: verified, never trusted."""
    seeds = Counter(here.seed for here in board.left() if here.seed)
    for here in board.left():
        if here.seed is None:
            continue
        there, what = board.theres.get(here.seed), f"zoho_id {here.seed} of the mapping"
        if there is None:
            reason = f"{what} is no {board.kind.singular} of this organisation"
        elif seeds[here.seed] > 1:
            reason = f"{what} stands at {seeds[here.seed]} rows"
        elif here.seed in board.given:
            reason = f"{what} is linked to {board.given[here.seed]} already"
        elif here.seed in here.excluded or not borne_out(here, there):
            reason = f"{what} is somebody else in Zoho"
        else:
            board.give(here.key, here.seed, Sort.MATCHES, "the mapping's zoho_id")
            continue
        alike = [other.zoho_id for other in board.theres.values() if _shares(here, other)]
        named = {*alike, here.seed} & board.theres.keys() - board.given.keys()
        board.doubt(here.key, named, reason)


def _shares(here: Here, there: There) -> bool:
    """Whether they have a name in common."""
    ours, theirs = (*here.names, *here.likes), (*there.names, *there.likes)
    return any(one is not None and one == other for one, other in zip(ours, theirs, strict=True))


def borne_out(here: Here, there: There) -> bool:
    """Whether a name says that they are one, and nothing contradicts it."""
    return agree(here, there) and _shares(here, there)


def agree(here: Here, there: There) -> bool:
    """Whether nothing says that they are two."""
    return here.ended == there.ended and all(
        one is None or other is None or one == other
        for one, other in zip(here.agree, there.agree, strict=True)
    )


def _by_name(board: _Board, names: str, place: int, *, sure: bool) -> None:
    """Pair by one group of fields; what it cannot decide and yet proposes is in doubt."""
    words = " and ".join((board.kind.match if sure else board.kind.resemble)[place])
    at_home = Counter(getattr(here, names)[place] for here in board.heres.values())
    out_there: dict[bytes | None, list[str]] = {}
    for there in board.theres.values():
        name = getattr(there, names)[place]
        if name in at_home and name is not None:
            out_there.setdefault(name, []).append(there.zoho_id)
    decided = []
    for here in board.left():
        name = getattr(here, names)[place]
        named = [each for each in out_there.get(name, ()) if each not in here.excluded]
        free = [each for each in named if each not in board.given]
        if name is None or not free:
            continue
        decided.append((here, at_home[name], len(named), free))
    for here, here_count, there_count, free in decided:
        there = board.theres[free[0]]
        alone = here_count == there_count == 1
        unsure = None in here.agree[:1]  # whose it is here, nobody knows yet
        if alone and not agree(here, there):
            board.doubt(here.key, free, _contradiction(board.kind, here, there, words))
        elif alone and unsure:
            board.doubt(here.key, free, f"the same {words}, but whose it is here is not settled")
        elif alone and (sure or here.found_only):
            board.give(here.key, there.zoho_id, Sort.MATCHES, f"by {words}")
        elif alone:
            board.doubt(here.key, free, f"the same {words}: that alone proves nothing")
        else:
            many = f"{here_count} here and {there_count} in Zoho"
            board.doubt(here.key, free, f"{many} have the same {words}")


def _contradiction(kind: Kind, here: Here, there: There, words: str) -> str:
    apart = [
        f"{name} {one} here and {other} in Zoho"
        for name, one, other in zip(kind.agree, here.agree, there.agree, strict=True)
        if None not in (one, other) and one != other
    ]
    if here.ended != there.ended:
        apart.append("only one of them has ended")
    return f"the same {words}, but {'; '.join(apart)}"


def _by_twins(board: _Board) -> None:
    """Rows whose record is there twice: which of them to keep, and why. Nobody acts on it."""
    for group in twins(board.theres.values()):
        owners = {
            key for key, verdict in board.verdicts.items()
            if verdict.zoho_id in group or set(verdict.candidates) & set(group)
        } if len(group) > 1 else set()  # fmt: skip
        if len(owners) != 1:
            continue
        (key,) = owners
        linked, own = board.heres[key].linked, board.verdicts[key].zoho_id
        if not board.heres[key].excluded.isdisjoint(group):
            continue
        kept, why = keep_of([board.theres[each] for each in group], linked)
        if kept != linked and own in group:
            kept, why = own, "it is this row's own"
        others = tuple(each for each in group if each != kept)
        sure = board.verdicts[key].zoho_id == kept
        board.verdicts[key] = replace(
            board.verdicts[key],
            sort=Sort.DOUBLE,
            candidates=others if sure else (kept, *others),
            reason=f"{len(group)} in Zoho are this one; keep {kept}: {why}",
        )


def twins(theres: Iterable[There]) -> list[tuple[str, ...]]:
    """Groups of records that are one and the same by the strongest name and all that resembles."""
    known = [(_whole(there), there.zoho_id) for there in theres]
    counts = Counter(whole for whole, _ in known)
    groups: dict[Any, list[str]] = defaultdict(list)
    for whole, zoho_id in known:
        if whole is not None and counts[whole] > 1:
            groups[whole].append(zoho_id)
    return [tuple(sorted(group)) for group in groups.values()]


def _whole(there: There) -> Names | None:
    if not there.names or there.names[0] is None:
        return None
    return (there.names[0], *(like for like in there.likes if like is not None))


def keep_of(group: Sequence[There], linked: str | None) -> tuple[str, str]:
    """Which of several that are one is kept, and why."""
    if linked in {there.zoho_id for there in group}:
        assert linked is not None
        return linked, "it is the linked one"
    best = min(group, key=lambda there: there.weight)
    why = "it is the oldest" if best.weight and best.weight[0] else "money hangs on it"
    return best.zoho_id, why


def _only_there(board: _Board, held: Iterable[str]) -> Iterable[Verdict]:
    """The records that are no row's."""
    taken = {*board.given, *held}
    doubled = {
        each: group
        for group in twins(board.theres.values())
        for each in group
        if taken.isdisjoint(group)
    }
    for zoho_id in board.theres:
        if zoho_id in taken:
            continue
        group = doubled.get(zoho_id)
        if group is None:
            yield Verdict(Sort.ONLY_THERE, None, zoho_id)
            continue
        kept, why = keep_of([board.theres[each] for each in group], None)
        others = tuple(each for each in group if each != zoho_id)
        reason = f"{len(group)} in Zoho are one; keep {kept}: {why}"
        yield Verdict(Sort.DOUBLE, None, zoho_id, others, reason)


def shifted(before: Sequence[str], page: Sequence[str], again: Sequence[str]) -> bool:
    """Whether a page repeats rows only because new ones came in at the head of the list.

    Then it begins with the end of the page before. Rows that come again elsewhere tell that the
    list was put in another order while it was read, so that others were missed.
    """
    count = len(again)
    return list(page[:count]) == list(again) == list(before[len(before) - count :])
