"""Statements of identity providers, proven by their keys in a few threads, and remembered.

Rule of this file: nothing here waits inside a decision. What is remembered is whom a statement
names and how long it holds, under a keyed digest over all that decided it; that the one it names is
linked, and to whom, is looked up at every request.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from latchgate.core.assertion import (
    Assertion,
    claims_fault,
    identity_digest,
    lifetime,
    read_statement,
)
from latchgate.core.model import Refused
from latchgate.core.reason import Reason
from latchgate.signin.jwks import KeySets

THREADS = 2
MAX_WAITING = 256
LEASE_SECONDS = 60.0
MAX_REMEMBERED = 10_000
_log = logging.getLogger(__name__)


class Claim(Protocol):
    """A presented statement, and when it must hold (Unix seconds)."""

    @property
    def assertion(self) -> Assertion:
        """The statement and whose it should be."""
        ...

    @property
    def now(self) -> float:
        """The time of the decision."""
        ...


@dataclass(frozen=True, slots=True)
class _Proven:
    digest: bytes
    begins: float
    ends: float
    forgotten_at: float


class Assertions:
    """What one process knows of presented statements. Safe to use from many threads.

    `ticks` never jumps (seconds), `entropy` gives n random bytes, `fetch` a key set's bytes.
    """

    def __init__(
        self,
        *,
        ticks: Callable[[], float],
        entropy: Callable[[int], bytes],
        fetch: Callable[[str], bytes],
    ) -> None:
        self._ticks = ticks
        self._key = entropy(32)
        self._keys = KeySets(fetch=fetch, ticks=ticks)
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, _Proven] = OrderedDict()
        self._under_way: dict[bytes, Future[Refused | None]] = {}
        self._pool = ThreadPoolExecutor(THREADS, "assertions")

    def recall(self, claim: Claim) -> bytes | Refused | None:
        """Return the digest of whom a proven statement names, or why it doesn't hold; else None."""
        name = self._name(claim.assertion)
        with self._lock:
            known = self._known.get(name)
            if known is None or self._ticks() >= known.forgotten_at:
                return None
        if claim.now < known.begins:
            return Refused(Reason.CREDENTIAL_EXPIRED, "the token does not hold yet")
        if claim.now >= known.ends:
            return Refused(Reason.CREDENTIAL_EXPIRED, "the token has expired")
        return known.digest

    def submit(self, claim: Claim) -> Future[Refused | None]:
        """Have a statement checked and remembered; the future holds why it is not proven, if so."""
        name = self._name(claim.assertion)
        done: Future[Refused | None] = Future()
        with self._lock:
            found = self._under_way.get(name)
            if found is not None:
                return found
            if len(self._under_way) >= MAX_WAITING:
                done.set_result(Refused(Reason.FAULT, "too many tokens are waiting"))
                return done
            self._under_way[name] = done
        done.add_done_callback(lambda _: self._under_way.pop(name, None))
        self._advance(claim.assertion, name, done, waited=False)
        return done

    def close(self) -> None:
        """Let go of the threads; what waits is refused."""
        self._keys.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for waiting in list(self._under_way.values()):
            _settle(waiting, Refused(Reason.FAULT, "tokens are no longer checked here"))

    def _advance(
        self, assertion: Assertion, name: bytes, done: Future[Refused | None], *, waited: bool
    ) -> None:
        """Check at once where the keys are there, else when they were fetched; hold no thread."""
        address = assertion.issuer.jwks_uri
        found = self._keys.held(address) if waited else self._keys.find(address, assertion.key_id)
        if isinstance(found, Future):
            found.add_done_callback(lambda _: self._advance(assertion, name, done, waited=True))
            return
        if found is None:
            why = f"the keys of {assertion.issuer.url} can't be had"
            _settle(done, Refused(Reason.FAULT, why))
            return
        keys = found

        def work() -> None:
            _settle(done, self._check(assertion, name, keys))

        try:
            self._pool.submit(work)
        except RuntimeError:
            _settle(done, Refused(Reason.FAULT, "tokens are no longer checked here"))

    def _check(self, assertion: Assertion, name: bytes, keys: tuple[object, ...]) -> Refused | None:
        try:
            return self._prove(assertion, name, keys)
        except Exception:  # noqa: BLE001 - whatever fails is a refusal
            _log.exception("a token could not be checked")
            return Refused(Reason.FAULT, "the token could not be checked")

    def _prove(self, assertion: Assertion, name: bytes, keys: tuple[object, ...]) -> Refused | None:
        from latchgate.signin.jose import PublicKey, fitting, signed  # noqa: PLC0415 - as in jwks

        token, algorithm = assertion.token.reveal(), assertion.algorithm
        known = [key for key in keys if isinstance(key, PublicKey)]
        key = fitting(known, assertion.key_id, algorithm)
        if key is None:
            return Refused(Reason.SECRET_WRONG, "its issuer has no such key for its algorithm")
        if not signed(token, key, algorithm):
            return Refused(Reason.SECRET_WRONG, "its signature is not its issuer's")
        told = read_statement(token)
        if told is None or isinstance(told, str):
            return Refused(Reason.CREDENTIAL_MALFORMED, told or "it is no token")
        fault = claims_fault(told.claims, assertion.issuer)
        if fault is not None:
            return Refused(Reason.SECRET_WRONG, fault)
        begins, ends = lifetime(told.claims)
        proven = _Proven(
            digest=identity_digest(assertion.issuer.url, told.claims["sub"]),
            begins=begins,
            ends=ends,
            forgotten_at=self._ticks() + LEASE_SECONDS,
        )
        with self._lock:
            self._known[name] = proven
            self._known.move_to_end(name)
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return None

    def _name(self, assertion: Assertion) -> bytes:
        issuer = assertion.issuer
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        parts = (issuer.url, issuer.jwks_uri, issuer.audience, assertion.algorithm)
        for part in (*parts, *issuer.algorithms, assertion.token.reveal()):
            told = part.encode()
            digest.update(len(told).to_bytes(8, "big"))
            digest.update(told)
        return digest.digest()


def _settle(done: Future[Refused | None], told: Refused | None) -> None:
    """Answer whoever waits, unless they were answered already."""
    with suppress(InvalidStateError):
        done.set_result(told)
