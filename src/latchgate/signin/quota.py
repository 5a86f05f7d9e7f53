"""How much one address may ask for that nobody has to sign in for.

Rule of this file: pure, the time is passed in, memory is bounded. Whoever is refused is told how
long to wait, and waits no longer for asking again.
"""

from __future__ import annotations

from collections import OrderedDict

from latchgate.core.network import Address
from latchgate.signin.throttle import site_of

MAX_SITES = 10_000


class Quota:
    """At most `times` in `seconds` for each address (an IPv6 network of 64 bits is one).

    For one event loop: not safe to share between threads.
    """

    def __init__(self, times: int, seconds: float, *, max_sites: int = MAX_SITES) -> None:
        self._times = times
        self._seconds = seconds
        self._max_sites = max_sites
        self._begun: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, client: Address | None, now: float) -> float:
        """Take one at `now` (a clock that never jumps); returns the seconds to wait, or 0."""
        key = site_of(client)
        begun, taken = self._begun.get(key, (now, 0))
        if now >= begun + self._seconds:
            begun, taken = now, 0
        if taken >= self._times:
            return begun + self._seconds - now
        self._begun[key] = begun, taken + 1
        self._begun.move_to_end(key)
        while len(self._begun) > self._max_sites:
            self._begun.popitem(last=False)
        return 0.0
