"""What a line of an import is by itself: its credential and what that opens, or what is wrong.

Rule of this file: the database is not asked, so that another process may do it ahead of the one
that writes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.manage.import_lines import Found, ImportLine, LineError, find_credential, is_slow
from latchgate.manage.import_terms import Terms, terms_of

_MOST_TERMS = 5_000  # kept at a time; a file in which each line opens something else is read too
Numbered = tuple[int, ImportLine | str]


class Failure(msgspec.Struct, frozen=True):
    """A line that did not go in, counted from 1, and what is wrong with it."""

    line: int
    problem: str


class Ready(msgspec.Struct):
    """A line whose credential is known; `digest` is what is stored of it, when that is known."""

    number: int
    line: ImportLine
    found: Found
    terms: Terms
    digest: bytes | None = None

    def __repr__(self) -> str:
        return f"Ready({self.number}, {self.found!r})"


class Judged(msgspec.Struct):
    """Some lines: those that may go in, those that can't; `weak` is how many are slow to store."""

    ready: list[Ready] = []
    failed: list[Failure] = []
    weak: int = 0

    @property
    def lines(self) -> int:
        """How many lines these are."""
        return len(self.ready) + len(self.failed)


class Judge:
    """Judges lines under a policy; `given` is true of lines that do not say otherwise.

    `holds` is what whoever imports may hand out.
    """

    def __init__(self, policy: Policy, given: ImportLine, *, holds: Scopes = ALL) -> None:
        self._policy = policy
        self._holds = holds
        self._terms: dict[object, Terms] = {}
        told = msgspec.structs.asdict(given)
        self._given = {name: value for name, value in told.items() if value is not None}

    def judge(self, lines: Iterable[Numbered], *, now: float) -> Judged:
        """Judge all lines given, at Unix seconds."""
        judged = Judged()
        for number, told in lines:
            self.judge_one(number, told, judged, now=now)
        return judged

    def judge_one(self, number: int, told: ImportLine | str, judged: Judged, *, now: float) -> None:
        """Judge one line, or what a format found wrong with it, and add what came out."""
        if isinstance(told, str):
            judged.failed.append(Failure(number, told))
            return
        lacking = {name: self._given[name] for name in self._given if getattr(told, name) is None}
        line = msgspec.structs.replace(told, **lacking) if lacking else told
        try:
            found = find_credential(self._policy, line)
            terms = self._settled(found, line, now)
        except LineError as error:
            judged.failed.append(Failure(number, str(error)))
            return
        judged.ready.append(Ready(number, line, found, terms, found.digest))
        judged.weak += is_slow(found)

    def _settled(self, found: Found, line: ImportLine, now: float) -> Terms:
        """Return what a credential may open; many lines say the same, which is judged once."""
        key = (found.kind.name, line.services, line.scopes, line.networks, line.expires_at)
        known = self._terms.get(key)
        if known is None:
            known = terms_of(self._policy, found.kind, line, now)
            lacking = self._holds.lacking(known.scopes)
            if lacking:
                raise LineError(f"scopes: you don't hold {', '.join(lacking)}")
            if len(self._terms) > _MOST_TERMS:
                self._terms.clear()
            self._terms[key] = known
        return known
