"""When what was granted ends by itself: what a memory of it elsewhere must not outlive."""

from __future__ import annotations

import math

from latchgate.core.model import ApplicationKey, Facts, Grant, Noun
from latchgate.verify.cache import Cache


def ends_at(cache: Cache, grant: Grant) -> float | None:
    """Return the first end of a credential, those above it and its program's key, in Unix seconds.

    Infinity where none of them has one; None where they are not all remembered.
    """
    facts = cache.facts.get(grant.credential.id)
    if facts is None or facts.credential != grant.credential:
        return None
    ends: list[float | None] = []
    above: Facts | None = facts
    while above is not None:
        ends.append(above.credential.expires_at)
        above = above.parent
    if grant.application is not None:
        key = cache.recall((Noun.APPLICATION_KEY, grant.application_key_id))
        if not isinstance(key, ApplicationKey):
            return None
        ends.append(key.expires_at)
    return min((end for end in ends if end is not None), default=math.inf)
