"""Whatever is compared, linked, said, edited or made by hand: no second one, and no wrong link."""

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from core.shelf import VARIANTS, Shelf
from core.town import Row
from zohosync.core.records import Status
from zohosync.core.settling import Word

KEYS = st.sampled_from(("1", "2", "3"))
WHO = st.integers(0, 2)
LAGS = st.sampled_from((0.0, 0.0, 300.0))
TROUBLES = st.sampled_from(("none", "none", "none", "lost", "never", "late", "crash"))


class BooksLife(RuleBasedStateMachine):
    """A company with three keys, three people, and a Zoho in which others write, too."""

    kind = "customers"

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(self.kind)

    @initialize(
        before=st.lists(st.tuples(WHO, st.integers(0, 5), LAGS), max_size=4),
        rows=st.dictionaries(KEYS, WHO, max_size=3),
        compared=st.booleans(),
    )
    def begins(
        self, before: list[tuple[int, int, float]], rows: dict[str, int], compared: bool
    ) -> None:
        """What there is on both sides before anything was ever compared."""
        for who, variant, lag_s in before:
            self.made_by_hand(who, variant, lag_s)
        for key, who in sorted(rows.items()):
            self.put(key, who)
        if compared:
            self.compared_and_linked()

    @rule(seconds=st.sampled_from((1.0, 40.0, 700.0, 4_000.0)))
    def time_passes(self, seconds: float) -> None:
        self.shelf.now += timedelta(seconds=seconds)

    @rule(who=WHO, variant=st.integers(0, 5), lag_s=LAGS)
    def made_by_hand(self, who: int, variant: int, lag_s: float) -> None:
        variants = VARIANTS[self.kind]
        self.shelf.make(who, variants[variant % len(variants)], lag_s)

    @rule(key=KEYS, who=WHO, variants=st.lists(st.integers(0, 5), min_size=1, max_size=2))
    def imported(self, key: str, who: int, variants: list[int]) -> None:
        """A row comes whose record is there already, or what looks like it."""
        for variant in variants:
            self.made_by_hand(who, variant, 0.0)
        self.put(key, who)

    @rule(place=st.integers(0, 9))
    def merged(self, place: int) -> None:
        self.shelf.merge(place)

    @rule(key=KEYS, who=WHO)
    def put(self, key: str, who: int) -> None:
        """A row is new, edited, or under its key there is somebody else from now on."""
        here = self.shelf.rows.get(key)
        turn = here.turn + 1 if here else 0
        self.shelf.changes(key, Row(who, turn))

    @rule(key=KEYS)
    def edited(self, key: str) -> None:
        if here := self.shelf.rows.get(key):
            self.shelf.changes(key, Row(here.who, here.turn + 1))

    @rule(key=KEYS)
    def deleted(self, key: str) -> None:
        if key in self.shelf.rows:
            self.shelf.changes(key, None)

    @rule(key=KEYS, other=KEYS)
    def renamed(self, key: str, other: str) -> None:
        here = self.shelf.rows.get(key)
        if here and other not in self.shelf.rows:
            self.shelf.changes(key, None)
            self.shelf.changes(other, here)

    @rule(key=KEYS, trouble=TROUBLES, late_s=st.sampled_from((1.0, 20.0, 290.0)), lag_s=LAGS)
    def attempted(self, key: str, trouble: str, late_s: float, lag_s: float) -> None:
        self.shelf.attempt(key, trouble, late_s, min(lag_s, 60.0))

    @rule()
    def compared(self) -> None:
        self.shelf.list_read()
        self.shelf.sorted_out()

    @rule()
    def compared_and_linked(self) -> None:
        self.compared()
        self.shelf.link_sure()

    @rule(key=KEYS, who=WHO, other=WHO)
    def changed_before_it_was_linked(self, key: str, who: int, other: int) -> None:
        """A row is found; its key is somebody else's then; what was found is linked."""
        self.imported(key, who, [0])
        self.compared()
        self.put(key, other)
        self.shelf.link_sure()

    @rule(key=KEYS, who=WHO, variant=st.integers(0, 5))
    def said_to_be_none_of_them(self, key: str, who: int, variant: int) -> None:
        """A person says `new`; then it is compared again, and one of them is gone perhaps."""
        self.imported(key, who, [0, variant])
        self.compared()
        self.shelf.by_file(key, 0, new=True)
        self.shelf.merge(len(self.shelf.remote) - 1)
        self.compared_and_linked()

    @rule(key=KEYS, who=WHO, variant=st.integers(0, 5))
    def imported_and_linked(self, key: str, who: int, variant: int) -> None:
        self.imported(key, who, [variant])
        self.compared_and_linked()
        self.written_as_it_is(key)
        self.shelf.attempt(key, "none", 0.0, 0.0)

    @rule(key=KEYS, who=WHO, word=st.sampled_from(Word))
    def spoken_in_doubt(self, key: str, who: int, word: Word) -> None:
        """Nobody heard how a create went; the comparison finds it; somebody says a word."""
        self.put(key, who)
        self.shelf.attempt(key, "lost", 0.0, 0.0)
        self.compared()
        self.shelf.says(key, word, 0)

    @rule(key=KEYS)
    def written_as_it_is(self, key: str) -> None:
        """A job writes the row again, or an operator asks for it: nothing is to be heard of it."""
        if here := self.shelf.rows.get(key):
            self.shelf.changes(key, here)

    @rule()
    def list_read(self) -> None:
        """A comparison takes its time: what happens meanwhile, happens."""
        self.shelf.list_read()

    @rule()
    def sorted_out(self) -> None:
        self.shelf.sorted_out()

    @rule()
    def linked(self) -> None:
        self.shelf.link_sure()

    @rule(key=KEYS, place=st.integers(0, 9), new=st.booleans())
    def filled_in(self, key: str, place: int, new: bool) -> None:
        self.shelf.by_file(key, place, new=new)

    @rule(key=KEYS, word=st.sampled_from(Word), place=st.integers(0, 9))
    def spoken(self, key: str, word: Word, place: int) -> None:
        self.shelf.says(key, word, place)

    def teardown(self) -> None:
        """Everything comes to rest, and whatever does not is told of."""
        shelf = self.shelf
        for _ in range(60):
            shelf.now += timedelta(seconds=700)
            shelf.catch_up()
            for key in list(shelf.books):
                shelf.attempt(key, "none", 0.0, 0.0)
        for made in shelf.remote:
            shelf.owner(made.zoho_id)
        for key, book in shelf.books.items():
            assert book.held.intent is None or book.held.status is Status.UNCERTAIN
            if key in shelf.rows and book.held.status is not Status.SYNCED:
                assert book.problem is not None, f"{key} is {book.held.status}"


@pytest.mark.parametrize("kind", VARIANTS)
def test_nothing_is_made_twice_and_no_link_is_wrong(kind: str) -> None:
    run_state_machine_as_test(
        type(f"{kind.title()}Life", (BooksLife,), {"kind": kind}),
        settings=settings(max_examples=80, stateful_step_count=20),
    )
