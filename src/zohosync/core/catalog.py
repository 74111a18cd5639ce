"""The kept lists of an organisation (products, plans, taxes): when one serves, what is like a name.

Theory of operation. A list is read from Zoho when somebody names what is no row of ours. What the
kept copy has is taken from it, however old it is, while it is read anew once its time is over.
What it lacks may have been made a minute ago: that is said only of a copy that is young, so an
unknown name costs one look, and none while that look is remembered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from zohosync.core.kind import Kind
from zohosync.core.records import Candidate, Payload, same

REMEMBERED_MAX_S = 900.0
"""How long at the most a name that was looked for in vain is not looked for again."""

SOUGHT_AGAIN_S, SOUGHT_AGAIN_MAX_S = 3_600.0, 86_400.0
"""When it is looked for again with nobody asking; twice as long each time, up to a day."""

INACTIVE = "inactive"
"""The status of what takes nothing new in Zoho."""

NEAR_MAX = 3
"""How many names like the one looked for are told."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The kept list of a kind: fields by Zoho id, and how long ago it was read (None: never).

    `current` is False once a mapping changed.
    """

    rows: Mapping[str, Payload] = field(default_factory=dict)
    age_s: float | None = None
    current: bool = True

    def is_fresh(self, ttl_s: float) -> bool:
        """Whether it was read within that time, under the mappings of today."""
        return self.current and self.age_s is not None and self.age_s < ttl_s


class Need(StrEnum):
    """Whether a copy answers a question."""

    NONE = "none"  # it does
    SOON = "soon"  # it does, and is to be read anew
    NOW = "now"  # it has to be read anew first


def need_of(copy: Copy, *, found: bool, ttl_s: float, misses_ttl_s: float) -> Need:
    """Whether the copy answers, where it has what was asked for (`found`) or has not."""
    if found:
        return Need.NONE if copy.is_fresh(ttl_s) else Need.SOON
    return Need.NONE if copy.is_fresh(min(ttl_s, misses_ttl_s)) else Need.NOW


def is_running_out(copy: Copy, ttl_s: float) -> bool:
    """Whether a copy that is in use should be read anew before its time is over."""
    return copy.age_s is not None and not copy.is_fresh(ttl_s * 0.9)


def remembered_s(looks: int, misses_ttl_s: float) -> float:
    """Seconds for which the last of so many looks in vain is remembered: doubled each time."""
    return min(REMEMBERED_MAX_S, misses_ttl_s * 2.0 ** min(max(0, looks - 1), 20))


def sought_again_s(looks: int) -> float:
    """Seconds until what was looked for in vain so many times is looked for by itself."""
    return min(SOUGHT_AGAIN_MAX_S, SOUGHT_AGAIN_S * 2.0 ** min(max(0, looks - 1), 20))


def matching(copy: Copy, expected: Payload) -> tuple[Candidate, ...]:
    """The records of the list that have exactly these fields and are in use, by id."""
    return tuple(
        Candidate(zoho_id, dict(fields))
        for zoho_id, fields in sorted(copy.rows.items())
        if fields.get("status") != INACTIVE
        and all(same(value, fields.get(name)) for name, value in expected.items())
    )


def kept_of(kind: Kind, fields: Payload) -> Payload:
    """What is kept of a listed record: what a row may say of it, and its status."""
    names = {*kind.columns, *kind.identity, *(one.field for one in kind.references), "status"}
    return {name: fields[name] for name in sorted(names & fields.keys())}


def near(name: str, copy: Copy, column: str, keys: Iterable[str] = ()) -> tuple[str, ...]:
    """What may have been meant by this name, nearest first: of the list, or a key of our rows."""
    labels = {key: key for key in keys}
    for fields in copy.rows.values():
        if fields.get(column):
            shown = str(fields[column])
            idle = fields.get("status") == INACTIVE
            labels[shown] = f"{shown} (inactive in Zoho)" if idle else shown
    plain = {each.casefold(): label for each, label in sorted(labels.items())}
    asked = name.casefold()
    close = get_close_matches(asked, plain, NEAR_MAX, 0.6)
    holds = [each for each in plain if len(asked) > 2 and asked in each]
    return tuple(plain[each] for each in dict.fromkeys([*close, *holds]))[:NEAR_MAX]
