"""Scopes: what a request needs and a credential grants.

Rule of this file: an empty set means nothing is granted; "everything" is said only by `*`,
which a role or an operator's own credential may hold and nothing else implies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

SCOPE_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,31}:[a-z][a-z0-9._-]{0,63}")
EVERY = "*"


class Scopes(msgspec.Struct, frozen=True, gc=False):
    """An immutable set of scopes, or all of them (`every`)."""

    names: frozenset[str]
    every: bool

    @classmethod
    def of(cls, names: Iterable[str]) -> Scopes:
        """Build the set from scope names; `*` among them means every scope."""
        found = frozenset(names)
        return ALL if EVERY in found else cls(names=found, every=False)

    def __contains__(self, scope: str) -> bool:
        return self.every or scope in self.names

    def __and__(self, other: Scopes) -> Scopes:
        if self.every:
            return other
        if other.every:
            return self
        both = self.names & other.names
        if len(both) == len(self.names):
            return self  # one set for many credentials, which are remembered
        return Scopes(names=both, every=False)

    def __or__(self, other: Scopes) -> Scopes:
        if self.every or other.every:
            return ALL
        if not self.names:
            return other
        return Scopes(names=self.names | other.names, every=False)

    def lacking(self, wanted: Scopes) -> list[str]:
        """Return, sorted, what `wanted` holds and this set does not."""
        if self.every:
            return []
        return sorted(wanted.names - self.names) if not wanted.every else [EVERY]

    def listed(self) -> list[str]:
        """Return the names, sorted, as they are stored and shown; `["*"]` for every scope."""
        return [EVERY] if self.every else sorted(self.names)


ALL = Scopes(names=frozenset(), every=True)
NONE = Scopes(names=frozenset(), every=False)
