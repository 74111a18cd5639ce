"""What every verb shares: options, output for people and for programs, errors, Ctrl-C."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.clock import SystemClock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from zohosync.clock import Clock
    from zohosync.events import Event
    from zohosync.settings import Settings

OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
EXITS = (
    "Exit codes: 0 done, 1 could not be done or found faults, "
    "2 the command or a setting is wrong, 130 stopped by Ctrl-C."
)
QUIET_S = 2.0
"""What takes longer than this shows that it goes on."""

LINE_EVERY_S = 10.0
"""How often progress is told where there is no terminal."""

LAST_LOOK_S = 5.0
"""How long a command that ends waits for what it shows in the end."""

PANELS = ("try", "set up", "look first", "run", "see", "keep")

ProjectDir = Annotated[
    Path, typer.Option("--project", "-p", help="The project folder.", show_default=True)
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on the last line of standard output.")
]
Kinds = Annotated[list[str] | None, typer.Argument(metavar="[KIND]...", show_default=False)]
HERE = Path()


class Screen:
    """Where a verb speaks: to people, or with `--json` to a program (people then on stderr)."""

    def __init__(self, as_json: bool) -> None:
        """Nothing is imported or written before it is needed."""
        self.as_json = as_json
        self._console: Console | None = None

    @property
    def console(self) -> "Console":
        """The terminal, or the pipe, that people read."""
        if self._console is None:
            from rich.console import Console

            stream = sys.stderr if self.as_json else sys.stdout
            width = None if stream.isatty() else 160
            self._console = Console(file=stream, width=width, highlight=False, markup=False)
        return self._console

    @property
    def live(self) -> bool:
        """Whether a person sees it being drawn."""
        return self.console.is_terminal

    def line(self, text: str = "", style: str | None = None) -> None:
        """A line for people."""
        self.console.print(text, style=style, soft_wrap=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None
    ) -> None:
        """A table for people; numbers to the right."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        cells = [[_cell(value) for value in row] for row in rows]
        # The box keeps a column free at either edge.
        widths, gap = fitted([columns, *cells], self.console.width - 2)
        table = Table(
            title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False,
            padding=(0, (gap - 1) // 2),
        )  # fmt: skip
        for place, column in enumerate(columns):
            numbers = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
            table.add_column(
                column, justify="right" if numbers else "left", overflow="fold",
                width=widths[place],
            )  # fmt: skip
        for row in cells:
            table.add_row(*row)
        self.console.print(table)

    def next_step(self, text: str) -> None:
        """The last line: what to do now."""
        self.line(f"Next: {text}", style="bold")

    def result(self, value: Mapping[str, Any]) -> None:
        """The one object for programs, on the last line of standard output."""
        if self.as_json:
            print(as_json(value), flush=True)

    @contextmanager
    def progress(self, what: str) -> Iterator["Meter"]:
        """Show how something goes that may take longer than two seconds."""
        meter = Meter(self, what)
        try:
            yield meter
        finally:
            meter.close()


class Meter:
    """A bar with an ETA in a terminal, a plain line now and then elsewhere."""

    def __init__(self, screen: Screen, what: str) -> None:
        """Shows nothing before it is told something."""
        self._screen = screen
        self._what = what
        self._clock = SystemClock()
        self._began = self._clock.monotonic()
        self._told_at = self._began - LINE_EVERY_S + QUIET_S
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __call__(
        self, done: int, total: int | None = None, note: str = "", *, about: int = 0
    ) -> None:
        """`done` of `total` (None: not known) are done; `about` is a guess of the total."""
        if about > done:
            from zohosync.core.figures import remaining_s, span_words

            left_s = remaining_s(done, about - done, self._clock.monotonic() - self._began)
            note = f"{note}, {span_words(left_s)} left" if left_s else note
        if self._screen.live:
            self._draw(done, total, note)
            return
        now = self._clock.monotonic()
        if now - self._told_at < LINE_EVERY_S:
            return
        self._told_at = now
        of = f" of {total:,}" if total is not None else ""
        self._screen.line(f"{self._what}: {done:,}{of}{'  ' + note if note else ''}")

    def close(self) -> None:
        """Leave the screen as it was."""
        if self._bar is not None:
            self._bar.stop()

    def _draw(self, done: int, total: int | None, note: str) -> None:
        if self._bar is None:
            if self._clock.monotonic() - self._began < QUIET_S / 4:
                return
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"), console=self._screen.console, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(self._what, total=total, note=note)
            self._bar.start()
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total, note=note)


class Told:
    """Listens to the engine: counts, and writes a line for each attempt where nobody watches."""

    def __init__(self, screen: Screen) -> None:
        """Where there is no terminal, lines go to standard error."""
        self.attempts = 0
        self.calls = 0
        self._screen = screen
        if not screen.live:
            lines = logging.StreamHandler(sys.stderr)
            lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            ours = logging.getLogger("zohosync")  # not the root: others would log addresses
            ours.addHandler(lines)
            ours.setLevel(logging.INFO)

    def __call__(self, event: "Event") -> None:
        """Take note of an event."""
        from zohosync.events import AttemptEnded, Noted, OrganizationTouched, log

        if isinstance(event, AttemptEnded):
            self.attempts += 1
            self.calls += event.calls
        if not self._screen.live:
            log(event)
            return
        match event:
            case AttemptEnded(status="failed" | "uncertain"):
                self._screen.line(f"{event.ref} {event.status}: {event.message}", style="red")
            case OrganizationTouched(reason=reason):
                self._screen.line(f"closed: {reason}", style="yellow")
            case Noted(message=message):
                self._screen.line(message, style="dim")


WORD_MAX = 24
"""A longer word (a key, a path) may be broken where a table would be too wide."""


def fitted(lines: Sequence[Sequence[str]], width: int) -> tuple[list[int], int]:
    """How wide a table's columns are, and the gap between them, so that it fits if it can.

    First the gaps give way, then the widest columns, as long as no word has to be broken.
    """
    columns = list(zip(*lines, strict=True))
    widths = [max(1, *map(len, column)) for column in columns]
    least = [
        max([1, *(min(len(word), WORD_MAX) for cell in column for word in cell.split())])
        for column in columns
    ]
    gap = 3
    if sum(widths) + gap * (len(widths) - 1) > width:
        gap = 1
    over = sum(widths) + gap * (len(widths) - 1) - width
    for floors in (least, [1] * len(widths)):
        while over > 0:
            room = [have - floor for have, floor in zip(widths, floors, strict=True)]
            if max(room) <= 0:
                break
            widest = max(range(len(widths)), key=lambda at: (room[at] > 0, widths[at]))
            widths[widest] -= 1
            over -= 1
    return widths, gap


def as_json(value: Any) -> str:
    """JSON on one line; Decimals digit for digit, instants as text."""
    import simplejson

    return simplejson.dumps(value, use_decimal=True, ensure_ascii=False, default=_plain)


def instant(value: Any) -> str:
    """An instant for people: UTC, to the second."""
    return f"{value:%Y-%m-%d %H:%M:%S}" if value is not None else ""


def settings_of(project: Path, flags: Mapping[str, Any] | None = None) -> "Settings":
    """The project's settings. Raises SettingsError."""
    from zohosync.settings import load

    return load(project, flags=flags)


def agreed(screen: Screen, place: str) -> bool:
    """Ask where somebody can answer. Raises SettingsError where nobody can, and --yes was not said.

    A question is on the screen already.
    """
    from zohosync.errors import SettingsError

    if not sys.stdin.isatty():
        what = "Nobody is there to be asked"
        raise SettingsError(what, place=place, next_step="look at it, and say --yes")
    screen.line("Is that so? [y/N]", style="bold")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def kinds_of(named: Sequence[str] | None, mapped: Sequence[str]) -> tuple[str, ...]:
    """The kinds that a command names, all mapped ones when it names none. Raises SettingsError."""
    import difflib

    from zohosync.errors import SettingsError

    for name in named or ():
        if name not in mapped:
            close = difflib.get_close_matches(name, mapped, 1)
            step = f"did you mean {close[0]}?" if close else f"there are {', '.join(mapped)}"
            raise SettingsError(f"There is no mapped kind {name!r}", next_step=step)
    return tuple(name for name in mapped if not named or name in named)


@asynccontextmanager
async def answering(clock: "Clock", place: str) -> AsyncIterator[None]:
    """A last look at the database at `place`, for LAST_LOOK_S. Raises DatabaseUnavailableError."""
    from zohosync.errors import DatabaseUnavailableError

    try:
        async with clock.timeout(LAST_LOOK_S):
            yield
    except TimeoutError:
        raise DatabaseUnavailableError(
            "The database does not answer, so what there was to tell is not known",
            place=place,
            next_step="see that it runs; the next `zohosync run` takes over what was under way",
        ) from None


@contextmanager
def stopping(stop: asyncio.Event, told: Callable[[str], None]) -> Iterator[list[str]]:
    """SIGINT and SIGTERM set `stop`, a second one ends the process; yields the signals that came.

    To be used inside the running loop.
    """
    loop = asyncio.get_running_loop()
    came: list[str] = []

    def heard(number: signal.Signals) -> None:
        came.append(number.name)
        if len(came) > 1:
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)
            raise KeyboardInterrupt
        told("stopping: what is under way comes to its end (again to stop at once)")
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, heard, each)
    try:
        yield came
    finally:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
