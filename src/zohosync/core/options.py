"""How one setting is read and where it stands: values, TOML text, and faults in plain words."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class OptionError(Exception):
    """A setting that cannot be read: what, where, and what to do."""

    def __init__(self, what: str, *, place: str, next_step: str = "") -> None:
        """`what` is a sentence without its full stop."""
        super().__init__(what)
        self.what = what
        self.place = place
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Origin:
    """An effective value as it may be shown, and where it came from."""

    name: str
    shown: str
    source: str


class Secret:
    """A value that never shows itself; `reveal()` is the one way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """`value` in clear; space around it is a slip of pasting."""
        self._value = value.strip()

    def reveal(self) -> str:
        """The value in clear."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def is_local(url: str | None) -> bool:
    """Whether an address points at this machine."""
    return bool(url) and urlsplit(url or "").hostname in LOCAL_HOSTS


Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: how it is read (raises ValueError in words), and its environment name."""

    name: str
    read: Read
    default: Any = None
    env: str = ""
    secret: bool = False
    in_file: bool = True

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return self.env or "ZOHOSYNC_" + self.name.upper().replace(".", "_")


def text(value: Any) -> str | None:
    """Text or a number as text, None when empty."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be text")  # noqa: TRY004 - what settings raise
    return str(value).strip() or None


def secret_text(value: Any) -> Secret:
    """Text that is never shown."""
    return Secret(text(value) or "")


def names(value: Any) -> tuple[str, ...]:
    """A list of names; from the environment, parted by commas."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise ValueError('must be a list of names such as ["email", "phone"]')
    return tuple(each.strip() for each in listed if each.strip())


def choice(*names: str) -> Read:
    """One of these names."""

    def read(value: Any) -> str:
        if value not in names:
            close = difflib.get_close_matches(str(value), names, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(f"is {value!r}: it must be one of {', '.join(names)}{meant}")
        return str(value)

    return read


def number(low: float, high: float, *, whole: bool) -> Read:
    """A number within these bounds."""
    noun = "a whole number" if whole else "a number"

    def read(value: Any) -> int | float:
        try:
            if isinstance(value, bool):
                raise TypeError
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"is {value!r}: it must be {noun}") from None
        if not low <= number <= high or (whole and number != int(number)):
            raise ValueError(f"is {value}: it must be {noun} from {low:g} to {high:g}")
        return int(number) if whole else number

    return read


def address(value: Any) -> str | None:
    """An HTTPS address (HTTP on this machine) without a closing slash, None when empty."""
    url = text(value)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an address like https://api.example or http://127.0.0.1:8470")
    if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
        raise ValueError("would send tokens in clear: use https (http is for this machine only)")
    return url.rstrip("/")


def zone(value: Any) -> str:
    """The name of a time zone."""
    name = text(value) or ""
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise ValueError(f"is {value!r}: no such time zone (Africa/Johannesburg is one)") from None
    return name


def word_of(words: Iterable[str], what: str) -> Read:
    """One of the few words that there are for this, where there are any."""
    known = tuple(words)

    def read(value: Any) -> str:
        if not known:
            raise ValueError(f"is {value!r}: nothing is ever done with {what} that are gone")
        return str(choice(*known)(value))

    return read


def time_of_day(value: Any) -> str:
    """A time of day as HH:MM."""
    said = text(value) or ""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", said):
        raise ValueError(f'is {value!r}: it must be a time of day such as "02:30"')
    return said


def listening(value: Any) -> str | None:
    """Where to listen as HOST:PORT; of a port alone it is this machine only. None when empty."""
    said = text(value)
    if said is None:
        return None
    host, _, port = said.rpartition(":")
    host = host or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"is {value!r}: it must be a port such as 8480, or HOST:PORT")
    if (":" in host) != (host[:1] == "[" and host[-1:] == "]") or re.search(r"[\s/@]", host):
        raise ValueError(f"is {value!r}: the host is a name, an address, or an IPv6 one in []")
    return f"{host}:{int(port)}"


class Document:
    """A TOML file that can say where in it a key stands."""

    def __init__(self, name: str, content: str) -> None:
        """`name` is what the file is called in messages. Raises OptionError with the line."""
        self.name = name
        self.text = content
        try:
            self.content: dict[str, Any] = tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            raise OptionError(
                f"{name} is not TOML: {error}", place=name, next_step="correct that line"
            ) from None

    def at(self, name: str) -> str:
        """`file line N` of a dotted name, as far as it can be told."""
        *sections, key = name.split(".")
        here: list[str] = []
        for number, line in enumerate(self.text.splitlines(), 1):
            header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
            if header:
                here = header[1].replace('"', "").split(".")
                if here == [*sections, key]:
                    return f"{self.name} line {number}"
            elif here == sections and re.match(rf"\s*\"?{re.escape(key)}\"?\s*[=.]", line):
                return f"{self.name} line {number}"
        return str(self.name)

    def fail(self, name: str, why: str) -> OptionError:
        """The error about a setting of this file."""
        return OptionError(f"{name} {why}", place=self.at(name))

    def unknown(self, name: str, known: list[str]) -> OptionError:
        """The error about a key that is none of ours."""
        close = difflib.get_close_matches(name, known, 1, cutoff=0.5)
        step = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        return OptionError(f"There is no setting {name}", place=self.at(name), next_step=step)

    def value(self, name: str) -> Any:
        """The value of `section.key`, None when it is not there."""
        section, key = name.split(".")
        return self.content.get(section, {}).get(key)

    def refuse_unknown(self, sections: tuple[str, ...], names: list[str]) -> None:
        """Raise for the first section or key that nobody reads."""
        for section, content in self.content.items():
            if section not in sections:
                raise self.unknown(section, list(sections))
            if section in ("kinds", "watch"):
                continue
            if not isinstance(content, dict):
                raise self.fail(section, "is a section: write it as [" + section + "]")
            for key in content:
                if f"{section}.{key}" not in names:
                    known = [name for name in names if name.startswith(f"{section}.")]
                    raise self.unknown(f"{section}.{key}", known)


def has_password(url: str) -> bool:
    """Whether a database URL carries its password."""
    return bool(re.search(r"://[^/@\s]*:[^/@\s]+@|password\s*=", url))


def masked(secret: Secret) -> str:
    """Enough to see that it is there; of a database URL everything but the password."""
    url = re.match(r"(postgres(?:ql)?://)(?:([^:@/\s]*)(?::[^@]*)?@)?([^?\s]*)", secret.reveal())
    if url:
        return f"{url[1]}{url[2] + '@' if url[2] else ''}{url[3]}"
    return "********" if secret else ""


def read_table(
    document: Document, name: str, said: Any, readers: Mapping[str, Any]
) -> dict[str, Any]:
    """A table of a TOML file, each key with its reader. Raises OptionError."""
    if not isinstance(said, dict):
        raise document.fail(name, "must be a table of settings")
    read: dict[str, Any] = {}
    for key, value in said.items():
        if key not in readers:
            raise document.unknown(f"{name}.{key}", [f"{name}.{known}" for known in readers])
        nested = readers[key]
        if isinstance(nested, Mapping):
            read[key] = read_table(document, f"{name}.{key}", value, nested)
            continue
        try:
            read[key] = nested(value)
        except ValueError as error:
            raise document.fail(f"{name}.{key}", str(error)) from None
    return read


def slips(names: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """Names that are none of the known ones but so close to one that they are most likely slips."""
    known = set(known)
    strays = sorted(set(names) - known)
    close = ((name, difflib.get_close_matches(name, known, 1, cutoff=0.8)) for name in strays)
    return [(name, found[0]) for name, found in close if found]
