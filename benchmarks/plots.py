"""Pictures of the governor's benchmark: calls by minute, how long a live change waits, the day."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.trial import Result

Found = Mapping[tuple[str, str], Result]

OURS, THEIRS, BULK, OTHERS = "#0b6e4f", "#b0413e", "#8fb8de", "#c9c9c9"
SHOWN_MIN = 130
"""Minutes of a run that are drawn."""


def draw(found: Found, folder: Path) -> None:
    """Write governor-*.png for those workloads that were run."""
    import matplotlib as mpl  # noqa: PLC0415 - in the group bench only

    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot as plt  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("calls", _calls), ("live", _live), ("day", _day)):
        figure = picture(found, plt)
        if figure is not None:
            path = folder / f"governor-{name}.png"
            figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
            plt.close(figure)


def _of(found: Found, work: str) -> dict[str, Result]:
    return {name: result for (which, name), result in found.items() if which == work}


def _calls(found: Found, pyplot: Any) -> Any:
    """Calls that reached the remote by minute, one row a strategy, on one scale."""
    runs = _of(found, "steady/zoho")
    if not runs:
        return None
    figure, axes = pyplot.subplots(
        len(runs), 1, figsize=(8, 0.85 * len(runs) + 0.6), sharex=True, squeeze=False
    )
    for axis, (name, result) in zip(axes[:, 0], runs.items(), strict=True):
        counts = result.curves.per_minute[:SHOWN_MIN]
        counts += [0] * (SHOWN_MIN - len(counts))
        colour = OURS if name.startswith("zohosync") else THEIRS
        axis.bar(range(SHOWN_MIN), [min(count, 130) for count in counts], width=1.0, color=colour)
        axis.axhline(100, color="black", linewidth=0.6, linestyle=":")
        axis.set_ylim(0, 130)
        axis.set_yticks([0, 100])
        seen = result.outcome
        axis.set_title(
            f"{name}: {seen.done:,} of {seen.wanted:,} records, {seen.blocks} blocks",
            loc="left",
            fontsize=8,
            pad=2,
        )
    axes[-1, 0].set_xlabel("minutes since the start (dotted: what the remote allows)")
    figure.suptitle(
        "Calls a minute, refused ones too: 5,000 records at once, 4 live changes a minute",
        fontsize=10,
    )
    figure.tight_layout(h_pad=0.4)
    return figure


def _live(found: Found, pyplot: Any) -> Any:
    """From a live change to its call: the share that waited no longer than so long."""
    runs = _of(found, "burst/zoho") or _of(found, "steady/zoho")
    if not runs:
        return None
    figure, axis = pyplot.subplots(figsize=(8, 4))
    for number, (name, result) in enumerate(runs.items()):
        late = [max(0.01, value) for value in result.curves.live_s]
        share = [(place + 1) / len(late) for place in range(len(late))]
        ours = name.startswith("zohosync")
        axis.step(
            late,
            share,
            where="post",
            label=name,
            linewidth=2.5 if ours else 1.1,
            color=OURS if ours else None,
            linestyle="-" if ours or number % 2 else "--",
            zorder=3 if ours else 2,
        )
    axis.set_xscale("log")
    ticks = {0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h",
             14400: "4 h"}  # fmt: skip
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.minorticks_off()
    axis.set_ylim(0, 1)
    axis.set_ylabel("share of the live changes")
    axis.set_xlabel("from the change to its call's arrival (those that never came: at the end)")
    axis.set_title("Live changes beside a backfill, with a burst of 40 in a minute", fontsize=10)
    axis.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _day(found: Found, pyplot: Any) -> Any:
    """A day by hour and lane: ours, and those of the others that are worth a look."""
    runs = _of(found, "day/zoho")
    if not runs:
        return None
    picked = [
        name for name in ("zohosync", "sliding window, 90 %", "guide's queue") if name in runs
    ]
    figure, axes = pyplot.subplots(
        1, len(picked), figsize=(9, 3.2), sharey=True, sharex=True, squeeze=False
    )
    for axis, name in zip(axes[0], picked, strict=True):
        below = [0] * 24
        hours = runs[name].curves.by_hour
        for lane, colour in (("live", OURS), ("others", OTHERS), ("bulk", BULK)):
            counts = hours[lane]
            axis.bar(range(24), counts, bottom=below, width=0.9, color=colour, label=lane)
            below = [low + count for low, count in zip(below, counts, strict=True)]
        seen = runs[name].outcome
        axis.set_title(
            f"{name}\nlive within a minute: {seen.live_within_a_minute} of "
            f"{len(runs[name].curves.live_s)}",
            fontsize=8,
            loc="left",
        )
        axis.set_xticks([0, 6, 12, 18])
        axis.set_xlabel("hour of the organisation's day")
    axes[0, 0].set_yscale("symlog", linthresh=50)
    axes[0, 0].set_ylabel("calls that were let in")
    axes[0, -1].legend(fontsize=7, frameon=False)
    figure.suptitle("A day's limit of 5,000; 12,000 records and 600 live changes want a call",
                    fontsize=10)  # fmt: skip
    figure.tight_layout()
    return figure
