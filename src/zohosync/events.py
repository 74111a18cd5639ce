"""What happened, told to whoever listens: log lines, the live display, later the metrics."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from zohosync.core.records import Ref

_LOG = logging.getLogger("zohosync")


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """One attempt at one record came to its end."""

    ref: Ref
    step: str
    result: str
    status: str
    calls: int
    duration_ms: int
    message: str | None = None


@dataclass(frozen=True, slots=True)
class OrganizationTouched:
    """The organisation was closed, paused, or went down."""

    reason: str
    for_s: float | None


@dataclass(frozen=True, slots=True)
class Noted:
    """Anything else that an operator may want to read; `level` is a logging level."""

    message: str
    level: int = logging.INFO


Event = AttemptEnded | OrganizationTouched | Noted
Listener = Callable[[Event], None]


def log(event: Event) -> None:
    """Write an event as one log line."""
    match event:
        case AttemptEnded():
            level = logging.WARNING if event.status in ("failed", "uncertain") else logging.INFO
            _LOG.log(
                level,
                "%s %s: %s (%d calls, %d ms)%s",
                event.ref, event.step, event.result, event.calls, event.duration_ms,
                f": {event.message}" if event.message else "",
            )  # fmt: skip
        case OrganizationTouched(reason=reason, for_s=for_s):
            span = "" if for_s is None else f" for {for_s:.0f} s"
            _LOG.warning("organisation closed%s: %s", span, reason)
        case Noted(message=message, level=level):
            _LOG.log(level, "%s", message)
