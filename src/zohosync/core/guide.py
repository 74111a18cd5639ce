"""The guide's central configuration: its names and units, each told in a setting of ours.

Every number of the guide's quick reference is a setting of the section `[guide]`, its name in
lower case and its value in the guide's own unit (milliseconds where it is a time). It feeds the
setting of ours that means the same, so that there is one number in force and not two. Two of the
guide's numbers are one here: a debounce and a flush of batched updates that follow each other add
up to a staleness that nobody stated, so both say how long the changes of a record are gathered
(worker.debounce_s).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from zohosync.core.governor import Limits
from zohosync.core.kinds import KINDS
from zohosync.core.limits import in_words
from zohosync.core.options import Option, OptionError, Origin, Read, number

BATCHED = tuple(name for name, kind in KINDS.items() if kind.guide_batch)
"""The kinds whose batches the guide gives a size."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a number of the guide's is here: the setting, and how many of the guide's make one."""

    ours: str
    value: int
    per: int = 1


_MS = 1_000
MEANINGS = MappingProxyType(
    {
        "request_delay": Meaning("limits.gap_s", 150, _MS),
        "batch_delay": Meaning("pace.pause_s", 3_000, _MS),
        "max_requests_per_minute": Meaning("limits.per_minute", 120),
        "max_retries": Meaning("worker.max_retries", 3),
        "retry_base_delay": Meaning("worker.retry_base_s", 5_000, _MS),
        "rate_limit_retry_delay": Meaning("limits.block_s", 600_000, _MS),
        "token_cache_ttl": Meaning("cache.token_ttl_s", 3_600_000, _MS),
        "org_data_cache_ttl": Meaning("cache.org_data_ttl_s", 86_400_000, _MS),
        "sync_status_cache_ttl": Meaning("cache.sync_status_ttl_s", 30_000, _MS),
        "metrics_calculation_interval": Meaning("upkeep.metrics_every_s", 86_400_000, _MS),
        "health_check_interval": Meaning("upkeep.health_every_s", 3_600_000, _MS),
        "alert_check_interval": Meaning("upkeep.alerts_every_s", 1_800_000, _MS),
        "sync_debounce_ms": Meaning("worker.debounce_s", 300_000, _MS),
        "batch_update_interval": Meaning("worker.debounce_s", 300_000, _MS),
    }
)
"""Each number of the guide's by its name, with the guide's own value."""

SIZES = "guide.batch_sizes"


def batch_sizes(value: Any) -> dict[str, int]:
    """A table of sizes by kind, or the same as text: `customers=5, invoices=10`."""
    if isinstance(value, str):
        parts = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {name.strip(): size.strip() for name, _, size in parts}
    if not isinstance(value, Mapping):
        raise ValueError("must be a table: { customers = 5, invoices = 10 }")  # noqa: TRY004
    read, sizes = number(1, 1_000, whole=True), {}
    for name, size in value.items():
        if name not in BATCHED:
            raise ValueError(f"names {name!r}: the guide has {', '.join(BATCHED)}")
        try:
            sizes[name] = int(read(size))
        except ValueError as error:
            raise ValueError(f"of {name} {error}") from None
    return sizes


OPTIONS = (
    *(Option(f"guide.{n}", number(0, 31_536_000_000, whole=True)) for n in MEANINGS),
    Option(SIZES, batch_sizes),
)
"""The section `[guide]`."""


def feed(values: dict[str, Any], origins: dict[str, Origin], readers: Mapping[str, Read]) -> None:
    """Let what `[guide]` says hold as the setting of ours that means it.

    Raises OptionError that names both where ours, or the guide's other name for it, says otherwise.
    """
    held = values, origins
    for name, meaning in MEANINGS.items():
        said = values[f"guide.{name}"]
        if said is not None:
            told = said / meaning.per if meaning.per > 1 else said
            _put(f"guide.{name}", meaning.ours, told, held, readers[meaning.ours])
    for kind, size in (values[SIZES] or {}).items():
        ours = f"pace.size_{kind}"
        _put(SIZES, ours, size, held, readers[ours])


def _put(
    name: str,
    ours: str,
    told: float,
    held: tuple[dict[str, Any], dict[str, Origin]],
    read: Callable[[Any], Any],
) -> None:
    values, origins = held
    source = origins[name].source
    try:
        value = read(told)
    except ValueError as error:
        raise OptionError(f"{name} means {ours}, which {error}", place=source) from None
    if origins[ours].source != "default" and values[ours] != value:
        other = origins[ours].source
        raise OptionError(
            f"{name} and {ours} mean the same and say different things: {told:g} and "
            f"{origins[ours].shown}",
            place=f"{source}; {other}",
            next_step="take one of them out",
        )
    if origins[ours].source == "default":
        values[ours] = value
        origins[ours] = Origin(ours, str(value), f"{name}, {source}")


def shown_as(
    values: Mapping[str, Any], origins: Mapping[str, Origin], limits: Limits
) -> dict[str, Origin]:
    """Each number of the guide's as it holds, whoever said it, in the guide's unit."""
    words = in_words(limits)
    told: dict[str, Origin] = {}
    for name, meaning in MEANINGS.items():
        full, ours = f"guide.{name}", meaning.ours
        if values[full] is not None:
            told[full] = origins[full]
            continue
        held = words.get(ours, str(values[ours]))
        text = f"{float(held) * meaning.per:.0f}" if _is_number(held) else held
        told[full] = Origin(full, text, f"{ours}: {origins[ours].source}")
    if values[SIZES] is None:
        sizes = ", ".join(f"{kind} {words[f'pace.size_{kind}']}" for kind in BATCHED)
        told[SIZES] = Origin(SIZES, sizes, origins[f"pace.size_{BATCHED[0]}"].source)
    return told


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
