"""Refusals worded beforehand: what is told of one differs from the next in the decision's id alone.

Rule of this file: nothing a caller sent is kept, and nothing is prepared that was not seen to come
out as it is worded plainly. What words depend on is the policy's and the table's: the reason, the
dialect, the area, its rule, which of two representations is accepted, and how the gateway passes
it on.
"""

from __future__ import annotations

import msgspec

from latchgate.core.dialects import PLAINEST
from latchgate.core.dialects.upcloud import ulid
from latchgate.core.model import Decision
from latchgate.core.policy import Area, Rule
from latchgate.core.reason import Reason
from latchgate.doors.verify.wording import worded

MAX_PREPARED = 16_384
# Ids of decisions that were never made: where the first one stands, every other's goes.
_MARK, _OTHER = "5ec0de5ec0de5ec0de00", "f1a7f1a7f1a7f1a7f1a7"
_HEXADECIMAL = frozenset("0123456789abcdef")
_Key = tuple[int, str, int, int, str, str]


class _Answer(msgspec.Struct, gc=False, frozen=True):
    """An answer around its decision's id, and what it is of.

    That is kept, so that nothing else has its identity.
    `spelled` is the mark as UpCloud's problem documents tell it, where the answer holds it.
    """

    reason: Reason
    area: Area | None
    rule: Rule | None
    head: bytes
    tail: bytes
    spelled: bytes | None

    def of(self, decision_id: str) -> bytes:
        """Return the answer for one decision."""
        told = self.head + decision_id.encode() + self.tail
        if self.spelled is None:
            return told
        return told.replace(self.spelled, _spelled(decision_id))


class Prepared:
    """The answers to refusals under one version of the policy."""

    def __init__(self) -> None:
        self._known: dict[_Key, _Answer] = {}
        self._version = -1

    def __len__(self) -> int:
        return len(self._known)

    def worded(self, decision: Decision, method: str, url: str, accept: str) -> bytes:
        """Refuse in the provider's words, as `wording.worded` does."""
        plainest = PLAINEST.get(decision.dialect)
        key = (
            id(decision.reason),
            decision.dialect,
            id(decision.area),
            id(decision.rule),
            "/nginx" if url.startswith("/nginx") else "HEAD" if method == "HEAD" else "",
            "" if plainest is None else plainest(accept),
        )
        if decision.policy_version != self._version:
            self._known.clear()  # its areas are no more
            self._version = decision.policy_version
        answer = self._known.get(key) or self._prepare(key, decision)
        if answer is None:
            return worded(decision, method, url, accept)
        if answer.spelled is not None and not _is_drawn(decision.id):
            return worded(decision, method, url, accept)
        return answer.of(decision.id)

    def _prepare(self, key: _Key, decision: Decision) -> _Answer | None:
        if len(self._known) >= MAX_PREPARED:
            self._known.clear()
        answer = _prepared(decision, method=key[4], url=key[4], accept=key[5])
        # The identities in the key are held by the answer alone: without one it is not kept.
        if answer is not None:
            self._known[key] = answer
        return answer


def _prepared(decision: Decision, *, method: str, url: str, accept: str) -> _Answer | None:
    """Word a refusal of two ids: None unless one answer becomes the other by its id."""
    marked, other = (
        worded(msgspec.structs.replace(decision, id=one), method, url, accept)
        for one in (_MARK, _OTHER)
    )
    head, _, tail = marked.partition(_MARK.encode())
    spelled = _spelled(_MARK)
    answer = _Answer(
        decision.reason,
        decision.area,
        decision.rule,
        head,
        tail,
        spelled if spelled in marked else None,
    )
    return answer if answer.of(_OTHER) == other and answer.of(_MARK) == marked else None


def _spelled(decision_id: str) -> bytes:
    return ulid(0, int(decision_id, 16)).encode()


def _is_drawn(decision_id: str) -> bool:
    return len(decision_id) == len(_MARK) and _HEXADECIMAL.issuperset(decision_id)
