"""What is wrong with a mapping: its columns, its rows, and how the database reads it."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import column_names
from zohosync.core.records import Desired, Ref, Slot

FLOATS = frozenset({"real", "double precision"})
UNSENDABLE = frozenset({"bytea", "interval", "time without time zone", "time with time zone"})
NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric"})
DATES = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
LISTS = frozenset({"json", "jsonb"})
TRUTHS = frozenset({"boolean"})
NO_TEXT = frozenset({*LISTS, *DATES, *TRUTHS, *FLOATS, *UNSENDABLE})

SMALL_ROWS = 10_000
"""A table of fewer rows may be scanned for a key that is a bare column without an index."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a mapping; a `note` is worth knowing and no fault."""

    kind: str
    column: str | None
    message: str
    key: str | None = None
    rows: int = 1
    next_step: str = ""
    note: bool = False

    def __str__(self) -> str:
        """One line: kind.column: what (how many, which for instance): what to do."""
        name = f"{self.kind}.{self.column}" if self.column else self.kind
        many = f"{self.rows:,} rows, " if self.rows > 1 else ""
        sample = f" ({many}like key {self.key})" if self.key is not None else ""
        step = f": {self.next_step}" if self.next_step else ""
        return f"{name}: {self.message}{sample}{step}"


def column_faults(
    kind: Kind, columns: Sequence[tuple[str, str]], mapped: Collection[str]
) -> list[Fault]:
    """What is wrong with the columns of a mapping, by (name, type as SQL spells it).

    `mapped` are the kinds that have a mapping.
    """
    return [
        *_unknown_columns(kind, columns),
        *_missing_columns(kind, {name for name, _ in columns}),
        *_wrong_types(kind, columns),
        *_unmapped_parents(kind, {name for name, _ in columns}, mapped),
    ]


def _unknown_columns(kind: Kind, columns: Sequence[tuple[str, str]]) -> Iterator[Fault]:
    known = column_names(kind)
    lines = {reference.column for reference in kind.references if reference.within}
    for name, _ in columns:
        top = name.split(".", 1)[0]
        if top in known:
            continue
        if top in kind.constants:
            yield Fault(kind.name, name, "it is set by zohosync and cannot be mapped")
            continue
        if top in lines:
            within = next(r.within for r in kind.references if r.column == top and r.within)
            yield Fault(kind.name, name, f"it belongs into the items of {within}")
            continue
        close = difflib.get_close_matches(top, known, 1)
        step = f"did you mean {close[0]}?" if close else "docs/mapping.md lists what there is"
        yield Fault(kind.name, name, "Zoho's API has no such field", next_step=step)


def _missing_columns(kind: Kind, names: Collection[str]) -> Iterator[Fault]:
    needed = [*kind.required, *(r.column for r in kind.references if r.required and not r.within)]
    for name in needed:
        if name not in names and name.split(".", 1)[0] not in names:
            yield Fault(kind.name, name, "this required column is missing")


def _wrong_types(kind: Kind, columns: Sequence[tuple[str, str]]) -> Iterator[Fault]:
    lists = {reference.within for reference in kind.references if reference.within}
    for name, sql_type in columns:
        if name in lists:
            wrong = "" if sql_type in LISTS else "it must be one jsonb list of objects"
        elif sql_type in FLOATS:
            wrong = "a float is not exact: cast it to numeric"
        elif sql_type in UNSENDABLE:
            wrong = "that cannot be sent to Zoho"
        elif name in kind.money or (name == "total" and kind.raises):
            wrong = "it must be an amount of money (numeric)"
            wrong = "" if sql_type in NUMBERS or _is_text(sql_type) else wrong
        elif name in kind.dates:
            wrong = "" if sql_type in DATES or _is_text(sql_type) else "it must be a date"
        elif name in ("state", "raised_by"):
            wrong = "" if sql_type not in NO_TEXT | NUMBERS else "it must be text"
        elif name == "eligible":
            wrong = "" if sql_type in TRUTHS or _is_text(sql_type) else "it must be true or false"
        elif name == "key" and sql_type in LISTS | TRUTHS:
            wrong = "that cannot be a key"
        else:
            continue
        if wrong:
            yield Fault(kind.name, name, f"its type is {sql_type}: {wrong}")


def _is_text(sql_type: str) -> bool:
    return sql_type in ("text", "character varying", "character", "name", "unknown")


def _unmapped_parents(
    kind: Kind, names: Collection[str], mapped: Collection[str]
) -> Iterator[Fault]:
    for reference in kind.references:
        named = reference.within in names if reference.within else reference.column in names
        if named and reference.kind not in mapped and not KINDS[reference.kind].internal:
            yield Fault(
                kind.name,
                reference.column,
                f"it names {reference.kind}, which have no mapping: its rows would wait for ever",
                next_step=f"write mapping/{reference.kind}.sql",
            )


class RowChecks:
    """Takes every row of every mapping, parents before children, and says what is wrong."""

    def __init__(self, mapped: Collection[str]) -> None:
        """`mapped` are the kinds whose rows will be given."""
        self._mapped = mapped
        self._keys: dict[str, set[str]] = {kind: set() for kind in mapped}
        self._barred: dict[str, set[str]] = {kind: set() for kind in mapped}
        self._seen: dict[tuple[str, str], set[str]] = {}
        self._starts: dict[Ref, str] = {}
        self._found: dict[tuple[str, str | None, str], Fault] = {}
        self._dated = {
            reference.kind
            for kind in KINDS.values()
            if kind.raises
            for reference in kind.references
            if not reference.sent
        }

    def take(self, desired: Desired) -> None:
        """A row as it is wanted."""
        kind, key = KINDS[desired.ref.kind], desired.ref.key
        keys = self._keys[kind.name]
        if key in keys:
            self._note(desired.ref, "key", "the mapping returns this key more than once")
        keys.add(key)
        if not desired.eligible:
            self._barred[kind.name].add(key)
            return
        for problem in desired.faults:
            self._note(desired.ref, problem.field, problem.message)
        for column in kind.unique:
            self._once(desired, column)
        for slot in desired.slots:
            self._parent(desired, slot)
        if kind.name in self._dated and kind.dates:
            started = desired.payload.get(kind.dates[0])
            if isinstance(started, str):
                self._starts[desired.ref] = started
        if kind.raises and desired.raised_by == "zoho":
            self._raised(kind, desired)

    @property
    def rows(self) -> dict[str, int]:
        """Keys seen so far, per kind."""
        return {kind: len(keys) for kind, keys in self._keys.items()}

    def faults(self) -> list[Fault]:
        """Everything found, each sort once, with how many rows it is and a sample key."""
        return list(self._found.values())

    def _once(self, desired: Desired, column: str) -> None:
        value = desired.payload.get(column)
        if value in (None, ""):
            return
        seen = self._seen.setdefault((desired.ref.kind, column), set())
        if str(value) in seen:
            message = (
                f"{column} {str(value)[:40]!r} is repeated: a lost reply could not be verified"
            )
            self._note(desired.ref, column, message)
        seen.add(str(value))

    def _parent(self, desired: Desired, slot: Slot) -> None:
        parent = slot.parent
        if parent.kind not in self._mapped:
            return  # a tax or an item, or said once for the whole column
        column = next(
            (r.column for r in KINDS[desired.ref.kind].references if r.kind == parent.kind), None
        )
        if parent.key not in self._keys[parent.kind]:
            message = f"it names {parent}, which the mapping of {parent.kind} never returns"
            self._note(desired.ref, column, message)
        elif parent.key in self._barred[parent.kind]:
            message = f"it is eligible, but {parent} is not: it would wait for ever"
            self._note(desired.ref, column, message, note=True)

    def _raised(self, kind: Kind, desired: Desired) -> None:
        day = desired.payload.get(kind.dates[0]) if kind.dates else None
        for slot in desired.slots:
            started = self._starts.get(slot.parent)
            if started is not None and isinstance(day, str) and day < started:
                self._note(
                    desired.ref,
                    "raised_by",
                    f"Zoho raises none of {day} for {slot.parent}, which starts on {started}: "
                    "map it as us, or not eligible",
                )

    def _note(self, ref: Ref, column: str | None, message: str, *, note: bool = False) -> None:
        place = (ref.kind, column, sort_of(message))
        known = self._found.get(place)
        if known is None:
            self._found[place] = Fault(ref.kind, column, message, ref.key, note=note)
        else:
            self._found[place] = replace(known, rows=known.rows + 1)


def sort_of(message: str) -> str:
    """A message without its particulars: quoted text, numbers, dates and ids are left out."""
    return re.sub(r"'[^']*'|\S*\d\S*", "…", message)


def relations_of(plan: Any) -> set[tuple[str, str]]:
    """The tables that a plan reads, as (schema, name); from EXPLAIN (VERBOSE, FORMAT JSON)."""
    return {
        (node.get("Schema", "public"), node["Relation Name"])
        for node in _nodes(plan)
        if "Relation Name" in node
    }


@dataclass(frozen=True, slots=True)
class Scan:
    """A keyed read that finds its rows by reading a whole table: `bare` when an index would do."""

    table: tuple[str, str]
    condition: str
    bare: bool


def scan_of(plan: Any, key: str) -> Scan | None:
    """How a keyed read scans, or None when an index leads it to its rows.

    `plan` is EXPLAIN (VERBOSE, FORMAT JSON) of it for that key, made with sequential scans
    discouraged: what still scans then has no index to use.
    """
    filtered: Scan | None = None
    for node in _nodes(plan):
        for name, condition in node.items():
            if not isinstance(condition, str) or not _asks_for(condition, key):
                continue
            if name in ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond"):
                return None
            if name.endswith("Filter") and filtered is None:
                leaf = next((n for n in _nodes(node) if "Relation Name" in n), {})
                table = (leaf.get("Schema", ""), leaf.get("Relation Name", "a sub-select"))
                bare = leaf is node and bool(_BARE.search(condition))
                filtered = Scan(table, condition, bare)
    return filtered


_BARE = re.compile(r"\([\w\"]+(\.[\w\"]+)? = ANY \(")


def _asks_for(condition: str, key: str) -> bool:
    """Whether a condition is the one on the key, which is asked for twice over."""
    return any(f"{{{each},{each}}}" in condition for each in (key, f'"{key}"'))


def scan_fault(kind: str, scan: Scan, table_rows: float) -> Fault:
    """What to say of a keyed read that scans a table of about so many rows."""
    table = ".".join(part for part in scan.table if part)
    if not scan.bare:
        return Fault(
            kind,
            "key",
            f"reading one record scans {table}: the key is computed, so that no index helps",
            next_step="name the bare column `as key`, in its own type",
        )
    small = table_rows < SMALL_ROWS
    size = f"about {table_rows:,.0f} rows" if table_rows >= 1 else "few rows"
    return Fault(
        kind,
        "key",
        f"reading one record scans {table} ({size}): there is no index on the key",
        next_step="create one" if not small else "create one before it grows",
        note=small,
    )


def _nodes(plan: Any) -> Iterator[Mapping[str, Any]]:
    """Every node of a plan, from the top."""
    if isinstance(plan, list):
        for each in plan:
            yield from _nodes(each)
    elif isinstance(plan, Mapping):
        if "Plan" in plan:
            yield from _nodes(plan["Plan"])
        if "Node Type" in plan:
            yield plan
        yield from _nodes(plan.get("Plans", []))


def organization_words(organization: Mapping[str, Any]) -> str:
    """An organisation as Zoho tells of it, in a few words: id, name, mode."""
    mode = organization.get("mode") or "mode not told"
    return f"{organization.get('organization_id')} {organization.get('name')} ({mode})"


def organization_fault(
    found: Sequence[Mapping[str, Any]], org_id: str, mode: str
) -> tuple[str, str, str] | None:
    """Why these organisations of Zoho's are not the asserted one: what, where, what to do."""
    named = {str(each.get("organization_id")): each for each in found}
    if org_id not in named:
        there = "; ".join(organization_words(each) for each in found) or "none"
        return (
            f"These credentials open no organisation {org_id}",
            f"there are: {there}",
            "correct [organization] id or ZOHOSYNC_ORGANIZATION_ID",
        )
    told = str(named[org_id].get("mode") or "").lower()
    if told and told != mode:
        return (
            f"Organisation {org_id} is {told} in Zoho, but {mode} was asserted: nothing was sent",
            "[organization] mode in zohosync.toml",
            "name the organisation that you mean, or set the mode to what it is",
        )
    return None
