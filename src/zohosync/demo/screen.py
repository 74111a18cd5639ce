"""What the demo shows: a live table while it runs, and the closing one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from zohosync.clock import Clock
from zohosync.core.kinds import MAPPED
from zohosync.demo.audit import Audit
from zohosync.sandbox import Ledger

RESTING = ("synced", "skipped", "failed", "waiting")


@dataclass(slots=True)
class View:
    """How the run stands, as the display needs it."""

    started: Clock
    started_at: float = 0.0
    counts: Mapping[str, Counter[str]] = field(default_factory=dict)
    moving: int = 1
    calls: int = 0
    minute: int = 0
    blocks: int = 0
    share: float = 0.0

    def __post_init__(self) -> None:
        """Start the stopwatch."""
        self.started_at = self.started.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Real seconds since the start."""
        return self.started.monotonic() - self.started_at

    def update(
        self, counts: Mapping[str, Counter[str]], moving: int, calls: int, ledger: Ledger
    ) -> None:
        """Take in new figures."""
        self.counts, self.moving, self.calls = counts, moving, calls
        self.minute, self.blocks = ledger.largest_window(), ledger.blocks
        total = sum(each.total() for each in counts.values())
        done = sum(each["synced"] + each["skipped"] + each["failed"] for each in counts.values())
        self.share = done / total if total else 0.0


class Screen:
    """The terminal: a live table where there is one, plain lines elsewhere, or nothing at all."""

    def __init__(self, *, speed: float, quiet: bool) -> None:
        """`quiet` keeps standard output free for the JSON: lines go to standard error."""
        self._console = Console(stderr=quiet)
        self._speed = speed
        self._live: Live | None = None
        self._shown_s = 0.0
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=8, transient=True)
            self._live.start()

    def say(self, line: str) -> None:
        """One line about what happens now."""
        self._console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)

    def show(self, view: View) -> None:
        """The table as it is now; without a terminal a line every five seconds."""
        if self._live is not None:
            self._live.update(self._table(view))
        elif view.elapsed_s - self._shown_s >= 5:
            self._shown_s = view.elapsed_s
            self._console.print(
                f"  {view.share:4.0%} in step after {view.elapsed_s:.0f} s, {view.calls} calls, "
                f"{view.moving} records moving",
                soft_wrap=True,
            )

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self, view: View) -> Group:
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        for name in ("", "in step", "moving", "waiting", "failed", "skipped"):
            table.add_column(name, justify="left" if not name else "right")
        for kind in MAPPED:
            of = view.counts.get(kind, Counter())
            moving = of.total() - sum(of[status] for status in RESTING)
            cells = (of["synced"], moving, of["waiting"], of["failed"], of["skipped"])
            table.add_row(kind, *(str(cell or "·") for cell in cells))
        left_s = view.elapsed_s * (1 - view.share) / view.share if view.share > 0.02 else None
        eta = "" if left_s is None else f", about {left_s:.0f} s to go"
        minutes = view.elapsed_s * self._speed / 60
        line = (
            f"{view.calls} calls, at most {view.minute} in any minute, blocks {view.blocks}; "
            f"{minutes:.0f} min of Zoho's time in {view.elapsed_s:.0f} s{eta}"
        )
        bar = ProgressBar(total=1.0, completed=view.share, width=60)
        return Group(table, Text(""), Text(line), bar)

    def close(self, closing: Mapping[str, Any], judged: Audit) -> None:
        """The closing table, read back from the sandbox's ledger."""
        self.stop()
        console = self._console
        table = Table(title="Read back from the sandbox's ledger", title_justify="left")
        table.add_column("kind")
        for name in ("local", "eligible", "in Zoho", "failed", "waiting"):
            table.add_column(name, justify="right")
        names = ("local", "eligible", "in_zoho", "failed", "waiting")
        for kind, row in closing["kinds"].items():
            table.add_row(kind, *(str(row[name]) for name in names))
        console.print(table)
        for kind, row in closing["kinds"].items():
            for reason, count in row["reasons"].items():
                console.print(f"  {count} of {kind} failed: {reason}", soft_wrap=True)
        for difference in judged.differences[:10]:
            console.print(f"  DIFFERS {difference.ref} {difference.field}: "
                          f"{difference.here!r} here, {difference.there!r} in Zoho")  # fmt: skip
        for name in closing["lost"]:
            console.print(f"  LOST {name}")
        c = closing
        purposes = ", ".join(f"{count} {name}" for name, count in c["calls_by_purpose"].items())
        console.print(
            f"{c['calls']} calls in {c['virtual_minutes']} min of Zoho's time "
            f"({c['seconds']} s here, {c['speed']:g} times as fast); at most "
            f"{c['largest_minute']} in any minute of the 100 allowed\n"
            f"{c['calls_per_created_record']:.2f} calls per created record, "
            f"{c['calls_per_record']} per record with everything: {purposes}\n"
            f"blocks {c['blocks']} · duplicates {c['duplicates']} · differences "
            f"{c['differences']} · lost updates {c['lost_updates']} · e-mails {c['emails']} · "
            f"charges {c['charges']} · token refreshes {c['token_refreshes']}",
            soft_wrap=True,
        )
        if c["ok"]:
            console.print("\nNext: `zohosync init DIR` makes a project for your own tables.")
        else:
            console.print("\n[bold red]A promise was broken: see above.[/]")
