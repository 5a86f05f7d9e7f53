"""The system's keyring, by PyPI's `keyring` (`pip install 'latchgate[keyring]'`).

Three entries are looked for: our own, of service `latchgate` and the cloud's name in lower case (or
a profile's), a JSON object of fields; and UpCloud's, as its own clients write them: service
`UpCloud`, where the user of `UPCLOUD_USERNAME` has the password and nobody ("") the token.

Rule of this file: a keyring that asks somebody to unlock it, and nobody does, holds no program up.
It is asked in a thread of its own, which is left behind; until that is answered, no other asks.
"""

from __future__ import annotations

import base64
import binascii
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import ModuleType
from typing import Any, TypeVar

from latchgate.client.errors import ClientError, SourceUnreadable
from latchgate.client.sources.answer import answered, written
from latchgate.client.sources.source import Found, Lacking, Wanted

SERVICE = "latchgate"
_UPCLOUD = "UpCloud"
_GO = "go-keyring-base64:"
_INSTALL = "pip install 'latchgate[keyring]'"
_NONE = "no such entry"
# Of keyring, and of what it uses on Linux.
_LOCKED = frozenset({"KeyringLocked", "LockedException", "PromptDismissedException"})
_USUAL_SECONDS = 15.0  # long enough for a person to type a password, short enough to wait

Passwords = Callable[[str, str], str | None]
_T = TypeVar("_T")


class Keyring:
    """The entry of a name, or those of the cloud that is asked for.

    `known` are fields that are no secret and belong to the entry; `timeout` is how many seconds the
    keyring has to answer; `passwords` asks another one for a service's and a user's.
    """

    def __init__(
        self,
        entry: str | None = None,
        *,
        known: Mapping[str, str] | None = None,
        timeout: float = _USUAL_SECONDS,
        passwords: Passwords | None = None,
    ) -> None:
        """Look at the entry of service `latchgate` that is called `entry`, or at the usual ones."""
        self._entry = entry
        self._known = dict(known or {})
        self._timeout = timeout
        self._passwords = _system if passwords is None else passwords

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Ask the keyring.

        Raises: SourceUnreadable where an entry is broken, CredentialInvalid where it contradicts
        itself.
        """
        # Read here: the environment may be another by the time that the thread runs.
        user = self._known.get("username") or os.environ.get("UPCLOUD_USERNAME", "")
        try:
            return _bounded(lambda: self._found(wanted, user), self._timeout, self._passwords)
        except _Closed as closed:
            return Lacking("keyring", str(closed), unreadable=True)

    def __repr__(self) -> str:
        return "Keyring()" if self._entry is None else f"Keyring({self._entry!r})"

    def _found(self, wanted: Wanted, user: str) -> Found | Lacking:
        entry = wanted.entry if self._entry is None else self._entry
        where = f"keyring {SERVICE}/{entry}"
        text = self._passwords(SERVICE, entry)
        if text is not None:
            return answered(text, wanted, where=where, known=self._known)
        if self._entry is not None:
            return Lacking(where, "no such entry", unreadable=True)
        return self._upclouds(wanted, user) if wanted.cloud == _UPCLOUD else Lacking(where, _NONE)

    def _upclouds(self, wanted: Wanted, user: str) -> Found | Lacking:
        if user and (password := self._passwords(_UPCLOUD, user)):
            values = {"username": user, "password": _plain(password)}
            return wanted.found(values, f"keyring {_UPCLOUD}/{user}")
        # Who named a user means their password, not a token that may be somebody else's.
        if "username" not in self._known and (token := self._passwords(_UPCLOUD, "")):
            return wanted.found({"token": _plain(token)}, f"keyring {_UPCLOUD}")
        return Lacking(f"keyring {SERVICE}/{wanted.entry}, {_UPCLOUD}", _NONE)


def keep(
    entry: str, cloud: str, fields: Mapping[str, str], *, timeout: float = _USUAL_SECONDS
) -> None:
    """Write our own entry, which `Keyring(entry)` reads; `cloud` is its name in lower case.

    Raises SourceUnreadable where there is no keyring, or it stays locked.
    """
    _change(lambda: _keyring().set_password(SERVICE, entry, written(fields, cloud)), timeout)


def forget(entry: str, *, timeout: float = _USUAL_SECONDS) -> bool:
    """Delete our own entry; returns whether there was one.

    Raises SourceUnreadable where there is no keyring, or it stays locked.
    """

    def delete() -> bool:
        if _system(SERVICE, entry) is None:
            return False
        _keyring().delete_password(SERVICE, entry)
        return True

    return _change(delete, timeout)


class _Closed(Exception):  # noqa: N818 - an outcome within this file
    """A keyring is not there, or doesn't open; the text says which."""


def _change(change: Callable[[], _T], timeout: float) -> _T:
    try:
        return _bounded(change, timeout, _system)
    except _Closed as closed:
        why = str(closed)
    msg = f"keyring: {why}"
    raise SourceUnreadable(msg)


def _keyring() -> ModuleType:
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        msg = f"not installed: {_INSTALL}"
        raise _Closed(msg) from None
    return keyring


def _system(service: str, user: str) -> str | None:
    told: str | None = _keyring().get_password(service, user)
    return told


_unanswered: dict[Passwords, Future[Any]] = {}
_guard = threading.Lock()


def _bounded(question: Callable[[], _T], timeout: float, keyring: Passwords) -> _T:
    """Return what a question to a keyring is answered; raises _Closed where it is not, in time."""
    answer: Future[_T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            answer.set_exception(error)

    with _guard:
        earlier = _unanswered.get(keyring)
        if earlier is not None and not earlier.done():
            msg = "locked: an earlier question is not answered yet"
            raise _Closed(msg)
        _unanswered.pop(keyring, None)
    threading.Thread(target=ask, name="latchgate-keyring", daemon=True).start()
    try:
        error = answer.exception(timeout)
    except TimeoutError:
        with _guard:
            _unanswered[keyring] = answer
        msg = f"locked, or not answering: nobody unlocked it within {timeout:g} s"
        raise _Closed(msg) from None
    if error is None:
        return answer.result()
    if isinstance(error, ClientError | _Closed):
        raise error
    raise _closed(error)


def _closed(error: BaseException) -> _Closed:
    """Say what a keyring's own error means, by its name: its words might repeat an entry."""
    name = type(error).__name__
    if name in _LOCKED:
        return _Closed("locked")
    if name == "NoKeyringError":
        return _Closed("this system has none that can be used")
    return _Closed(f"can't be opened ({name})")


def _plain(value: str) -> str:
    """Return what UpCloud's clients in Go wrote, which is base64 on some systems."""
    if not value.startswith(_GO):
        return value
    try:
        return base64.b64decode(value.removeprefix(_GO), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    msg = f"keyring {_UPCLOUD} begins {_GO} and is no base64 of a text"
    raise SourceUnreadable(msg)
