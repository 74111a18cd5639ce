"""What `plan` shows of each kind: its records field by field, and the money that would move."""

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from zohosync.cli.screen import FAILED, OK, Screen, as_json

if TYPE_CHECKING:
    from zohosync.core.listing import Change
    from zohosync.core.money import Money, Sum
    from zohosync.core.records import Claim, Desired
    from zohosync.core.steps import Step
    from zohosync.settings import Settings

SCREENFUL = 10
"""Records of a kind that are shown where nobody asks for more."""

JSON_MAX = 1_000
"""Records of a kind that the one object of --json lists at most; its counts are of all."""

COLUMNS = ("kind", "key", "step", "field", "from", "to")
LINE_MAX = 120
VALUE_MAX = 40
FIELDS_MAX = 8

_WORDS = {
    "created": "to be created",
    "opened": "to be opened",
    "overdue": "overdue on arrival",
    "backdated": "that start before today",
    "cancel": "to be cancelled",
    "cancel_at_end": "to end with their term",
    "void": "to be voided",
    "markasinactive": "to be inactivated",
}
"""Each topic of core/money in words, in the order of the table."""


class Listing:
    """Takes records as they are planned: the first of each kind for the screen, all for a file.

    The first of each step is shown beyond the limit, too. What is to be shown waits in a file of
    its own until `say`: whoever reads slowly (`| less`) holds up no transaction, and however
    many records there are, none is kept in memory but what --json lists.
    """

    def __init__(self, screen: Screen, *, limit: int | None) -> None:
        """`limit` records of each kind are shown, None: all; `table` may become a csv writer."""
        self._screen = screen
        self._limit = limit
        self.table: Any = None
        self._lines = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - `close` does
            1_000_000, "w+", encoding="utf-8", newline="\n"
        )
        self._steps: Counter[str] = Counter()
        self._shown = 0
        self._kind: str | None = None
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.complete = True

    def __call__(self, desired: "Desired", claim: "Claim", step: "Step") -> None:
        """Take the next record; kind by kind."""
        from zohosync.core.listing import changes_of, is_shown, is_told, word_of

        if not is_told(step):
            return
        kind, key, word = desired.ref.kind, desired.ref.key, word_of(step)
        if self.table is not None:
            for change in changes_of(step, desired, claim):
                values = (cell(change.before), cell(change.after))
                self.table.writerow((kind, key, word, change.field, *values))
        if not is_shown(step):
            return
        if kind != self._kind:
            self._end_kind()
            self._kind = kind
        self._steps[word] += 1
        if (
            self._limit is None
            or self._shown < self._limit
            or self._steps[word] == 1 <= self._limit
        ):
            self._take(kind, key, word, list(changes_of(step, desired, claim)))

    def say(self) -> None:
        """Show what was taken; call when the last record is planned."""
        self._end_kind()
        self._lines.seek(0)
        for line in self._lines:
            self._screen.line(line.rstrip("\n"))

    def close(self) -> None:
        """Let go of the lines."""
        self._lines.close()

    def _end_kind(self) -> None:
        """Say how many of the present kind are not shown."""
        left = self._steps.total() - self._shown
        if left:
            self.complete = False
            more = "--all, or --csv FILE"
            self._lines.write(f"  … and {left:,} more {self._kind}: {more}\n")
        self._steps.clear()
        self._shown, self._kind = 0, None

    def as_json(self) -> dict[str, Any]:
        """The records that are listed, and how the list is bounded."""
        per_kind = JSON_MAX if self._limit is None else min(self._limit, JSON_MAX)
        return {"per_kind": per_kind, "complete": self.complete, "records": self.records}

    def _take(self, kind: str, key: str, word: str, changes: list["Change"]) -> None:
        if not self._shown:
            self._lines.write(f"{kind}\n")
        self._shown += 1
        line = f"  {word:<9} {one_line(key)}  {_told(changes)}".rstrip()
        self._lines.write(f"{line}\n")
        if not self._screen.as_json:
            return
        listed = self.records.setdefault(kind, [])
        if len(listed) >= JSON_MAX:
            self.complete = False
            return
        listed.append({"key": key, "step": word, "changes": changes_json(changes)})


def changes_json(changes: list["Change"]) -> list[dict[str, Any]]:
    """Changes as --json has them."""
    return [{"field": each.field, "from": each.before, "to": each.after} for each in changes]


def _told(changes: list["Change"]) -> str:
    """The changes of one record on one line, cut where it would become too long."""
    texts = []
    for change in changes[:FIELDS_MAX]:
        before, after = (short(value) for value in (change.before, change.after))
        if change.field == "reason":
            texts.append(one_line(str(change.after)))
        elif before:
            texts.append(f"{change.field}: {before} → {after or '(nothing)'}")
        else:
            texts.append(f"{change.field} {after}")
    line, full = "", len(changes) <= FIELDS_MAX
    for text in texts:
        longer = f"{line}; {text}" if line else text
        if line and len(longer) > LINE_MAX:
            full = False
            break
        line = longer
    return line if full else f"{line}; …"


def short(value: Any, most: int = VALUE_MAX) -> str:
    """A value on one line, cut where it would become too long."""
    text = one_line(cell(value))
    return text if len(text) <= most else text[: most - 1] + "…"


def one_line(text: str) -> str:
    """Text that cannot break the line or steer the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def cell(value: Any) -> str:
    """A value as a cell of a CSV has it: numbers plain, lists as JSON, nothing as nothing."""
    match value:
        case None:
            return ""
        case str():
            return value
        case Decimal():
            return f"{value:f}"
        case _:
            return as_json(value)


@contextmanager
def written(path: Path | None) -> Iterator[Any]:
    """A csv writer whose file is there, whole, when this ends well, and else as it was before.

    None without a path. Raises SettingsError where no such file can be made.
    """
    if path is None:
        yield None
        return
    target, file = _beside(path)
    try:
        with file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            yield table
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def _beside(path: Path) -> tuple[Path, TextIO]:
    """The file that is meant, links followed, and a new one beside it, for its owner only."""
    from zohosync.errors import SettingsError

    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            raise OSError(None, "it is not a plain file")
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - `written` closes it
            "w", dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part",
            encoding="utf-8", newline="", delete=False,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"{str(path)!r} cannot be written: {why}",
            place="--csv",
            next_step="name a file in a folder that exists and that you may write to",
        ) from None
    return target, file  # type: ignore[return-value]


async def plan_one(screen: Screen, settings: "Settings", kind: str, key: str) -> int:
    """The step of one record, with each field as it is and as it would be."""
    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance
    from zohosync.core import steps
    from zohosync.core.figures import calls_of
    from zohosync.core.kinds import KINDS
    from zohosync.core.listing import changes_of
    from zohosync.core.plan import plan
    from zohosync.core.records import Desired, Ref
    from zohosync.engine.passes import Rehearser
    from zohosync.engine.worker import unless_renamed
    from zohosync.store.history import History
    from zohosync.wiring import policy_of

    ref = Ref(kind, key)
    async with open_project(settings, chance=Chance()) as project:
        history = History(project.database, project.org_id)
        policy = policy_of(settings, project.installation)
        desired = (await project.source.desired([ref])).get(ref)
        known = await history.known(kind, [key])
        if desired is None and not known:
            screen.line(f"{ref} is not known, and its mapping returns no such row.")
            screen.next_step("see that the key is the `key` of the mapping, as text")
            screen.result({"known": False, "row": False})
            return FAILED
        if desired is None:
            claim = known[key]
            step = plan(None, claim, {}, policy)
            if isinstance(step, steps.Transition):
                step = await unless_renamed(step, claim, project.source, project.records)
        else:
            rehearser = Rehearser(project.source, policy, records=project.records, history=history)
            (_, claim, step), *_ = await rehearser.steps(kind, [desired])
    wanted = desired or Desired(ref)
    calls = calls_of(step, KINDS[kind], desired.state if desired else None)
    said, changes = steps.as_json(step), list(changes_of(step, wanted, claim))
    why, noun = said.get("reason"), "call" if calls == 1 else "calls"
    screen.line(f"{ref}: {said['step']}{f' ({why})' if why else ''}, {calls} {noun}")
    rows = [
        (each.field, short(each.before, 70), short(each.after, 70))
        for each in changes
        if not (why and each.field == "reason")
    ]
    if rows:
        screen.table(("field", "accepted last", "would be"), rows)
    screen.line("Nothing was sent.")
    screen.next_step(f"zohosync why {ref.arguments}")
    screen.result(
        {
            "kind": kind, "key": key, **said, "before": claim.payload, "calls": calls,
            "changes": changes_json(changes),
        }
    )  # fmt: skip
    return OK


def say_money(screen: Screen, money: "Money") -> list[dict[str, str]]:
    """The sums by topic, kind and currency, then what they warn of; returns the warnings."""
    rows = [
        (f"{kind} {words}", found.count, sum_words(kind, found, currency))
        for topic, words in _WORDS.items()
        for (kind, currency), found in money.of(topic).items()
    ]
    if rows:
        screen.table(("money", "records", "sum"), rows)
    warnings = warnings_of(money)
    for each in warnings:
        screen.line(f"! {each['warning']}", style="yellow")
        screen.line(f"  Next: {each['next_step']}")
    return warnings


def money_json(money: "Money") -> list[dict[str, Any]]:
    """Every sum, whole; `unknown` records are not in it, of `before_tax` the tax is not."""
    return [
        {"kind": kind, "topic": topic, "currency": currency or None, "count": found.count,
         "sum": found.amount, "unknown": found.unknown, "before_tax": found.untaxed}
        for (kind, topic, currency), found in sorted(money.sums.items())
    ]  # fmt: skip


def warnings_of(money: "Money") -> list[dict[str, str]]:
    """What a person should see to before anything is sent, each with its next step."""
    from zohosync.core.money import ENDING

    told = [
        *(
            _warning(
                f"{count:,} {kind}{sums} are overdue the moment they are opened: Zoho's payment "
                "reminders may write to those customers",
                "turn the reminders off before (Zoho: Settings → Reminders → Automated "
                "Reminders; docs/go-live.md)",
            )
            for kind, count, sums in _together(money, "overdue")
        ),
        *(
            _warning(
                f"{count:,} {kind}{sums} start before today: Zoho may raise an invoice of its own "
                f"for each, and is asked to for {_asked(money, kind):,} (create_backdated_invoice)",
                "those invoices must be raised_by 'zoho' in the mapping, or they are billed twice "
                "(docs/mapping.md, docs/go-live.md)",
            )
            for kind, count, sums in _together(money, "backdated")
        ),
        *(
            _warning(
                f"{count:,} {kind}{sums} that we raise name a record from which Zoho raises "
                "invoices, too",
                "see that none of them is one that Zoho raises: those are raised_by 'zoho' "
                "(docs/mapping.md)",
            )
            for kind, count, sums in _together(money, "twice")
        ),
    ]
    for topic in (topic for topic in _WORDS if topic in ENDING):
        for kind, count, sums in _together(money, topic):
            warning = f"{count:,} {kind} {_WORDS[topic]}{sums}: the brake stops many at once"
            told.append(_warning(warning, f"see that each is meant: zohosync plan {kind} --all"))
    return told


def _warning(warning: str, next_step: str) -> dict[str, str]:
    return {"warning": warning, "next_step": next_step}


def _asked(money: "Money", kind: str) -> int:
    return sum(each.count for each in money.of("backdated_asked", kind).values())


def _together(money: "Money", topic: str) -> list[tuple[str, int, str]]:
    """Of each kind: how many records of a topic, and in brackets their sums, one per currency."""
    found, told = money.of(topic), []
    for kind in dict.fromkeys(kind for kind, _ in found):
        sums = {currency: each for (name, currency), each in found.items() if name == kind}
        words = [sum_words(kind, each, currency) for currency, each in sums.items()]
        text = f" ({'; '.join(words)})" if any(words) else ""
        told.append((kind, sum(each.count for each in sums.values()), text))
    return told


def sum_words(kind: str, found: "Sum", currency: str) -> str:
    """A sum for people, that says where it is not the whole; empty for what has no money."""
    from zohosync.core.kinds import KINDS

    if KINDS[kind].worth is None:
        return ""
    if found.unknown == found.count:
        return "amount not known"
    text = f"{currency} {amount_text(found.amount, currency)}".strip()
    notes = []
    if found.untaxed:
        all_of = found.untaxed == found.count - found.unknown
        notes.append("before tax" if all_of else f"before tax for {found.untaxed:,} of them")
    if found.unknown:
        notes.append(f"without {found.unknown:,} whose amount is not known")
        text = f"at least {text}"
    return ", ".join([text, *notes])


def amount_text(amount: Decimal, currency: str) -> str:
    """An amount with all its digits, and the places of its currency at least."""
    from zohosync.core.worth import places_of

    places = places_of(currency)
    places = 2 if places is None else places
    whole, _, below = f"{amount:,f}".partition(".")
    below = below.rstrip("0").ljust(places, "0")
    return f"{whole}.{below}" if below else whole
