"""The verbs for trying: demo (with --project a rehearsal), sandbox and simulate."""

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zohosync.cli.screen import (
    FAILED,
    HERE,
    INTERRUPTED,
    OK,
    AsJson,
    ProjectDir,
    Screen,
    settings_of,
    stopping,
)

if TYPE_CHECKING:
    from zohosync.sandbox import Sandbox
    from zohosync.simulate.run import Report


def demo(
    project: Annotated[
        Path | None,
        typer.Option("--project", "-p", help="Rehearse this project's own rows and mapping."),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=1.0, max=1_000.0, help="Times faster than real time.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Where its database is kept; a temporary place without.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the directory afterwards.")] = False,
    json: AsJson = False,
) -> int:
    """Sync a sample book into a pretend Zoho, with trouble on the way. Ends by itself.

    With --project a rehearsal: your own rows and mapping, under the limits of your plan,
    days in a minute. Your database is only read. Exit code 1 when records would fail.
    """
    from zohosync.demo import show
    from zohosync.errors import SettingsError

    if project is not None:
        from zohosync.cli.rehearse import rehearse

        if speed is not None:
            raise SettingsError("--speed is for the sample book: a rehearsal is as fast as it can")
        return rehearse(Screen(json), project, directory=directory, keep=keep)
    speed = speed or show.SPEED
    return show.run(as_json=json, speed=speed, directory=directory, keep=keep)


def sandbox(  # noqa: PLR0917 - options are not positional on a command line
    project: ProjectDir = HERE,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free.")] = 8470,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    limits: Annotated[
        str, typer.Option(help="Its limits: standard or premium as Zoho's plans, or none.")
    ] = "premium",
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same ids.")] = None,
    json: AsJson = False,
) -> int:
    """Be a pretend Zoho Billing on a port, until stopped; nothing is kept.

    Prints the environment that points a project at it.
    """
    screen = Screen(json)
    return asyncio.run(_sandbox(screen, project, host=host, port=port, plan=limits, seed=seed))


def simulate(  # noqa: PLR0917 - options are not positional on a command line
    project: ProjectDir = HERE,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same one makes the same run; any without.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=72.0, help="Virtual hours of trouble.")] = 4,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 2,
    faults: Annotated[
        str, typer.Option(help="What goes wrong: all, calm, a family, or one fault by its name.")
    ] = "all",
    trace: Annotated[
        Path | None, typer.Option(help="A file for all that happened, line by line.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Live through bad days in seconds, in virtual time; every promise is judged at the end.

    A made-up company, production's own engine, a real Postgres of its own and a pretend Zoho.
    """
    from zohosync.clock import Chance, SystemClock
    from zohosync.errors import SettingsError
    from zohosync.simulate.arena import Arena
    from zohosync.simulate.run import simulate as run
    from zohosync.simulate.troubles import rates_of
    from zohosync.testing.world import quick_folder

    del project
    screen = Screen(json)
    try:
        rates_of(faults)
    except ValueError as error:
        raise SettingsError(f"--faults: {error}") from None
    if trace is not None and not trace.resolve().parent.is_dir():
        raise SettingsError("There is no such folder for the trace", place=str(trace))
    seed = Chance().integer(1, 999_999) if seed is None else seed
    screen.line(f"Seed {seed}: {workers} workers for {hours:g} virtual hours, faults: {faults}.")
    clock = SystemClock()
    with (
        tempfile.TemporaryDirectory(prefix="zohosync-simulate-", dir=quick_folder()) as folder,
        screen.progress("virtual minutes") as meter,
    ):
        Path(folder).chmod(0o711)  # where root runs it, the server runs as somebody else
        total = round(hours * 60)
        with Arena(Path(folder, "postgres")) as arena:
            began = clock.monotonic()
            report = run(
                arena, seed, hours=hours, workers=workers, profile=faults,
                watch=lambda done: meter(round(done * 60), total, about=total),
            )  # fmt: skip
            seconds = clock.monotonic() - began
    if trace is not None:
        trace.write_text("\n".join(report.lines) + "\n", encoding="utf-8")
    _tell_of(screen, report, seconds)
    screen.result(report.as_json())
    return FAILED if report.violations else OK


def _tell_of(screen: Screen, report: "Report", seconds: float) -> None:
    screen.table(("fault", "times"), list(report.faults.items()))
    standing = ", ".join(f"{count} {status}" for status, count in report.records.items())
    screen.line(
        f"{report.virtual_hours:g} virtual hours in {seconds:.1f} s, the quiet included: "
        f"{report.acts} changes by the company, {report.calls} calls; records: {standing}."
    )
    screen.line(f"Trace {report.trace[:16]}: the same seed gives the same.")
    for violation in report.violations:
        screen.line(f"Broken promise ({violation.oracle}): {violation.what}", style="red")
    again = f"zohosync simulate --seed {report.seed} --hours {report.hours:g}"
    again += f" --workers {report.workers} --faults {report.profile}"
    if report.violations:
        screen.next_step(f"{again} --trace FILE tells how it came to that")
    else:
        screen.line("Every promise was kept.", style="green")
        screen.next_step(f"zohosync simulate --seed {report.seed + 1}")


async def _sandbox(
    screen: Screen, project: Path, *, host: str, port: int, plan: str, seed: int | None
) -> int:
    from zohosync.clock import Chance, SystemClock
    from zohosync.errors import SettingsError
    from zohosync.sandbox import Sandbox, SandboxLimits, serving
    from zohosync.settings import FILE

    limits = {
        "standard": SandboxLimits(in_flight=5, per_day=1_000),
        "premium": SandboxLimits(),
        "none": SandboxLimits.lifted(),
    }
    if plan not in limits:
        raise SettingsError(f"--limits is {plan!r}: it must be one of {', '.join(limits)}")
    zone, currency = "UTC", "ZAR"
    if (project / FILE).is_file():  # as the project says, so that its days and money agree
        organization = settings_of(project).organization
        zone, currency = organization.time_zone, organization.currency or currency
    pretend = Sandbox(
        clock=SystemClock(), chance=Chance(seed), limits=limits[plan], time_zone=zone,
        currency=currency,
    )  # fmt: skip
    stop = asyncio.Event()
    with stopping(stop, lambda _: None) as signals:
        try:
            async with serving(pretend, host, port) as url:
                _announce(screen, pretend, url)
                await stop.wait()
        except OSError as error:
            raise SettingsError(
                f"The sandbox cannot listen there: {error.strerror}",
                place=f"{host}:{port}",
                next_step="choose another --port (0: any that is free)",
            ) from None
    return INTERRUPTED if "SIGINT" in signals else OK


def _announce(screen: Screen, pretend: "Sandbox", url: str) -> None:
    environment = {
        "ZOHOSYNC_API_URL": url,
        "ZOHOSYNC_ACCOUNTS_URL": url,
        "ZOHOSYNC_ORGANIZATION_ID": pretend.organization_id,
        "ZOHOSYNC_CLIENT_ID": pretend.client_id,
        "ZOHOSYNC_CLIENT_SECRET": pretend.client_secret,
        "ZOHOSYNC_REFRESH_TOKEN": pretend.refresh_token,
    }
    screen.line(f"A pretend Zoho Billing listens on {url}; what it holds is forgotten at its end.")
    screen.line("Point a project at it, in another terminal:")
    screen.line()
    for name, value in environment.items():
        screen.line(f"export {name}={value}")
    screen.line()
    screen.line(f"Its ledger of everything it ever accepted: {url}/_sandbox/ledger")
    screen.next_step("in the project folder: zohosync migrate, zohosync backfill")
    screen.result({"url": url, "environment": environment})
