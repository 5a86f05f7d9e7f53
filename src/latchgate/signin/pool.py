"""Digests of presented passwords: worked out in a small pool, remembered for a while, throttled.

Rule of this file: a flood of guesses may slow other guesses down, and nothing else. The pool is
bounded, its threads run at the lowest priority (a pool of normal priority halves bearer throughput
under a flood), the same guess is worked out once, and a password is remembered only under a keyed
digest over length-prefixed parts (ATTACKS D4.31, D4.32).
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from latchgate.core.model import Refused
from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret, same
from latchgate.signin.foreign import is_foreign
from latchgate.signin.foreign import like as hash_like
from latchgate.signin.password import HashError, hash_password
from latchgate.signin.throttle import Throttle

THREADS = 1  # argon2 spreads its lanes over threads of its own
MAX_WAITING = 32
MAX_MAKING = 8
MAX_RENEWING = 8
LEASE_SECONDS = 60.0
MAX_REMEMBERED = 10_000
_LOWEST = 19
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A stored hash of another system's whose password was right: what shall take its place."""

    credential_id: str
    before: bytes
    after: bytes

    def __repr__(self) -> str:
        return f"Renewal({self.credential_id})"


class Guess(Protocol):
    """A presented password; `like` is the stored hash, None where the account has none."""

    @property
    def password(self) -> Secret:
        """The password, NFC."""
        ...

    @property
    def like(self) -> bytes | None:
        """The stored hash in PHC form."""
        ...

    @property
    def account(self) -> str:
        """What was logged in to, namespace included."""
        ...

    @property
    def client(self) -> Address | None:
        """Who tried."""
        ...

    @property
    def credential_id(self) -> str:
        """Whose stored hash it is; empty where there is none."""
        ...


class Passwords:
    """What one process knows of presented passwords. Safe to use from many threads.

    `ticks` never jumps (seconds), `entropy` gives n random bytes, `on_renewal` is told, by one of
    the pool's threads, what shall be stored instead of a hash that another system made.
    """

    def __init__(
        self,
        *,
        ticks: Callable[[], float],
        entropy: Callable[[int], bytes],
        threads: int = THREADS,
        on_renewal: Callable[[Renewal], None] | None = None,
    ) -> None:
        self._ticks = ticks
        self._entropy = entropy
        self._on_renewal = on_renewal
        self._renewing: set[str] = set()
        self._key = entropy(32)
        # Stands in for the hash of an account that does not exist: the same work, never right.
        self._nobody_salt = entropy(16)
        self._throttle = Throttle()
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._under_way: dict[bytes, Future[Refused | None]] = {}
        self._making = 0
        self._pool = ThreadPoolExecutor(threads, "passwords", initializer=_step_back)

    def recall(self, guess: Guess) -> bytes | Refused | None:
        """Return the digest if it is remembered, or a refusal if no guess is free; else None."""
        name = self._name(guess)
        now = self._ticks()
        with self._lock:
            known = self._known.get(name)
            if known is not None and now < known[1]:
                return known[0]
            if name not in self._under_way:
                return self._throttled(guess, now)
        return None

    def submit(self, guess: Guess) -> Future[Refused | None]:
        """Have the digest worked out and remembered; the future holds why it was not, if so."""
        name = self._name(guess)
        with self._lock:
            found = self._under_way.get(name)
            if found is not None:
                return found
            if len(self._under_way) >= MAX_WAITING:
                return _settled(Refused(Reason.PASSWORDS_BUSY, "too many passwords are waiting"))
            # Asked and counted in one step, before it is known to be wrong: of many at once each
            # would else be the first.
            now = self._ticks()
            throttled = self._throttled(guess, now)
            if throttled is not None:
                return _settled(throttled)
            self._throttle.guessed(guess.account, guess.client, now)
            try:
                made = self._pool.submit(self._work, name, guess)
            except RuntimeError:
                return _settled(Refused(Reason.FAULT, "passwords are no longer checked here"))
            self._under_way[name] = made
        made.add_done_callback(lambda _: self._under_way.pop(name, None))
        return made

    def make(self, password: Secret, salt: bytes) -> Future[bytes | Refused]:
        """Have a new password (NFC) hashed by the same few threads, with 16 bytes of fresh salt.

        The future holds the hash in PHC form, or why there is none.
        """
        with self._lock:
            if self._making >= MAX_MAKING:
                busy: Future[bytes | Refused] = Future()
                busy.set_result(Refused(Reason.PASSWORDS_BUSY, "too many passwords are waiting"))
                return busy
            self._making += 1
            made = self._pool.submit(_hashed, password, salt)
        made.add_done_callback(self._made)
        return made

    def _made(self, _future: Future[bytes | Refused]) -> None:
        with self._lock:
            self._making -= 1

    def close(self) -> None:
        """Let go of the pool; what is under way is finished."""
        self._pool.shutdown(cancel_futures=True)

    def _work(self, name: bytes, guess: Guess) -> Refused | None:
        password, like = guess.password.reveal(), guess.like
        try:
            if like is None:
                derived = hash_password(password, self._nobody_salt).encode()
            else:
                derived = hash_like(password, like.decode()).encode()
        except ModuleNotFoundError:
            _log.error("passwords can't be checked: install latchgate[server]")
            return Refused(Reason.FAULT, "passwords can't be checked by this installation")
        except (HashError, UnicodeDecodeError, MemoryError) as error:
            _log.error("a stored password hash can't be checked: %s", error)
            return Refused(Reason.FAULT, "the stored hash can't be checked")
        except Exception:  # noqa: BLE001 - whatever fails is a refusal
            _log.exception("a password could not be checked")
            return Refused(Reason.FAULT, "the password could not be checked")
        now = self._ticks()
        right = like is not None and same(derived, like)
        with self._lock:
            if right:
                self._throttle.succeeded(guess.account, guess.client)
            self._known[name] = derived, now + LEASE_SECONDS
            self._known.move_to_end(name)
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        if right and like is not None and is_foreign(like):
            self._renew_later(guess, like)
        return None

    def _renew_later(self, guess: Guess, like: bytes) -> None:
        """Have a foreign hash replaced, after those who wait; the next use tries again if not."""
        name, told = guess.credential_id, self._on_renewal
        with self._lock:
            full = len(self._renewing) >= MAX_RENEWING
            if told is None or not name or full or name in self._renewing:
                return
            self._renewing.add(name)
        with suppress(RuntimeError):  # the pool was closed meanwhile
            self._pool.submit(self._renew, name, guess.password, like, told)

    def _renew(
        self, name: str, password: Secret, like: bytes, told: Callable[[Renewal], None]
    ) -> None:
        try:
            made = hash_password(password.reveal(), self._entropy(16)).encode()
            told(Renewal(name, like, made))
        except Exception:  # noqa: BLE001 - the old hash stays, and the next use tries again
            _log.exception("the hash of an imported password could not be replaced")
        finally:
            with self._lock:
                self._renewing.discard(name)

    def _throttled(self, guess: Guess, now: float) -> Refused | None:
        if self._throttle.allows(guess.account, guess.client, now):
            return None
        why = "too many wrong passwords of late, for this account or from this address"
        return Refused(Reason.PASSWORD_THROTTLED, why)

    def _name(self, guess: Guess) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in (guess.like or b"", guess.account.encode(), guess.password.reveal().encode()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()


def _hashed(password: Secret, salt: bytes) -> bytes | Refused:
    try:
        return hash_password(password.reveal(), salt).encode()
    except MemoryError:
        _log.error("a new password can't be hashed: no memory left")
        return Refused(Reason.PASSWORDS_BUSY, "there is no memory left to hash a password")


def _settled(refused: Refused) -> Future[Refused | None]:
    made: Future[Refused | None] = Future()
    made.set_result(refused)
    return made


def _step_back() -> None:
    """Give the calling thread the lowest priority: passwords are for when nothing else waits."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
