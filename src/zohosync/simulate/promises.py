"""The judges of what people do to a company's real books: links, the brake, and what is gone."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zohosync.core.brake import Brake
from zohosync.core.kinds import KINDS
from zohosync.core.records import UPKEEP
from zohosync.sandbox import Request
from zohosync.simulate.agreement import Books, markers_of
from zohosync.simulate.evidence import Facts
from zohosync.simulate.picture import Picture

CUSTOMERS = "customers"
LIVE, ENDED, GONE = "live", "ended", "gone"

LOOKBACK_S = 240.0
"""How long before a call arrives the row may have been read that it was planned by."""

HOUR_S = 3_555.0
"""The brake counts an hour of calls as they leave; they may arrive up to their time limit later."""

ENDS = ("/markasinactive", "/cancel", "/void")
"""The ends of paths that close a record."""

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """How a row stood from then on, and what it said."""

    at_s: float
    stand: str
    said: tuple[Any, ...]


@dataclass(slots=True)
class Diary:
    """What the company's rows were at each moment, and what people did and said; all by the truth.

    `twins` are records that people made in Zoho, by kind and id, and the name (an e-mail, a code)
    that their own row goes by. `words` are ids that a person gave to a row; `agreed` is what an
    operator let the brake let through: when, of which kind, which Zoho ids. `links` are the rows
    that `compare --link` linked, by Zoho id: the key, and when the command began. `edits` are
    moments at which a kind's mapping said something else; `hidden` when one returned nothing;
    `forgotten` are customers of whom an operator had all forgotten: when, and their e-mail.
    """

    brake: Brake
    when_gone: Mapping[str, str] = field(default_factory=dict)
    rows: dict[Name, list[Entry]] = field(default_factory=dict)
    twins: dict[Name, str] = field(default_factory=dict)
    words: dict[Name, str] = field(default_factory=dict)
    agreed: list[tuple[float, str, frozenset[str]]] = field(default_factory=list)
    links: dict[Name, tuple[str, float]] = field(default_factory=dict)
    forgotten: dict[str, tuple[float, str]] = field(default_factory=dict)
    edits: list[tuple[float, str]] = field(default_factory=list)
    hidden: list[tuple[str, float, float]] = field(default_factory=list)

    def note(self, at_s: float, picture: Picture) -> None:
        """Write down how the rows stand now, where they do not stand as before."""
        present: set[Name] = set()
        for name, stand, said in _rows_of(picture):
            present.add(name)
            entries = self.rows.setdefault(name, [])
            if not entries or (entries[-1].stand, entries[-1].said) != (stand, said):
                entries.append(Entry(at_s, stand, said))
        for name in self.rows.keys() - present:
            if self.rows[name][-1].stand != GONE:
                self.rows[name].append(Entry(at_s, GONE, ()))

    def link(self, kind: str, pairs: Mapping[str, str], began_s: float) -> None:
        """Write down what a command that began then links: key → Zoho id."""
        self.links |= {(kind, zoho_id): (key, began_s) for key, zoho_id in pairs.items()}

    def unlink(self, kind: str, pairs: Mapping[str, str]) -> None:
        """Strike out what it did not link after all: changed, or a write of it is in doubt."""
        for zoho_id in pairs.values():
            self.links.pop((kind, zoho_id), None)

    def stands(self, name: Name, since_s: float, until_s: float) -> set[str]:
        """How a row stood between these moments."""
        entries = self.rows.get(name, [])
        first = max(0, bisect_right(entries, since_s, key=lambda entry: entry.at_s) - 1)
        found = {entry.stand for entry in entries[first:] if entry.at_s <= until_s}
        if any(kind == name[0] and a <= until_s and since_s <= b for kind, a, b in self.hidden):
            found.add(GONE)
        return found or {GONE}

    def began_s(self, name: Name) -> float:
        """When there was such a row for the first time."""
        entries = self.rows.get(name)
        return entries[0].at_s if entries else float("inf")

    def changed(self, name: Name, since_s: float, until_s: float) -> bool:
        """Whether a row, or what the mapping says of its kind, changed between these moments."""
        moments = [entry.at_s for entry in self.rows.get(name, ())]
        moments += [at_s for at_s, kind in self.edits if kind == name[0]]
        moments += [at_s for kind, *both in self.hidden if kind == name[0] for at_s in both]
        return any(since_s <= at_s <= until_s for at_s in moments)

    def excuse(self, kind: str, key: str) -> str | None:
        """Why a row that is there again may be behind: what was ended with it stays so."""
        closing = KINDS[kind].states
        if kind not in self.when_gone or closing.next_move(
            closing.when_gone[self.when_gone[kind]], closing.initial
        ):
            return None
        stood = [entry.stand for entry in self.rows.get((kind, key), ())]
        was = GONE in stood[stood.index(LIVE) :] if LIVE in stood else False
        hidden = any(each == kind for each, *_ in self.hidden)
        return "it was gone for a while, and was ended then" if was or hidden else None

    def is_right(self, kind: str, zoho_id: str, key: str) -> bool:
        """Whether a record that people made in Zoho is that row's own.

        It may have come to it from a row that is gone: whose it was, and who bore one name with it.
        """
        name = self.twins.get((kind, zoho_id), "").strip().lower()
        own = self._names((kind, key))
        return bool(name) and (name in own or any(
            name in theirs and not own.isdisjoint(theirs)
            for other, entries in self.rows.items()
            if other[0] == kind and entries[-1].stand == GONE
            for theirs in [self._names(other)]
        ))  # fmt: skip

    def _names(self, name: Name) -> set[str]:
        said = (entry.said[0] for entry in self.rows.get(name, ()) if entry.said)
        return {str(each).strip().lower() for each in said}


def _rows_of(picture: Picture) -> Iterator[tuple[Name, str, tuple[Any, ...]]]:
    """Every row: kind and key, how it stands, and what it says, its own name first."""
    away = {each.id for each in picture.people.values() if each.gone or each.kind == "test"}
    said: tuple[Any, ...]
    for person in picture.people.values():
        said = (person.email, person.name, person.phone, person.street, person.city,
                person.company_name, person.gone)  # fmt: skip
        yield ("customers", person.id), _stand(person.id in away, person.closed), said
    for service in picture.services.values():
        absent = service.person_id in away or service.status == "pending"
        plan = picture.plans.get(service.plan_id or "")
        said = (service.plan_id, service.quantity, service.price, service.starts,
                plan and plan.price)  # fmt: skip
        yield ("subscriptions", service.id), _stand(absent, service.status == "cancelled"), said
    for bill in picture.bills.values():
        absent, ended = bill.person_id in away, bill.status == "voided"
        said = (bill.number, bill.status, bill.due, bill.terms, bill.total, tuple(bill.lines))
        yield ("invoices", str(bill.id)), _stand(absent, ended), said
    for plan in picture.plans.values():
        yield ("plans", plan.id), _stand(False, not plan.active), (plan.code, plan.name, plan.price)
    for product in picture.products.values():
        yield ("products", product.id), _stand(False, not product.active), (product.name,)


def _stand(gone: bool, ended: bool) -> str:
    return GONE if gone else ENDED if ended else LIVE


# ------------------------------------------------------------------------------------- the judges


def endings(facts: Facts) -> Iterator[tuple[Request, str, str]]:
    """Every call of ours that would close a record: the request, the kind, the Zoho id."""
    for request in facts.requests:
        if request.method == "POST" and request.path.endswith(ENDS):
            _, kind, zoho_id, *_ = request.path.split("/")
            yield request, kind, zoho_id


def braked(diary: Diary, facts: Facts) -> Iterator[str]:
    """No more endings of a kind leave within an hour than the brake lets, or a person has."""
    lately: dict[str, deque[tuple[float, str]]] = {}
    done: dict[Name, float] = {}
    for request, kind, zoho_id in endings(facts):
        at_s = request.arrived_s
        free = any(
            agreed <= at_s and of == kind and zoho_id in ids
            and not agreed < done.get((kind, zoho_id), -1.0)
            for agreed, of, ids in diary.agreed
        )  # fmt: skip
        if request.status and request.status < 300:
            done[kind, zoho_id] = at_s
        if free:
            continue
        window = lately.setdefault(kind, deque())
        window.append((at_s, zoho_id))
        while window[0][0] < at_s - HOUR_S:
            window.popleft()
        count = len({each for _, each in window})
        if count > diary.brake.endings:
            yield f"{count} {kind} were ended within an hour, {diary.brake.endings} are let through"


def told_once(audit: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A braked kind is told of once, until somebody opens it."""
    pulled: set[str] = set()
    for row in audit:
        for kind in str(row["target"]).split():
            if row["act"] == "brake" and kind in pulled:
                yield f"{kind} was braked twice, and nobody had opened it between"
            if row["act"] == "brake":
                pulled.add(kind)
            else:
                pulled.discard(kind)


def absence(diary: Diary, facts: Facts, books: Books) -> Iterator[str]:
    """Only what its row asks to be ended is ended, or what is gone where that is set; and that is.

    What Zoho raised is Zoho's to end; what people had their hands on says nothing.
    """
    keys = _keys_of(facts, books)
    for request, kind, zoho_id in endings(facts):
        named = {  # one that came later has taken the link over from another
            key
            for key in keys.get((kind, zoho_id), ())
            if diary.began_s((kind, key)) <= request.arrived_s
        }
        stands: set[str] = set()
        for key in named:
            stands |= diary.stands((kind, key), request.arrived_s - LOOKBACK_S, request.arrived_s)
        allowed = {ENDED, GONE} if kind in diary.when_gone else {ENDED}
        if named and stands.isdisjoint(allowed):
            at = f"at {request.arrived_s:.0f} s"
            yield f"{kind} {zoho_id} ({', '.join(named)}) was ended {at}: its row is {stands}"
    for row in facts.records:
        yield from _left_open(diary, books, row)


def _left_open(diary: Diary, books: Books, row: Mapping[str, Any]) -> Iterator[str]:
    """What is gone and was not ended, though its kind is set so."""
    kind, zoho_id = row["kind"], str(row["zoho_id"])
    there = books.by_id.get((kind, zoho_id))
    if kind not in diary.when_gone or there is None or (kind, zoho_id) in books.touched:
        return
    entries = diary.rows.get((kind, row["key"]), ())
    if not entries or entries[-1].stand != GONE or row["status"] != "skipped":
        return
    states = KINDS[kind].states
    target, here = states.when_gone[diary.when_gone[kind]], states.of(there["status"])
    move = states.next_move(here, target)
    raised = kind == "invoices" and there.get("subscription_id")
    if here != target and move is not None and move[1] in states.closing and not raised:
        yield f"{kind} {row['key']} is gone here, and {here} in Zoho"


def _keys_of(facts: Facts, books: Books) -> dict[Name, set[str]]:
    """The rows of a record in Zoho: by its link, and by its marker."""
    keys: dict[Name, set[str]] = {}
    for row in facts.records:
        if row["zoho_id"]:
            keys.setdefault((row["kind"], str(row["zoho_id"])), set()).add(row["key"])
    for (kind, zoho_id), there in books.by_id.items():
        named = {line.split(":", 2)[-1] for line in markers_of(kind, there)}
        keys.setdefault((kind, zoho_id), set()).update(named)
    return keys


def linked_right(diary: Diary, facts: Facts, books: Books) -> Iterator[str]:
    """What people made in Zoho is linked to its own row or to none, and not made a second time."""
    marked = {
        (kind, line.split(":", 2)[-1])
        for (kind, zoho_id), there in books.by_id.items()
        if not books.by_hand(kind, zoho_id)
        for line in markers_of(kind, there)
    }
    for row in facts.records:
        kind, key, zoho_id = row["kind"], row["key"], str(row["zoho_id"])
        if (kind, zoho_id) not in diary.twins or diary.words.get((kind, key)) == zoho_id:
            continue
        if not diary.is_right(kind, zoho_id, key):
            yield f"{kind} {key} is linked to {zoho_id}, which is {diary.twins[kind, zoho_id]}"
        if (kind, key) in marked:
            yield f"{kind} {key} is linked to {zoho_id}, which people made, and was made besides"


def baseline(diary: Diary, facts: Facts) -> Iterator[str]:
    """What was linked is not written before its row changes; and comparing writes nothing."""
    for request in facts.requests:
        if request.method == "GET" or request.path.count("/") < 2:
            continue
        _, kind, zoho_id, *_ = request.path.split("/")
        key, began_s = diary.links.get((kind, zoho_id), ("", 0.0))
        if key and began_s <= request.arrived_s and not diary.changed(
            (kind, key), began_s - LOOKBACK_S, request.arrived_s
        ):  # fmt: skip
            yield f"{request.operation} of {kind} {key} at {request.arrived_s:.0f} s: only linked"
    for call in facts.calls:
        if call["lane"] == UPKEEP and call["door"] == "api" and call["method"] != "GET":
            yield f"call {call['call_id']} ({call['operation']}) writes, in the lane of comparing"
