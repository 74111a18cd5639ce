"""Keeps a Zoho Billing organisation in step with Postgres billing tables."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zohosync.api import Sync, connect
    from zohosync.errors import ZohosyncError

__all__ = ["Sync", "ZohosyncError", "connect"]

_HOMES = {"connect": "zohosync.api", "Sync": "zohosync.api", "ZohosyncError": "zohosync.errors"}


def __getattr__(name: str) -> Any:
    """What applications use, imported when it is first asked for: the commands start faster."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
