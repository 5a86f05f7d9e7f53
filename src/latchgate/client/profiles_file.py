"""The file of named profiles, `~/.config/latchgate/profiles.toml`.

Rule of this file: it may hold secrets, so nobody but its owner reads it, or it is refused; it is
written whole or not at all, by one process at a time. One form is written, TOML of texts and lists
of texts; whatever else stands there is refused by its name, never by its value.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from latchgate.client.errors import CredentialInvalid, SourceUnreadable

try:
    import fcntl
except ImportError:  # where there is no flock, the last one who writes wins
    fcntl = None  # type: ignore[assignment]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NOTE = "# Written by `latchgate profile`, which keeps no comments.\n"
_LARGEST = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One profile as the file has it; `source` is called `from` there."""

    cloud: str
    source: str
    url: str | None = None
    origins: tuple[str, ...] = ()
    ca: str | None = None
    file: str | None = None
    entry: str | None = None
    command: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


_TEXTS = ("cloud", "source", "url", "ca", "file", "entry")
_LISTS = ("origins", "command")
_TABLES = ("fields", "settings", "secrets")


def profiles_file() -> Path:
    """Return where the user's profiles are, or would be: below `XDG_CONFIG_HOME`."""
    told = os.environ.get("XDG_CONFIG_HOME")
    # The XDG specification has relative paths ignored.
    root = Path(told) if told and Path(told).is_absolute() else Path("~/.config").expanduser()
    return root / "latchgate" / "profiles.toml"


def read(path: Path | None = None) -> dict[str, Entry]:
    """Return every profile by its name; none where there is no file.

    Raises SourceUnreadable for a file that others can read, or that is not of this form.
    """
    path = profiles_file() if path is None else path
    try:
        with path.open("rb") as file:
            _guard(path, os.fstat(file.fileno()))
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            msg = f"{path} is larger than {_LARGEST} bytes"
            raise SourceUnreadable(msg)
        told = tomllib.loads(text.decode())
    except FileNotFoundError:
        return {}
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise SourceUnreadable(msg) from None
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: no TOML: {_placed(error)}"
        raise SourceUnreadable(msg) from None
    except (UnicodeDecodeError, RecursionError):
        msg = f"{path}: no TOML in UTF-8"
        raise SourceUnreadable(msg) from None
    return {name: _entry(path, name, table) for name, table in told.items()}


def names_of(entries: Collection[str]) -> str:
    """Say which profiles there are."""
    if not entries:
        return "there is none: latchgate profile add makes one"
    return f"there are: {', '.join(sorted(entries))}"


def put(name: str, entry: Entry, *, replacing: bool = False, path: Path | None = None) -> Path:
    """Write a profile into the file; returns which file.

    Raises: CredentialInvalid for a name that is none, or is taken and not to be replaced;
    SourceUnreadable.
    """
    if not NAME.fullmatch(name):
        msg = f"{name!r} is no name: letters, digits, - and _, at most 64, a letter or digit first"
        raise CredentialInvalid(msg)

    def changed(entries: dict[str, Entry]) -> None:
        if name in entries and not replacing:
            msg = f"there is a profile {name} already: remove it first, or say --replace"
            raise CredentialInvalid(msg)
        entries[name] = entry

    return _change(path, changed)


def remove(name: str, *, path: Path | None = None) -> Path:
    """Take a profile out of the file; returns which file.

    Raises: CredentialInvalid where there is none, SourceUnreadable.
    """

    def changed(entries: dict[str, Entry]) -> None:
        if entries.pop(name, None) is None:
            msg = f"no profile {name!r}; {names_of(entries)}"
            raise CredentialInvalid(msg)

    return _change(path, changed)


def _change(path: Path | None, changed: Callable[[dict[str, Entry]], None]) -> Path:
    path = profiles_file() if path is None else path
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(path.with_suffix(".lock")):
            entries = read(path)
            changed(entries)
            _write(path, _text(entries))
    except OSError as error:
        msg = f"{path}: {error.strerror}; nothing was changed"
        raise SourceUnreadable(msg) from None
    return path


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time change the file; the system frees what a dead one held."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    place = Path(os.path.realpath(path))  # whoever keeps it elsewhere, behind a link, still does
    descriptor, beside = tempfile.mkstemp(dir=place.parent, prefix=".profiles-")  # of mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(place)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _text(entries: Mapping[str, Entry]) -> str:
    parts = [_NOTE]
    for name in sorted(entries):
        entry = entries[name]
        parts.append(f"\n[{name}]\n")
        for one in (*_TEXTS, *_LISTS):
            value = getattr(entry, one)
            if value:
                parts.append(f"{_key(one)} = {_spelled(value)}\n")
        for one in _TABLES:
            table: Mapping[str, str] = getattr(entry, one)
            if table:
                parts.append(f"\n[{name}.{one}]\n")
                parts += [f"{_named(key)} = {_spelled(table[key])}\n" for key in sorted(table)]
    return "".join(parts)


def _key(attribute: str) -> str:
    return "from" if attribute == "source" else attribute


def _named(key: str) -> str:
    return key if NAME.fullmatch(key) else _spelled(key)


def _spelled(value: str | tuple[str, ...]) -> str:
    """Spell a text, or a list of them, as TOML does; a JSON text is one, but for DEL."""
    if isinstance(value, tuple):
        return f"[{', '.join(_spelled(one) for one in value)}]"
    try:
        value.encode()
    except UnicodeEncodeError:
        msg = "what was given holds bytes that are no UTF-8 text"
        raise CredentialInvalid(msg) from None
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _entry(path: Path, name: str, table: object) -> Entry:
    if not NAME.fullmatch(name) or not isinstance(table, dict):
        msg = f"{path}: {name!r} is no profile"
        raise SourceUnreadable(msg)
    known = {_key(one.name): one.name for one in fields(Entry)}
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known or not _fits(known[key], value):
            what = "is not of this form" if key in known else "is unknown"
            msg = f"{path}: profile {name}: {key!r} {what}"
            raise SourceUnreadable(msg)
        given[known[key]] = tuple(value) if isinstance(value, list) else value
    absent = [_key(one) for one in ("cloud", "source") if one not in given]
    if absent:
        msg = f"{path}: profile {name}: {', '.join(absent)} is missing"
        raise SourceUnreadable(msg)
    return Entry(**given)


def _fits(attribute: str, value: object) -> bool:
    if attribute in _TEXTS:
        return isinstance(value, str)
    if attribute in _LISTS:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _placed(error: tomllib.TOMLDecodeError) -> str:
    """Say where a file is no TOML, without what stands there."""
    place = re.search(r"\(at .*\)$", str(error))
    return place[0].strip("()") if place is not None else "see its form"


def _guard(path: Path, status: os.stat_result) -> None:
    if os.name != "posix":
        return
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        msg = f"{path} can be read by others; run: chmod 600 {path}"
        raise SourceUnreadable(msg)
    if status.st_uid != os.geteuid():
        msg = f"{path} belongs to somebody else"
        raise SourceUnreadable(msg)
