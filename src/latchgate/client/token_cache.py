"""Tokens kept in files, for all processes of one user.

Rule of this file: a folder of mode 0700 and files of 0600 that belong to the user, or nothing is
kept. Every file is reached from the folder that was checked and through no symbolic link. A file is
written whole beside and then put in place; one that is broken counts as absent; nothing that goes
wrong here is more than a token that is not kept. Without `flock` (Windows) nothing is shared: each
process fetches for itself.

File names come from what is not secret. A token is found again only by whoever has the credential
that got it: 16 bits of a keyed digest notice another secret, all but one in 65,536. More would tell
more: whoever copies the files has a token for some hours, and must not get a way to try guesses at
the secret, which lives for years, without asking the server. 16 bits leave 2^112 of the secrets
that clouds make of 128.

A lock is a file that its holder removes when it is done; one whose holder was killed is free, and
the next to take it removes it. What else is left behind is swept up by the next who writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import math
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from latchgate.client.secret import Secret
from latchgate.client.token import Token

try:
    import fcntl
except ImportError:  # where there is no flock, each process fetches for itself
    fcntl = None  # type: ignore[assignment]
_SHARED: bool = fcntl is not None

_VERSION = 1
_LARGEST = 64 * 1024  # bytes; a project token with its facts is below 4 KiB
_TOKEN, _BESIDE, _LOCK = ".json", ".new", ".lock"
# Seconds after which a file that nobody touched is removed; a yearly job finds its refresh token.
_LEFT_BEHIND = {_TOKEN: 400 * 86_400.0, _BESIDE: 86_400.0, _LOCK: 86_400.0}
_BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class TokenCache:
    """A folder of tokens; where nothing can be kept there safely, nothing is.

    A process that holds a token's lock and shows no sign of life for `patience` seconds is taken
    for stuck, and another goes on: more than a request may take, so that no refresh token is used
    twice. An exchange that waits for a person gives a sign with every question to the server.
    """

    def __init__(self, folder: Path | None = None, *, patience: float = 40.0) -> None:
        """Use a folder, or the user's own below `XDG_CACHE_HOME`; it is made when it is needed."""
        self._folder = folder
        self.patience = patience

    @property
    def folder(self) -> Path | None:
        """Where the files are; None where the user has no home."""
        if self._folder is not None:
            return self._folder
        told = os.environ.get("XDG_CACHE_HOME")
        # The XDG specification has relative paths ignored.
        if told and Path(told).is_absolute():
            return Path(told, "latchgate", "tokens")
        try:
            return Path.home() / ".cache" / "latchgate" / "tokens"
        except RuntimeError:
            return None

    def slot(self, names: Sequence[str], secrets: Sequence[Secret]) -> Slot:
        """Return the place of one credential's token; a context manager that frees its lock.

        Neither may change when a token is renewed, or the token is not found again.
        """
        name = hashlib.sha256(_told(names)).hexdigest()[:32]
        return Slot(self.folder, name, _told([one.reveal() for one in secrets]))


USER_CACHE = TokenCache()


class Slot:
    """The place of one token: locked by one process at a time."""

    def __init__(self, folder: Path | None, name: str, credential: bytes) -> None:
        self._path = folder
        self._name = name
        self._credential = credential
        self._folder: int | None = None
        self._lock: int | None = None
        self._holds = False
        self._usable = _SHARED and folder is not None

    def __enter__(self) -> Self:
        _open.add(self)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        _open.discard(self)
        if self._holds and self._current():
            with contextlib.suppress(OSError):
                os.unlink(self._name + _LOCK, dir_fd=self._folder)
        self._let_go()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def locked(self) -> bool:
        """Take the lock if nobody has it; true also where there can be none to wait for."""
        while self._usable and not self._holds:
            try:
                if self._lock is None:
                    self._lock = self._opened(_LOCK, os.O_RDWR | os.O_CREAT, make=True)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not self._current():
                    self._let_go()  # as in `take_over`
                return False
            except (OSError, ValueError):
                self._usable = False
            else:
                self._holds = self._current()
                if self._holds:
                    self.touch()
                else:
                    self._let_go()  # its holder removed it between our opening and locking it
        return True

    def touch(self) -> None:
        """Show whoever waits that this holder lives."""
        if self._holds and self._lock is not None:
            with contextlib.suppress(OSError):
                os.utime(self._lock)

    @property
    def sign(self) -> int | None:
        """The holder's last sign of life, as a number that changes; None where nobody holds it."""
        return os.fstat(self._lock).st_mtime_ns if self._lock is not None else None

    def take_over(self) -> None:
        """Remove the lock of a holder that is stuck: one of those who wait gets the next."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            # Only one looks and removes at a time: nobody removes the lock that came after.
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                if self._current():
                    os.unlink(self._name + _LOCK, dir_fd=self._folder)
            finally:
                fcntl.flock(self._folder, fcntl.LOCK_UN)
        self._let_go()  # of the removed one: the next look takes what came in its place

    def read(self) -> Token | None:
        """Return the token that is kept for this credential, over or not, if any."""
        if not self._usable:
            return None
        try:
            with os.fdopen(self._opened(_TOKEN, os.O_RDONLY), "rb") as file:
                text = file.read(_LARGEST + 1)
            return self._token(json.loads(text)) if len(text) <= _LARGEST else None
        except _BROKEN:
            return None

    def write(self, token: Token) -> bool:
        """Keep a token, if the lock is still ours; returns whether that was done."""
        if not self._holds or not self._current():
            return False
        try:
            text = json.dumps(self._words(token)).encode()
            self._remove(self._name + _BESIDE)
            beside = self._opened(_BESIDE, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(beside, "wb") as file:
                file.write(text)
                file.flush()
                if token.refresh is not None:
                    os.fsync(beside)  # the one before it no longer counts
            os.replace(
                self._name + _BESIDE,
                self._name + _TOKEN,
                src_dir_fd=self._folder,
                dst_dir_fd=self._folder,
            )
        except (OSError, ValueError):
            self._remove(self._name + _BESIDE)
            return False
        self._sweep()
        return True

    def remove(self) -> None:
        """Remove the token that is kept, whosever secret got it."""
        with contextlib.suppress(OSError, ValueError):
            if self._usable and self._reached(make=False):
                self._remove(self._name + _TOKEN)

    def abandoned(self) -> None:
        """Close what a forked child got of its parent, whose lock it would hold on to."""
        for descriptor in (self._lock, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._folder = None
        self._holds = self._usable = False

    def _reached(self, *, make: bool) -> int:
        if self._folder is None and self._path is not None:
            if make:
                _make(self._path)
            self._folder = _checked(
                os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC),
                stat.S_ISDIR,
            )
        if self._folder is None:
            raise FileNotFoundError
        return self._folder

    def _opened(self, suffix: str, flags: int, *, make: bool = False) -> int:
        folder = self._reached(make=make)
        # Not to wait for whoever writes to a pipe that was put there.
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        return _checked(os.open(self._name + suffix, flags, 0o600, dir_fd=folder), stat.S_ISREG)

    def _current(self) -> bool:
        """Whether the lock that is open is the one that everybody else sees."""
        if self._lock is None:
            return False
        try:
            seen = os.stat(self._name + _LOCK, dir_fd=self._folder, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(seen, os.fstat(self._lock))

    def _let_go(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                # A child that was forked meanwhile may have it open still: closing does not do.
                fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
        self._lock = None
        self._holds = False

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._folder)

    def _sweep(self) -> None:
        if self._folder is None:
            return
        now = time.time()  # files have the system's time, whichever clock tokens go by
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                touched = entry.stat(follow_symlinks=False).st_mtime
                for suffix, age in _LEFT_BEHIND.items():
                    if entry.name.endswith(suffix) and touched < now - age:
                        self._remove(entry.name)

    def _mark(self, salt: bytes) -> str:
        return hmac.digest(salt, self._credential, "sha256")[:2].hex()

    def _words(self, token: Token) -> dict[str, object]:
        salt = os.urandom(16)
        return {
            "version": _VERSION,
            "salt": salt.hex(),
            "mark": self._mark(salt),
            "token": token.value.reveal(),
            "got_at": token.got_at,
            "renew_at": token.renew_at,
            "ends_at": token.ends_at,
            "refresh": token.refresh.reveal() if token.refresh is not None else None,
            "facts": token.facts,
            "after_refusal": token.after_refusal,
        }

    def _token(self, told: dict[str, object]) -> Token | None:
        if told["version"] != _VERSION or told["mark"] != self._mark(
            bytes.fromhex(_text(told["salt"]))
        ):
            return None
        refresh, facts = told["refresh"], told["facts"]
        if not isinstance(facts, dict):
            return None
        return Token(
            Secret(_text(told["token"])),
            got_at=_number(told["got_at"]),
            renew_at=_number(told["renew_at"]),
            ends_at=_number(told["ends_at"]),
            refresh=Secret(_text(refresh)) if refresh is not None else None,
            facts={_text(name): _text(value) for name, value in facts.items()},
            after_refusal=told["after_refusal"] is True,
        )


_open: set[Slot] = set()


def _after_fork() -> None:
    """Let go, in a child, of the locks that the parent held or waited for when it forked."""
    for slot in _open:
        slot.abandoned()
    _open.clear()


if _SHARED:
    os.register_at_fork(after_in_child=_after_fork)


def _make(folder: Path) -> None:
    # The XDG specification: what is missing is made for the user alone.
    for one in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        one.mkdir(mode=0o700, exist_ok=True)


def _checked(descriptor: int, kind: object) -> int:
    """Return a descriptor of what is the user's alone; any other is closed and raises OSError."""
    status = os.fstat(descriptor)
    others = status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    if callable(kind) and kind(status.st_mode) and status.st_uid == os.geteuid() and not others:
        return descriptor
    os.close(descriptor)
    msg = "not the user's alone"
    raise PermissionError(msg)


def _told(texts: Sequence[str]) -> bytes:
    # Lengths go before the texts, so that no two lists are written alike.
    return "".join(f"{len(one)}:{one}" for one in texts).encode("utf-8", "surrogatepass")


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = "not a text"
        raise TypeError(msg)
    value.encode()  # half a surrogate pair is no text either
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = "not a number"
        raise TypeError(msg)
    return float(value)
