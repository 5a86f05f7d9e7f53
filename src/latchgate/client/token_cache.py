"""Tokens kept in files, for all processes of one user.

Rule of this file: a folder of mode 0700 and files of 0600 that belong to the user, or nothing is
kept. A file is written whole beside and then put in place; one that is broken counts as absent.
File names come from what is not secret. A token is found again only by whoever has the credential
that got it: 16 bits of a keyed digest notice another secret, and are too few to guess one by.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
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

_VERSION = 1
_LARGEST = 64 * 1024  # bytes; a project token with its facts is below 4 KiB


class TokenCache:
    """A folder of tokens; where nothing can be kept there safely, nothing is."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, or the user's own below `XDG_CACHE_HOME`; it is made when it is needed."""
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where the files are."""
        if self._folder is not None:
            return self._folder
        told = os.environ.get("XDG_CACHE_HOME")
        # The XDG specification has relative paths ignored.
        root = Path(told) if told and Path(told).is_absolute() else Path("~/.cache").expanduser()
        return root / "latchgate" / "tokens"

    def slot(self, names: Sequence[str], secrets: Sequence[Secret]) -> Slot:
        """Return the place of one credential's token; a context manager that frees its lock."""
        # Lengths go before the names, so that no two lists are written alike.
        told = "".join(f"{len(name)}:{name}" for name in names)
        return Slot(self.folder, hashlib.sha256(told.encode()).hexdigest()[:32], secrets)


USER_CACHE = TokenCache()


class Slot:
    """The place of one token: locked by one process at a time."""

    def __init__(self, folder: Path, name: str, credential: Sequence[Secret]) -> None:
        self._file = folder / f"{name}.json"
        self._lock_file = folder / f"{name}.lock"
        self._credential = "".join(
            f"{len(one.reveal())}:{one.reveal()}" for one in credential
        ).encode()
        self._descriptor: int | None = None
        self._usable = fcntl is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # frees the lock
            self._descriptor = None

    def locked(self) -> bool:
        """Take the lock if nobody has it; true also where there can be none to wait for."""
        if not self._usable:
            return True
        try:
            if self._descriptor is None:
                self._descriptor = self._opened()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            self._usable = False
        return True

    def read(self) -> Token | None:
        """Return the token that is kept for this credential, if any."""
        if not self._usable:
            return None
        try:
            with self._file.open("rb") as file:
                if not _private(os.fstat(file.fileno())):
                    return None
                told = json.loads(file.read(_LARGEST))
            return self._token(told)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, token: Token) -> None:
        """Keep a token; where that fails it is only not kept."""
        if not self._usable:
            return
        salt = secrets.token_bytes(16)
        told = {
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
        with contextlib.suppress(OSError):
            descriptor, beside = tempfile.mkstemp(dir=self._file.parent, prefix=".token-")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(told, file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(beside).replace(self._file)
            except BaseException:
                Path(beside).unlink(missing_ok=True)
                raise

    def _opened(self) -> int:
        folder = self._lock_file.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _private(folder.stat()):
            msg = "others may read the folder"
            raise OSError(msg)
        return os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _mark(self, salt: bytes) -> str:
        return hmac.digest(salt, self._credential, "sha256")[:2].hex()

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


def _private(status: os.stat_result) -> bool:
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = "not a text"
        raise TypeError(msg)
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = "not a number"
        raise TypeError(msg)
    return float(value)
