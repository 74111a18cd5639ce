"""The protected file `.zohosync/secrets.toml`: who may read it, and how it is written anew.

What stands in it opens a company's books, so it is read only where nobody but its owner could have
read or replaced it. It is written whole or not at all, and never readable by others in between.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from zohosync.core.options import Document, OptionError
from zohosync.errors import SettingsError

FILE = ".zohosync/secrets.toml"


def read_protected(project: Path) -> Document | None:
    """The project's protected file, None where there is none.

    Raises SettingsError when others may read or replace it, OptionError when it is not TOML.
    """
    file = project / FILE
    if not file.exists():
        return None
    _see_that_it_is_ours(project, file)
    try:
        return Document(FILE, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"  # never what stands in it
        raise SettingsError(f"{file.name} cannot be read: {why}", place=str(file)) from None


def write_protected(project: Path, values: Mapping[str, str]) -> Path:
    """Put `section.key` values into the protected file; what else stands there is kept.

    Raises SettingsError where it may not be read, is a link, or cannot be written.
    """
    try:
        found = read_protected(project)
    except OptionError as error:
        raise SettingsError(error.what, place=error.place, next_step=error.next_step) from None
    content = {name: dict(section) for name, section in (found.content if found else {}).items()}
    for name, value in values.items():
        section, key = name.split(".")
        content.setdefault(section, {})[key] = value
    lines = ["# Kept by zohosync. Nobody else may read it."]
    for section, held in content.items():
        lines += [f"[{section}]", *(f"{key} = {_quoted(value)}" for key, value in held.items())]
    file = project / FILE
    try:
        _replace(file, "\n".join(lines) + "\n")
    except OSError as error:
        raise SettingsError(
            f"The protected file cannot be written: {error.strerror}",
            place=str(file),
            next_step="run it as the user to whom the project folder belongs",
        ) from None
    return file


def _see_that_it_is_ours(project: Path, file: Path) -> None:
    """Raise SettingsError where somebody else could have read the file, or put it there."""
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0:  # as root, one works for whoever has the project
        trusted.add(project.stat().st_uid)
    real = file.resolve()
    if stat.S_IMODE(real.stat().st_mode) & 0o077:
        what, step = "The file with the secrets can be read by others", f"chmod 600 {real}"
        raise SettingsError(what, place=str(file), next_step=step)
    for each in dict.fromkeys((file, real, file.parent, real.parent)):  # a link and its target
        said = each.lstat()
        if said.st_uid not in trusted:
            raise SettingsError(
                "The file with the secrets belongs to somebody else, who can change it",
                place=str(each),
                next_step=f"chown it to the user that runs zohosync, if you trust it: {each}",
            )
        if stat.S_ISDIR(said.st_mode) and stat.S_IMODE(said.st_mode) & 0o022:
            raise SettingsError(
                "The folder of the file with the secrets can be written to by others",
                place=str(each),
                next_step=f"chmod go-w {each}",
            )


def _replace(file: Path, text: str) -> None:
    """Write the whole file, or nothing of it; it belongs to whom the folder belongs."""
    if file.is_symlink():
        raise SettingsError(
            "The protected file is a link, and what it points to is kept by somebody else",
            place=str(file),
            next_step="change the secret where that file is made",
        )
    if not file.parent.exists():
        file.parent.mkdir(mode=0o711)  # the embedded Postgres in it may run as somebody else
    (file.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as writing:
        writing.write(text)
        writing.flush()
        if os.geteuid() == 0:
            owner = file.parent.stat()
            os.fchown(writing.fileno(), owner.st_uid, owner.st_gid)
        os.fsync(writing.fileno())
    draft.replace(file)


def _quoted(value: object) -> str:
    """A string as TOML has it: JSON's escapes are among TOML's."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
