"""Files that hold credentials, read without trusting whoever else uses this machine.

Rule of this file: only regular files are read (a pipe in some folder would hold a program up), of
this user or root; another's are read where their path was given, which is the caller's word for
them. One that others can write is never read, and one that others can read warns: `.env` is made
so by most systems, and refusing it would have people put keys into their programs instead.
"""

from __future__ import annotations

import os
import shlex
import stat
import warnings
from pathlib import Path
from typing import NamedTuple

from latchgate.client.errors import SourceExposed
from latchgate.client.sources.source import Found, Lacking

LARGEST = 256 * 1024  # bytes
_POSIX = os.name == "posix"
# Not to wait for the other end of a pipe; on Windows, bytes as they are.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotRead(Exception):  # noqa: N818 - an outcome between this file and its readers
    """A file is there, and is not read: its `path`, and as the text why."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(why)
        self.path = path


class PrivateFile(NamedTuple):
    """A file that was read; `exposed` where others on this machine can read it too."""

    path: Path
    text: str
    exposed: bool

    def __repr__(self) -> str:
        return f"PrivateFile({str(self.path)!r})"

    def warn(self) -> None:
        """Warn, by SourceExposed, where others can read the credential that was found here."""
        if self.exposed:
            told = shlex.quote(str(self.path))
            msg = f"{self.path} can be read by others on this machine; mend it: chmod 600 {told}"
            warnings.warn(msg, SourceExposed, stacklevel=2)

    def warned(self, found: Found | Lacking) -> Found | Lacking:
        """Return what was found here, after the warning that goes with a credential."""
        if isinstance(found, Found):
            self.warn()
        return found


def private_file(path: Path, *, given: bool) -> PrivateFile | None:
    """Return a file, or None where there is none; `given` where the caller named its path.

    A byte order mark is left out. Raises NotRead.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        msg = f"can't be read ({error.strerror})"
        raise NotRead(msg, path) from None
    try:
        status = os.fstat(descriptor)
        why = _untrusted(status, given=given)
        if why is not None:
            raise NotRead(why, path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST:
        msg = f"is larger than {LARGEST // 1024} KiB"
        raise NotRead(msg, path)
    text = _decoded(content)
    if text is None:
        msg = "is not UTF-8"
        raise NotRead(msg, path)
    return PrivateFile(path, text, _POSIX and _exposed(status))


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with its `~` as the user's own folder, where that is known."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises where it is not


def working_folder() -> Path | None:
    """Return the working directory, unless it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return None


def home() -> Path | None:
    """Return the user's own folder, where there is one."""
    path = expanded("~")
    return path if path.is_absolute() else None


def config_homes() -> tuple[Path, ...]:
    """Return where a user's configuration is: `XDG_CONFIG_HOME` if it is set, `~/.config`."""
    told = os.environ.get("XDG_CONFIG_HOME")
    # The XDG specification has relative paths ignored.
    first = Path(told) if told and Path(told).is_absolute() else None
    own = home()
    second = own / ".config" if own is not None else None
    return tuple(dict.fromkeys(one for one in (first, second) if one is not None))


def _untrusted(status: os.stat_result, *, given: bool) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if _POSIX and status.st_mode & stat.S_IWOTH:
        return "can be written by everybody on this machine, and is not read for that"
    if _POSIX and not given and status.st_uid not in {0, os.geteuid()}:
        return "belongs to another user; give its path to have it read"
    return None


def _exposed(status: os.stat_result) -> bool:
    # A group that reads root's file was given it on purpose.
    others = stat.S_IROTH if status.st_uid != os.geteuid() else stat.S_IROTH | stat.S_IRGRP
    return bool(status.st_mode & others)


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
