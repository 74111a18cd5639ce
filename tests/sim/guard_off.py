"""How a guard is switched off: from outside, for the length of a `with`, in tests only."""

import builtins
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from sim import guard_kit as kit
from zohosync.simulate import process as processes
from zohosync.store import database as door

Off = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Guard:
    """What a guard protects, how it is switched off, and the case that must notice.

    `note` says what else has to be off, and why.
    """

    protects: str
    off: Off
    case: kit.Case
    note: str = ""


def name(place: Any, attribute: str, value: Any) -> Off:
    """Something else under that name of a module or class."""

    @contextmanager
    def off() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, attribute, value, raising=not hasattr(builtins, attribute))
            yield

    return off


def entry(place: Mapping[Any, Any], key: Any, value: Any) -> Off:
    """Something else under that key of a table."""

    @contextmanager
    def off() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(place, key, value)
            yield

    return off


def query(of: str, *changes: tuple[str, str]) -> Off:
    """Another text of a query; each text that is replaced has to be there, as often as it is."""

    @contextmanager
    def off() -> Iterator[None]:
        real = door._query
        text = real(of).decode()
        for old, new in changes:
            assert old in text, f"{of}.sql does not say {old!r} any more: the guard has moved"
            text = text.replace(old, new)
        patched = text.encode()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "_query", lambda named: patched if named == of else real(named))
            patch.setattr(processes, "_NAMES", {})  # the steps are named by the texts
            yield

    return off


def schema(do: str, undo: str) -> Off:
    """A statement that the database of a story begins with, and the one that undoes it."""
    return name(kit, "SCHEMA", [(do, undo)])


def together(*offs: Off) -> Off:
    """Several at once: guards that stand in for each other."""

    @contextmanager
    def off() -> Iterator[None]:
        with ExitStack() as stack:
            for each in offs:
                stack.enter_context(each())
            yield

    return off
