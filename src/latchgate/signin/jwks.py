"""Public keys of identity providers: fetched, kept for a while, fetched anew when one is missing.

Rule of this file: a token never says where keys are. Fetches are few however many key ids are made
up (a small allowance that refills), one at a time for each address, bounded in size and time, and
never follow a redirect. While an address can't be reached its keys go on for a bounded time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latchgate.signin.jose import PublicKey

FRESH_SECONDS = 300.0  # then fetched anew, while they go on being used
STALE_SECONDS = 3_600.0  # how long keys go on when their address can't be reached
ALLOWANCE = 2  # fetches at once, in each process
REFILL_SECONDS = 20.0  # for one more
MAX_BYTES = 262_144
MAX_SETS = 1_000  # the one that was asked for first goes: tenants name addresses too
FETCH_SECONDS = 5.0
_log = logging.getLogger(__name__)


class FetchError(Exception):
    """The keys could not be had; says why."""


@dataclass(slots=True)
class _Set:
    keys: tuple[PublicKey, ...] = ()
    read_at: float | None = None
    allowance: float = float(ALLOWANCE)
    counted_at: float = 0.0
    under_way: Future[None] | None = field(default=None, repr=False)


class KeySets:
    """The key sets of one process, by address. Safe to use from many threads.

    `fetch` returns the bytes behind an address or raises FetchError; `ticks` never jumps (seconds).
    `read` returns the keys in them or raises ValueError: of a JWK set, unless told. `threads` is
    how many are fetched at once.
    """

    def __init__(
        self,
        *,
        fetch: Callable[[str], bytes],
        ticks: Callable[[], float],
        read: Callable[[bytes], tuple[PublicKey, ...]] | None = None,
        threads: int = 2,
    ) -> None:
        self._fetch = fetch
        self._read = read
        self._ticks = ticks
        self._lock = threading.Lock()
        self._sets: dict[str, _Set] = {}
        self._pool = ThreadPoolExecutor(threads, "jwks")

    def find(self, address: str, key_id: str | None) -> tuple[PublicKey, ...] | Future[None] | None:
        """Return the keys of an address, a fetch to wait for, or None when none can be had.

        A set without a key of this id is fetched anew where the allowance lets it.
        """
        now = self._ticks()
        with self._lock:
            held = self._sets.setdefault(address, _Set(counted_at=now))
            if len(self._sets) > MAX_SETS:
                del self._sets[next(iter(self._sets))]
            if held.read_at is not None and now - held.read_at >= STALE_SECONDS:
                held.keys, held.read_at = (), None
            known = held.read_at is not None and (
                key_id is None or any(key.id == key_id for key in held.keys)
            )
            fresh = held.read_at is not None and now - held.read_at < FRESH_SECONDS
            if known and fresh:
                return held.keys
            started = held.under_way or self._start(address, held, now)
            if known or started is None:
                return held.keys if held.read_at is not None else None
            return started

    def held(self, address: str) -> tuple[PublicKey, ...] | None:
        """Return the keys that were last read, whatever is missing; None when there are none."""
        with self._lock:
            held = self._sets.get(address)
            return held.keys if held is not None and held.read_at is not None else None

    def _start(self, address: str, held: _Set, now: float) -> Future[None] | None:
        """Fetch in the background, if another fetch is allowed."""
        gained = (now - held.counted_at) / REFILL_SECONDS
        held.allowance = min(float(ALLOWANCE), held.allowance + gained)
        held.counted_at = now
        if held.allowance < 1.0:
            return None
        held.allowance -= 1.0
        try:
            held.under_way = self._pool.submit(self._renew, address, held)
        except RuntimeError:  # closed meanwhile
            return None
        return held.under_way

    def _renew(self, address: str, held: _Set) -> None:
        keys: tuple[PublicKey, ...] | None = None
        try:
            from latchgate.signin.jose import read_keys  # noqa: PLC0415 - not in the base install

            keys = (self._read or read_keys)(self._fetch(address))
            if not keys:
                _log.warning("%s holds no key that a signature can be checked with", address)
        except (FetchError, ValueError) as error:
            _log.warning("the keys at %s could not be read: %s", address, error)
        except ModuleNotFoundError:
            _log.error("keys can't be read: install latchgate[server]")
        except Exception:  # noqa: BLE001 - the next fetch meets the same fault
            _log.exception("the keys at %s could not be read", address)
        with self._lock:
            held.under_way = None
            if keys is not None:
                held.keys, held.read_at = keys, self._ticks()

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def fetch(address: str) -> bytes:
    """Fetch a key set; FetchError when it is too long, too slow or anything but a plain 200.

    Neither redirects nor proxies and passwords of the environment are followed.
    """
    import httpx2  # noqa: PLC0415 - not in the base install

    deadline = time.monotonic() + FETCH_SECONDS
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    held = bytearray()
    try:
        with (
            httpx2.Client(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", address, headers=headers) as answer,
        ):
            if answer.status_code != 200:  # noqa: PLR2004 - HTTP's own number
                raise FetchError(f"it answered {answer.status_code}")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise FetchError("it answered compressed")
            for chunk in answer.iter_raw():
                held += chunk
                if len(held) > MAX_BYTES:
                    raise FetchError(f"it is longer than {MAX_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise FetchError(f"it took longer than {FETCH_SECONDS:.0f} s")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise FetchError(f"{type(error).__name__}: {error}") from error
    return bytes(held)
