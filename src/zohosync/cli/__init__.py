"""The command line: `zohosync VERB`."""

import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from zohosync.cli import (
    alerts,
    compare,
    foresee,
    health,
    install,
    keep,
    play,
    prepare,
    see,
    settle,
    steer,
    usage,
    work,
)  # fmt: skip
from zohosync.cli.screen import EXITS, FAILED, INTERRUPTED, OK, PANELS, WRONG, as_json


class _Panels(TyperGroup):
    """The verbs in their panels. Plain, since drawing them would take longer than all else."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        for panel in PANELS:
            verbs = [verb for name, verb in VERBS if name == panel]
            rows = [
                (verb.__name__, " ".join((verb.__doc__ or "").split("\n\n")[0].split()))
                for verb in verbs
            ]
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)


app = typer.Typer(
    name="zohosync",
    help="Keeps a Zoho Billing organisation in step with your own Postgres billing tables.",
    epilog=EXITS,
    add_completion=False,
    rich_markup_mode=None,
    cls=_Panels,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    ("try", play.demo), ("try", play.sandbox), ("try", play.simulate),
    ("set up", prepare.init), ("set up", prepare.login), ("set up", install.migrate),
    ("set up", prepare.check),
    ("look first", compare.compare), ("look first", foresee.plan),
    ("run", work.run), ("run", work.backfill), ("run", steer.retry), ("run", steer.pause),
    ("run", steer.resume), ("run", settle.settle),
    ("see", see.status), ("see", see.why), ("see", see.logs), ("see", usage.report),
    ("see", health.health), ("see", alerts.alerts),
    ("keep", see.settings), ("keep", keep.upkeep), ("keep", keep.forget),
)  # fmt: skip
for _, _verb in VERBS:
    app.command(epilog=health.EXITS if _verb is health.health else EXITS)(_verb)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Say which version this is."),
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"zohosync {installed('zohosync')}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """The `zohosync` command: runs a verb and leaves with its exit code, never with a traceback."""
    given = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(given, standalone_mode=False)
    except BaseException as error:  # noqa: BLE001 - the last place that can say it in words
        code = _failed(error, "--json" in given)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read us (head, less) has seen enough
        sys.stderr.close()
    sys.exit(code if isinstance(code, int) else OK)


def _failed(error: BaseException, in_json: bool) -> int:
    """Say what went wrong in one line; returns the exit code."""
    from zohosync.errors import SettingsError, ZohosyncError
    from zohosync.settings import debug

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if debug():
        import traceback

        traceback.print_exception(error)
    causes = list(_leaves(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return INTERRUPTED
    cause = next((each for each in causes if isinstance(each, ZohosyncError)), causes[0])
    code, words = FAILED, str(cause)
    if isinstance(cause, ZohosyncError):
        code = WRONG if isinstance(cause, SettingsError) else FAILED
    elif hasattr(cause, "format_message"):  # typer's own: a wrong command line
        code, words = WRONG, cause.format_message() + " (see --help)"
    elif isinstance(cause, BrokenPipeError):
        return OK
    elif isinstance(cause, OSError):
        words = f"{cause.strerror or cause} ({cause.filename or 'the machine'})"
    elif type(cause).__name__ in ("Abort", "Exit"):
        return int(getattr(cause, "exit_code", INTERRUPTED))
    else:
        words = f"a bug: {type(cause).__name__}: {cause} (ZOHOSYNC_DEBUG=1 shows where)"
    print(f"zohosync: {' '.join(words.split())}", file=sys.stderr, flush=True)
    if in_json:
        told: dict[str, Any] = {"error": words, "exit": code}
        for name in ("what", "place", "next_step"):
            if getattr(cause, name, None):
                told[name] = getattr(cause, name)
        print(as_json(told), flush=True)
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a group holds, or the one that it is."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
