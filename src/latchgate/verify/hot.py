"""Facts of the credentials in use: what was put together last, and bounded.

Rule of this file: room is made one by one, never by forgetting everything, and without a mark for
each use: a decision from memory finds its facts in a plain dict and writes nothing. What was put
together a second time, after it had made room or had been dropped, stands apart from what was asked
for once, so that many credentials used once each push out others of that sort alone.
"""

from __future__ import annotations

from collections import OrderedDict

from latchgate.core.model import Facts

MAX_FACTS = 65_536
_ONCE = 10  # of so many places, one at least is for what is new


class Hot:
    """At most `limit` facts by credential id, in `facts`, which is for reading."""

    def __init__(self, limit: int = MAX_FACTS) -> None:
        self.facts: dict[str, Facts] = {}
        self._limit = limit
        self._least = limit // _ONCE
        # Ids in the order that they came; these let the first go in one step, a dict does not.
        self._once: OrderedDict[str, None] = OrderedDict()
        self._again: OrderedDict[str, None] = OrderedDict()
        self._with_parents: set[str] = set()

    def keep(self, facts: Facts, *, again: bool) -> None:
        """Keep facts; `again` says that these are not the first of their credential."""
        credential = facts.credential
        self._forget(credential.id)
        while len(self.facts) >= self._limit:
            new = len(self._once) > self._least or not self._again
            self._forget(next(iter(self._once if new else self._again)))
        self.facts[credential.id] = facts
        (self._again if again else self._once)[credential.id] = None
        if credential.parent_id is not None:
            self._with_parents.add(credential.id)

    def drop(self, credential_id: str) -> None:
        """Drop what a changed credential is part of: its own, and all that have a parent."""
        for one in (credential_id, *self._with_parents):
            self._forget(one)

    def clear(self) -> None:
        """Drop everything."""
        self.facts.clear()
        self._once.clear()
        self._again.clear()
        self._with_parents.clear()

    def _forget(self, credential_id: str) -> None:
        if self.facts.pop(credential_id, None) is not None:
            self._once.pop(credential_id, None)
            self._again.pop(credential_id, None)
            self._with_parents.discard(credential_id)
