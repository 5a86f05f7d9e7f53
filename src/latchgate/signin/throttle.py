"""How often a password may be guessed: per account and address, per account, per address.

Rule of this file: what is counted is what was typed, so that an account that does not exist
behaves like one that does (ATTACKS D4.27, D4.28). Pure: the time is passed in, memory is bounded. A
right password that is still remembered never comes here, so guessing locks nobody out who is
already in.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from latchgate.core.network import Address

FREE_FAILURES = 5  # then each doubles the wait
FIRST_WAIT = 1.0
LONGEST_WAIT = 900.0
ACCOUNT_FAILURES = 100  # NIST SP 800-63B-4 §3.2.2: no more in a row, from wherever
ADDRESS_FAILURES = 200
FORGOTTEN_AFTER = 3_600.0
MAX_ENTRIES = 100_000
_V6_SITE_BITS = 64  # one subscriber holds a whole /64


@dataclass(slots=True)
class _Count:
    failures: int
    last: float


class Throttle:
    """The failures of late; not safe to share between threads without a lock."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._max_entries = max_entries

    def allows(self, account: str, client: Address | None, now: float) -> bool:
        """Whether one more guess may be made at `now` (seconds of a clock that never jumps)."""
        site = site_of(client)
        pair = self._count((account, site), now)
        if pair is not None and now < pair.last + _wait(pair.failures):
            return False
        for key, limit in ((account, ""), ACCOUNT_FAILURES), (("", site), ADDRESS_FAILURES):
            count = self._count(key, now)
            if count is not None and count.failures >= limit and now < count.last + LONGEST_WAIT:
                return False
        return True

    def guessed(self, account: str, client: Address | None, now: float) -> None:
        """Count a guess, as a wrong one until `succeeded` says otherwise."""
        site = site_of(client)
        for key in (account, site), (account, ""), ("", site):
            count = self._count(key, now) or _Count(0, now)
            count.failures += 1
            count.last = now
            self._counts[key] = count
            self._counts.move_to_end(key)
        while len(self._counts) > self._max_entries:
            self._counts.popitem(last=False)

    def succeeded(self, account: str, client: Address | None) -> None:
        """Take the last guess back, and forget the account's failures.

        The address keeps its others: else whoever has one account could try all the rest.
        """
        site = site_of(client)
        self._counts.pop((account, site), None)
        self._counts.pop((account, ""), None)
        count = self._counts.get(("", site))
        if count is not None:
            count.failures -= 1

    def _count(self, key: tuple[str, str], now: float) -> _Count | None:
        count = self._counts.get(key)
        if count is not None and now >= count.last + FORGOTTEN_AFTER:
            del self._counts[key]
            return None
        return count


def _wait(failures: int) -> float:
    if failures < FREE_FAILURES:
        return 0.0
    doublings = min(failures - FREE_FAILURES, 10)
    return min(FIRST_WAIT * float(1 << doublings), LONGEST_WAIT)


def site_of(client: Address | None) -> str:
    """Return what counts as one address: an IPv4 address, or an IPv6 network of 64 bits."""
    if client is None:
        return "unknown"
    if client.version == 4:  # noqa: PLR2004 - the protocol's number
        return str(client)
    return str(Address(client.version, client.value >> _V6_SITE_BITS << _V6_SITE_BITS))
