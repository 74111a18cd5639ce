"""The settings of limits, lanes and pace: how each is read, and the limits that they make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zohosync.core.governor import BLOCK_MAX_S, Limits
from zohosync.core.kinds import MAPPED
from zohosync.core.options import Option, number
from zohosync.core.records import LANES, LIVE

NUMBERS = ("per_minute", "in_flight", "per_day", "per_second")
"""What may be said with the plan `custom` only."""

SPANS = ("block_s", "gap_s")
"""Times that may be said with any plan."""

_MOVING = ("start", "least", "most", "old", "shrink_over", "grow_under", "pause_s")

_SHARE = number(0, 0.9, whole=False)
_PART = number(0, 1, whole=False)
_WHOLE = number(1, 1_000_000, whole=True)
_LOWER = {name: lane for lane, name in LANES.items() if lane < LIVE}

OPTIONS = (
    Option("limits.per_minute", _WHOLE),
    Option("limits.in_flight", number(1, 100, whole=True)),
    Option("limits.per_day", number(1, 10_000_000, whole=True)),
    Option("limits.per_second", _WHOLE),
    Option("limits.block_s", number(1, BLOCK_MAX_S, whole=False)),
    Option("limits.gap_s", number(0, 1, whole=False)),
    Option("lanes.room", number(0, 50, whole=True)),
    Option("lanes.day_room", _SHARE),
    *(Option(f"lanes.{name}", _SHARE) for name in _LOWER),
    Option("lanes.others", _SHARE),
    *(Option(f"pace.{name}", number(1, 100, whole=True)) for name in ("start", "least", "most")),
    *(Option(f"pace.{name}", _PART) for name in ("old", "shrink_over", "grow_under")),
    *(Option(f"pace.size_{kind}", number(1, 1_000, whole=True)) for kind in MAPPED),
    Option("pace.pause_s", number(0, 60, whole=False)),
    *(Option(f"pace.pause_{kind}_s", number(0, 60, whole=False)) for kind in MAPPED),
)
"""All of them; where nothing is said, the plan's own number holds."""


def limits_from(values: Mapping[str, Any], base: Limits) -> Limits:
    """The plan's limits with what the settings say put in; None says nothing."""
    said = {name: value for name, value in values.items() if value is not None}
    own = {name: said[f"limits.{name}"] for name in (*NUMBERS, *SPANS) if f"limits.{name}" in said}
    simple = ("room", "day_room", "others")
    shares = {name: said[f"lanes.{name}"] for name in simple if f"lanes.{name}" in said}
    least = {lane: said[f"lanes.{n}"] for n, lane in _LOWER.items() if f"lanes.{n}" in said}
    pace = {name: said[f"pace.{name}"] for name in _MOVING if f"pace.{name}" in said}
    sizes = {k: said[f"pace.size_{k}"] for k in MAPPED if f"pace.size_{k}" in said}
    pauses = {k: said[f"pace.pause_{k}_s"] for k in MAPPED if f"pace.pause_{k}_s" in said}
    return replace(
        base,
        **own,
        shares=replace(base.shares, **shares, least={**base.shares.least, **least}),
        pace=replace(
            base.pace,
            **pace,
            sizes={**base.pace.sizes, **sizes},
            pauses_s={**base.pace.pauses_s, **pauses},
        ),
    )


def in_words(limits: Limits) -> dict[str, str]:
    """Each of these settings as it holds, by its name."""
    shares, pace = limits.shares, limits.pace
    told: dict[str, Any] = {f"limits.{name}": getattr(limits, name) for name in (*NUMBERS, *SPANS)}
    told |= {f"lanes.{name}": getattr(shares, name) for name in ("room", "day_room", "others")}
    told |= {f"lanes.{name}": shares.least.get(lane, 0) for name, lane in _LOWER.items()}
    told |= {f"pace.{name}": getattr(pace, name) for name in _MOVING}
    told |= {f"pace.size_{kind}": pace.sizes.get(kind) for kind in MAPPED}
    told |= {f"pace.pause_{kind}_s": pace.pauses_s.get(kind, 0) for kind in MAPPED}
    return {name: "no limit" if value is None else f"{value}" for name, value in told.items()}
