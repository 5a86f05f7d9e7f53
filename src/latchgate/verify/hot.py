"""Facts of the credentials in use: what was put together last, and bounded.

Rule of this file: room is made by few at once, never by forgetting everything, and without a mark
for each use: a decision from memory finds its facts in a plain dict and writes nothing. What was
put together a second time, after it had made room or had been dropped, stands apart from what was
asked for once, so that many credentials used once each push out others of that sort alone.
"""

from __future__ import annotations

from itertools import islice

import msgspec

from latchgate.core.model import Facts

MAX_FACTS = 112_640
_ONCE = 10  # of so many places, one at least is for what is new
# A dict's first entry is found by going past all that were there before: not for each one. An
# OrderedDict finds it at once, and takes twice the memory.
_AT_ONCE = 512


class Derived(msgspec.Struct, gc=False, eq=False, kw_only=True):
    """What was made of facts, and stands no longer than they do: while `live`, in its `era`.

    That is one look at what is read anyway; asking for the facts themselves takes five. `former`
    is what else was made of the same facts before. The collector of cycles need not look at it:
    none of them is part of one.
    """

    facts: Facts
    era: object = None
    live: bool = False
    former: Derived | None = None


class Hot:
    """At most `limit` facts by credential id, in `facts`, which is for reading."""

    def __init__(self, limit: int = MAX_FACTS) -> None:
        self.facts: dict[str, Facts] = {}
        self.era = object()  # another one when everything is dropped
        self._derived: dict[str, Derived] = {}
        self._limit = limit
        self._least = limit // _ONCE
        # Ids in the order that they came.
        self._once: dict[str, None] = {}
        self._again: dict[str, None] = {}
        self._with_parents: set[str] = set()

    def keep(self, facts: Facts, *, again: bool) -> None:
        """Keep facts; `again` says that these are not the first of their credential."""
        credential = facts.credential
        self._forget(credential.id)
        while len(self.facts) >= self._limit:
            new = len(self._once) > self._least or not self._again
            oldest = islice(self._once if new else self._again, max(1, self._limit // _AT_ONCE))
            for one in list(oldest):
                self._forget(one)
        self.facts[credential.id] = facts
        (self._again if again else self._once)[credential.id] = None
        if credential.parent_id is not None:
            self._with_parents.add(credential.id)

    def attach(self, derived: Derived) -> bool:
        """Let something live as long as its facts; whether they are among these."""
        credential_id = derived.facts.credential.id
        if self.facts.get(credential_id) is not derived.facts:
            return False
        derived.former = self._derived.get(credential_id)
        self._derived[credential_id] = derived
        derived.era, derived.live = self.era, True
        return True

    def detach(self, derived: Derived) -> None:
        """Let go of something whose facts may live on."""
        derived.live = False
        credential_id = derived.facts.credential.id
        newest = one = self._derived.get(credential_id)
        if newest is derived:
            self._derived.pop(credential_id)
            if derived.former is not None:
                self._derived[credential_id] = derived.former
            return
        while one is not None:
            if one.former is derived:
                one.former = derived.former
            one = one.former

    def drop(self, credential_id: str) -> None:
        """Drop what a changed credential is part of: its own, and all that have a parent."""
        for one in (credential_id, *self._with_parents):
            self._forget(one)

    def clear(self) -> None:
        """Drop everything."""
        self.era = object()
        self.facts.clear()
        self._derived.clear()
        self._once.clear()
        self._again.clear()
        self._with_parents.clear()

    def _forget(self, credential_id: str) -> None:
        derived = self._derived.pop(credential_id, None)
        while derived is not None:
            derived.live = False
            derived = derived.former
        if self.facts.pop(credential_id, None) is not None:
            self._once.pop(credential_id, None)
            self._again.pop(credential_id, None)
            self._with_parents.discard(credential_id)
