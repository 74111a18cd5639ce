"""A town whose Zoho is not only ours: made by hand, merged, hidden; compared, linked, spoken of.

What the store does between two decisions is told in plain values, as in town.py: `hold_records`,
`release_held`, `link_records`, `free_records`. Who a record in Zoho truly is, only the model knows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from core.builders import PARENTS, candidate
from core.town import Book, Made, Row, Town
from zohosync.core.compare import (
    Here,
    Sort,
    Verdict,
    here_of,
    lacks,
    sort_out,
    there_of,
)
from zohosync.core.kinds import KINDS
from zohosync.core.linkfile import NEW, Line, State, judged
from zohosync.core.pairs import Known, linked_row, row_verdict, stands
from zohosync.core.pairs import Row as Pair
from zohosync.core.plan import resolve
from zohosync.core.records import Payload, Status
from zohosync.core.replies import Found, Rejected, Reply
from zohosync.core.settling import Refusal, Word
from zohosync.core.settling import Verdict as Spoken
from zohosync.core.steps import Create, Find, Step, Transition, Update

TOTAL = Decimal("115.00")
"""What an invoice of the builders comes to."""

NOBODY = -1
"""Who a record in Zoho is that is nobody's here."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "customers": ("as here", "other case", "more fields", "same name"),
    "invoices": ("as here", "more fields", "other customer", "other total", "void", "same sum"),
}
"""How what people make in Zoho stands to a row; the last ones only look like it."""

OWN = frozenset({"as here", "other case", "more fields"})


@dataclass(frozen=True)
class Told:
    """A row's verdict as it is kept: what a link, a hold and a person's word go by."""

    key: str
    who: int
    zoho_id: str | None
    sure: bool
    linked: bool
    candidates: tuple[str, ...]
    sort: str


@dataclass(slots=True)
class Shelf(Town):
    """A town with other people's records on its shelf, and the newest comparison."""

    told: dict[str, Told] = field(default_factory=dict)
    seen: dict[str, Payload] = field(default_factory=dict)
    read: list[tuple[str, Payload]] | None = None
    began_at: Any = None
    by_hand: set[str] = field(default_factory=set)
    words: set[tuple[str, str]] = field(default_factory=set)
    fresh: dict[str, tuple[int, int]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    own: dict[str, int] = field(default_factory=dict)

    # ---------------------------------------------------------------------- other people in Zoho

    def make(self, who: int, variant: str, lag_s: float) -> None:
        """Somebody makes a record there; it is that person's own, or only looks like it."""
        desired = self._row_of(who)
        fields = {**resolve(desired, PARENTS), "status": "open", "notes": "", "total": TOTAL}
        number = f"z{len(self.remote)}"
        if self.kind == "customers":
            fields |= {"status": "active", "phone": "99"}
        match variant:
            case "other case":
                fields["email"] = str(fields["email"]).upper()
            case "same name":
                fields["email"] = f"other{number}@example.com"
            case "other customer":
                fields["customer_id"] = "z-customers-2"
            case "other total":
                fields["total"] = Decimal(1)
            case "void":
                fields["status"] = "void"
            case "same sum":
                fields["invoice_number"] = f"X-{number}"
        taken = {made.fields.get("invoice_number") for made in self.remote} - {None}
        if fields.get("invoice_number") in taken:  # Zoho keeps these unique
            return
        at = self.now + timedelta(seconds=lag_s)
        self.own[number] = who if variant in OWN else NOBODY
        self.remote.append(Made(number, self.own[number], at, fields))
        self.by_hand.add(number)

    def merge(self, place: int) -> None:
        """Somebody merges a record into another: it is gone."""
        there = [made for made in self.remote if made.zoho_id not in self.lost]
        if there:
            made = there[place % len(there)]
            self.lost.add(made.zoho_id)
            if made.zoho_id not in self.by_hand:
                self.made[made.who] -= 1  # it is not there any more: another is no second one
            made.shown_at = self.now + timedelta(days=9_999)

    def _row_of(self, who: int) -> Any:
        before = self.rows.get("?")
        self.rows["?"] = Row(who)
        desired = self.desired("?")
        del self.rows["?"]
        if before is not None:
            self.rows["?"] = before
        return desired

    # --------------------------------------------------------------------------- the comparison

    def list_read(self) -> None:
        """The list is read to its end; what is not shown yet is not in it."""
        self.catch_up()
        self.began_at = self.now
        self.read = [
            (made.zoho_id, {"total": TOTAL, **made.fields})
            for made in self.remote
            if made.shown_at <= self.now and made.zoho_id not in self.lost
        ]

    def sorted_out(self) -> None:
        """Every row is sorted, what may be there is held, what is held for nothing is let go."""
        if self.read is None:
            return
        kind, read, self.read = KINDS[self.kind], self.read, None
        self.seen = dict(read)
        theres = [there_of(kind, zoho_id, fields) for zoho_id, fields in read]
        pairs = {key: self._pair(key) for key in self.rows}
        heres = [self._here(pair) for pair in pairs.values()]
        gone = [
            Here(key, (None,) * len(kind.match), (None,) * len(kind.resemble),
                 linked=book.held.zoho_id)
            for key, book in self.books.items()
            if book.held.zoho_id and key not in self.rows
        ]  # fmt: skip
        verdicts = sort_out(kind, [*heres, *gone], theres)
        assert isinstance(lacks(heres, verdicts), bool)
        self._is_sound(verdicts)
        self.told = {}
        for verdict in verdicts:
            if verdict.key is None or verdict.key not in pairs:
                continue
            there = self.seen.get(verdict.zoho_id or "")
            told = row_verdict(kind, pairs[verdict.key], verdict, there)
            self.told[verdict.key] = Told(
                verdict.key, self.rows[verdict.key].who, told["zoho_id"], told["sure"],
                told["linked"], tuple(told["candidates"]), told["sort"],
            )  # fmt: skip
            if told["sure"] and not told["linked"]:
                self._is_true(verdict.key, str(told["zoho_id"]))
        self._hold()

    def _is_true(self, key: str, zoho_id: str) -> None:
        """What is certain is that row's own, and the only one that was seen of it."""
        who, excluded = self.rows[key].who, self.books[key].held.excluded
        own = [each for each in self.seen if self.own[each] == who and each not in excluded]
        assert own == [zoho_id], f"{key} is {who}, sure to be {zoho_id}, and {own} are its own"

    def _is_sound(self, verdicts: Sequence[Verdict]) -> None:
        """No record is two rows', and what is certain is not in doubt as well."""
        sure = Counter(verdict.zoho_id for verdict in verdicts if verdict.zoho_id)
        assert all(count == 1 for count in sure.values()), "a record stands in two verdicts"
        for verdict in verdicts:
            among = sure.keys() & set(verdict.candidates)
            assert verdict.sort is Sort.DOUBLE or not among, "what is certain is in doubt as well"

    def _hold(self) -> None:
        held: dict[str, tuple[str, ...]] = {}
        for key, told in self.told.items():
            if not told.linked and (told.zoho_id or told.candidates):
                held[key] = (told.zoho_id,) if told.zoho_id else told.candidates
        for key, rivals in held.items():
            book = self.books[key]
            if book.held.zoho_id is None:
                book.held = replace(book.held, rivals=rivals)
        for key, book in self.books.items():
            if book.held.rivals and (book.held.zoho_id or key not in held):
                self._let_go(book, ())

    def _let_go(self, book: Book, excluded: tuple[str, ...]) -> None:
        held = book.held
        again = held.status is Status.FAILED and held.zoho_id is None
        book.held = replace(
            held, rivals=(), excluded=held.excluded | set(excluded),
            status=Status.PENDING if again else held.status,
        )  # fmt: skip
        book.due_at = self.now if again else book.due_at

    def _pair(self, key: str) -> Pair:
        book, desired = self.books[key], self.desired(key)
        assert desired is not None
        held = book.held
        known = Known(
            held.version, str(held.status), held.zoho_id, held.payload, {},
            held.status is not Status.SYNCED, held.intent is not None, None, held.excluded,
        )  # fmt: skip
        return Pair(desired, resolve(desired, PARENTS), known)

    def _here(self, pair: Pair) -> Here:
        assert pair.record is not None
        return here_of(
            KINDS[self.kind], pair.desired, pair.wanted, linked=pair.record.zoho_id, live=False,
            excluded=pair.record.excluded,
        )  # fmt: skip

    # --------------------------------------------------------------------------------- the links

    def link_sure(self) -> None:
        """What the newest comparison is sure of is linked, where it stands as it was compared."""
        pairs = {t.key: t.zoho_id for t in self.told.values() if t.sure and not t.linked}
        for key, zoho_id in pairs.items():
            assert zoho_id is not None
            if self._linked(key, zoho_id, by_hand=False):
                here, there = self.rows[key].who, self.own[zoho_id]
                assert there == here, f"{key} is {here}, and was linked to {zoho_id}: {there}"

    def _linked(self, key: str, zoho_id: str, *, by_hand: bool) -> bool:
        """link_records, for a row that is one with its record still."""
        kind, book = KINDS[self.kind], self.books.get(key)
        if key not in self.rows or book is None or zoho_id not in self.seen:
            return False
        pair, there = self._pair(key), there_of(kind, zoho_id, self.seen[zoho_id])
        here = self._here(pair)
        if not stands(here, there, by_hand=by_hand):
            return False
        held = book.held
        if held.zoho_id or held.intent or self.owner(zoho_id) is not None:
            return False
        assert by_hand or zoho_id not in held.excluded, "a person said that it is not this one"
        row = linked_row(pair, zoho_id, self.seen[zoho_id], self.now)
        book.held = replace(
            held, zoho_id=zoho_id, payload=row["payload"], remote_state=row["remote_state"],
            hints={**held.hints, **row["hints"]}, excluded=held.excluded - {zoho_id}, rivals=(),
            status=Status.SYNCED, attempts=0, looks=0,
        )  # fmt: skip
        book.identity, book.gone, book.problem, book.due_at = row["identity"], False, None, None
        self.fresh[key] = (self.rows[key].who, self.rows[key].turn)
        if by_hand:
            self.words.add((key, zoho_id))
        return True

    def by_file(self, key: str, place: int, *, new: bool) -> None:
        """A person fills in links.csv: what is named for a row, anything else seen, or `new`."""
        told = self.told.get(key)
        if told is None:
            return
        named = [*told.candidates, *self.seen]
        zoho_id = NEW if new or not named else named[place % len(named)]
        candidates = told.candidates or None
        line = Line(2, self.kind, key, zoho_id, candidates)
        owned = {b.held.zoho_id: k for k, b in self.books.items() if b.held.zoho_id}
        rows = {each: self.books[each].held.zoho_id for each in self.told}
        said = judged([line], {self.kind: State(rows, frozenset(self.seen), owned)})
        for each, its in said.links.get(self.kind, {}).items():
            self._linked(each, its, by_hand=True)
        for each, of in said.fresh.get(self.kind, {}).items():
            self._free(each, of)

    def _free(self, key: str, named: tuple[str, ...] | None) -> None:
        """free_records."""
        book = self.books[key]
        held = book.held
        if held.zoho_id or held.intent or not held.rivals:
            return
        if named is None or set(held.rivals) <= set(named):
            self._let_go(book, held.rivals)
            self.words.add((key, NEW))
            if key in self.rows:
                self.allowed[self.rows[key].who] += 1

    # ------------------------------------------------------------------------------ the attempts

    def write(  # noqa: PLR0917 - as in the town
        self, key: str, step: Step, call_id: int, trouble: str, late_s: float, lag_s: float
    ) -> Reply:
        """A write leaves: nothing is made that may be there, nothing is sent of a mere link."""
        row, told = self.rows[key], self.told.get(key)
        if isinstance(step, Create):
            assert not self.books[key].held.rivals, f"{key} may be in Zoho, and is made"
            same_row = told is not None and told.who == row.who
            spoken = any(each == key for each, _ in self.words)
            if same_row and told is not None and not told.linked and not spoken:
                assert told.sort == Sort.ONLY_HERE, f"{key} was {told.sort}, and is made"
                own = [made for made in self.remote if self._is_own(made, key)]
                assert not own, f"{own} is in Zoho and was seen, and {key} is made"
        if isinstance(step, Update | Transition):
            if self.fresh.get(key) == (row.who, row.turn):
                raise AssertionError(f"{key} was only linked, and is sent: {step}")
            self.fresh.pop(key, None)  # it is more than linked from now on
            if step.zoho_id in self.lost:
                return Rejected(404, "1002", "gone")
        return Town.write(self, key, step, call_id, trouble, late_s, lag_s)

    def _is_own(self, made: Made, key: str) -> bool:
        """Whether that is a row's own record, seen by the newest comparison and nobody else's."""
        there = made.zoho_id in self.seen and made.zoho_id not in self.lost
        free = self.owner(made.zoho_id) is None and made.zoho_id in self.by_hand
        excluded = made.zoho_id in self.books[key].held.excluded
        return self.own[made.zoho_id] == self.rows[key].who and there and free and not excluded

    def says(self, key: str, word: Word, target: int) -> Spoken | Refusal | None:
        """No word leads past a write that is in doubt."""
        book = self.books.get(key)
        doubtful = book is not None and book.held.intent is not None
        said = Town.says(self, key, word, target)
        if doubtful and word in (Word.NEW, Word.SAME, Word.DONE):
            assert not isinstance(said, Spoken), f"{word} was heard, and a write is in doubt"
        if isinstance(said, Spoken) and book is not None:
            self.words.add((key, said.zoho_id or NEW))
            book.held = replace(book.held, rivals=said.rivals)
        return said

    def look(self, step: Find) -> Found:
        """What is merged is not there, by whatever it is looked for."""
        found = Town.look(self, step)
        left = tuple(each for each in found.candidates if each.zoho_id not in self.lost)
        return Found(tuple(candidate(each.zoho_id, each.fields) for each in left))

    def catch_up(self) -> None:
        """What lands with a number that somebody took meanwhile is refused, and nobody hears it."""
        taken = {made.fields.get("invoice_number") for made in self.remote} - {None}
        self.landing = [
            each for each in self.landing
            if not isinstance(each[3], Create)
            or each[3].payload.get("invoice_number") not in taken
        ]  # fmt: skip
        Town.catch_up(self)

    def apply(self, step: Step, who: int, shown_at: Any) -> Made | None:
        """What lands on a record that is merged by then lands nowhere."""
        if isinstance(step, Update | Transition) and step.zoho_id in self.lost:
            return None
        made = Town.apply(self, step, who, shown_at)
        if made is not None:
            self.own[made.zoho_id] = who  # it says what this one's row said
        return made
