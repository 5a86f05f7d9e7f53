"""Acceptances that are remembered, so that the next request with the same secret repeats no work.

Rule of this file: a pass is believed only while it says nothing new. It is found by a digest of
what was sent, under keys that this process drew; it is attached to the very facts that were judged,
so that whatever drops them from the cache ends it too. What
differs between requests is looked at for each: the place, the client's address, the time. Whatever
is unusual is not remembered, and takes the whole way through `check`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from latchgate.core.model import Decision, Facts, Memo, Presented, Request
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.verify.cache import Cache
from latchgate.verify.hot import Derived
from latchgate.verify.locate import find, is_overridden
from latchgate.verify.walk import Place

if TYPE_CHECKING:
    from hashlib import _Hash

MAX_PASSES = 112_640
MAX_OPENED = 16  # rules that one pass is remembered for
# A dict's first entry is found by going past all that were there before: not for each one.
_AT_ONCE = 512
_KEY_BYTES = 64  # one block of SHA-256: it is digested once, not for each secret
_BRIEF = 1 << 22  # bits for secrets that were accepted once: one in 37 is taken for another
_MAX_SENT = 8_192  # characters: digesting what is longer is work that nobody is owed


class Pass(Derived, gc=False, eq=False, kw_only=True):
    """What one secret came to: valid before `until` (Unix seconds), from within all `networks`.

    `decision` is that of the rule it was used for last that had none, `others` are those before.
    """

    until: float
    networks: tuple[Networks, ...]
    decision: Decision
    others: tuple[Decision, ...] = ()


class Passes:
    """The passes of one engine; used under its lock. `entropy` gives n random bytes."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._begun: dict[str, _Hash] = {}  # by the header that a secret is sent in
        self._kept: dict[bytes, Pass] = {}
        self._once = bytearray(_BRIEF >> 3)  # of secrets that were accepted once, a bit each
        self._ones = 0

    def recall(self, request: Request, place: Place, cache: Cache, now: float) -> Decision | None:
        """Return what was decided of the same secret under the same rule, where it still holds."""
        told = self._digest(request, place)
        if told is None:
            return None
        known = self._kept.get(told)
        if known is None or not known.live or known.era is not cache.hot.era or now >= known.until:
            return None
        client = request.client
        for networks in known.networks:
            if client is None or client not in networks:
                return None
        area, rule, decision = place.area, place.rule, known.decision
        if decision.rule is rule and decision.area is area:
            return decision
        for decision in known.others:
            if decision.rule is rule and decision.area is area:
                return decision
        return None

    def remember(
        self,
        request: Request,
        policy: Policy,
        cache: Cache,
        presented: Presented,
        facts: Facts,
        decision: Decision,
    ) -> None:
        """Keep an acceptance whose only credential was `presented`, where it may be repeated."""
        place = find(request, policy)
        if not isinstance(place, Place) or not _repeats(presented, facts):
            return
        told = self._digest(request, place)
        if told is None:
            return
        kept = msgspec.structs.replace(decision, trace=(), memo=Memo())
        known = self._kept.get(told)
        if known is None and self._is_new(told):
            return
        if known is not None and known.facts is facts and known.live:
            if len(known.others) < MAX_OPENED - 1:
                known.others = (known.decision, *known.others)
                known.decision = kept
            return
        until, networks = _bounds(facts)
        made = Pass(facts=facts, until=until, networks=networks, decision=kept)
        if not cache.hot.attach(made):
            return
        if known is not None:
            cache.hot.detach(known)
        elif len(self._kept) >= MAX_PASSES:
            for oldest in list(islice(self._kept, max(1, MAX_PASSES // _AT_ONCE))):
                cache.hot.detach(self._kept.pop(oldest))
        self._kept[told] = made

    def _is_new(self, told: bytes) -> bool:
        """Whether a secret comes for the first time: many are used once, and take no place."""
        brief = hash(told) % _BRIEF
        at, bit = brief >> 3, 1 << (brief & 7)
        if self._once[at] & bit:
            return False
        if self._ones >= MAX_PASSES:
            self._once, self._ones = bytearray(_BRIEF >> 3), 0
        self._once[at] |= bit
        self._ones += 1
        return True

    def _digest(self, request: Request, place: Place) -> bytes | None:
        """Return what the sent secret is known by; None where more than it would have to be read.

        One header carries it, once, and nothing that asks for another method came with it.
        """
        headers, name = request.headers, None
        for carrier in place.carriers:
            if carrier in headers:
                if name is not None:
                    return None
                name = carrier
        if (
            name is None
            or request.repeated
            or request.fault is not None
            or request.scope is not None
            or (place.area.tls and not request.tls)
            or is_overridden(headers)
        ):
            return None
        sent = headers[name]
        if len(sent) > _MAX_SENT or not sent.isascii():
            return None
        begun = self._begun.get(name)
        if begun is None:
            begun = self._begun[name] = sha256(self._entropy(_KEY_BYTES))
        told = begun.copy()
        told.update(sent.encode())
        return told.digest()


def _repeats(presented: Presented, facts: Facts) -> bool:
    """Whether the same secret comes to the same again, but for what a pass looks at."""
    return (
        presented.login is None  # its throttle, and which of several secrets it is, are asked anew
        and presented.password is None
        and presented.assertion is None
        and facts.credential.access_rules is None  # they name paths
    )


def _bounds(facts: Facts) -> tuple[float, tuple[Networks, ...]]:
    """Return until when, and from where, a credential and all above it stand."""
    chain = [*_chain(facts)]
    ends = [one.credential.expires_at for one in chain]
    until = min((end for end in ends if end is not None), default=math.inf)
    return until, tuple(dict.fromkeys(_networks(chain)))


def _chain(facts: Facts) -> Iterator[Facts]:
    above: Facts | None = facts
    while above is not None:
        yield above
        above = above.parent


def _networks(chain: Sequence[Facts]) -> Iterator[Networks]:
    for facts in chain:
        if facts.credential.networks is not None:
            yield facts.credential.networks
        if facts.grant is not None and facts.grant.owner.networks is not None:
            yield facts.grant.owner.networks
