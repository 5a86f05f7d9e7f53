"""What a verifier remembers: records by (noun, id), exact against the journal.

Rule of this file: the order of ARCHITECTURE §6. The position moves before anything is evicted,
and a record that was read may enter only if nothing newer is known of it. Used under the
verifier's lock; not safe to share without it.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from latchgate.core.model import Application, ApplicationKey, Facts, Grant, Key, Noun, Record

Moment = tuple[int, int]  # a history that memory was of, and the journal's number in it

MAX_RECORDS = 200_000
MAX_ABSENT = 20_000
MAX_CHANGES = 50_000
# No credential's facts are made from these.
_UNDERIVED = frozenset(
    {
        Noun.POLICY,
        Noun.LOGIN,
        Noun.APPLICATION_KEY,
        Noun.STORAGE,
        Noun.LIFETIME,
        Noun.WEBHOOK,
        Noun.ALERT,
        Noun.OAUTH_CLIENT,
        Noun.CONSENT,
        Noun.AUTHENTICATOR,
        Noun.SESSION,
        Noun.WORKLOAD,
    }
)


class Missing:
    """What `recall` answers for a record that is not in memory."""


MISSING = Missing()


class Cache:
    """Bounded memory of records that exist and of ids that don't, followed by number.

    Absent ids are kept apart and bounded on their own, so that a flood of made-up ids cannot push
    out a record in use.
    """

    def __init__(
        self,
        position: int,
        *,
        max_records: int = MAX_RECORDS,
        max_absent: int = MAX_ABSENT,
        max_changes: int = MAX_CHANGES,
    ) -> None:
        self.position = position
        self.newest = position  # the highest number that anything here was read at
        self._floor = position
        self._records: dict[Key, Record] = {}
        self._absent: dict[Key, None] = {}
        self._changes: OrderedDict[Key, int] = OrderedDict()
        self._max_records = max_records
        self._max_absent = max_absent
        self._max_changes = max_changes
        # What was derived from records, by credential id; right at this position only.
        self.facts: dict[str, Facts] = {}
        self._with_parents: set[str] = set()
        # Digests of tokens whose signature was right, under the keys as they are.
        self.signed: dict[bytes, None] = {}
        self._together: dict[tuple[str, str], tuple[Grant, Application, ApplicationKey, Grant]] = {}

    def recall(self, key: Key) -> Record | Missing | None:
        """Return a remembered record, None for an id known to be absent, or MISSING."""
        found = self._records.get(key)
        if found is not None:
            return found
        return None if key in self._absent else MISSING

    def advance(self, changes: Iterable[tuple[int, Key]]) -> bool:
        """Follow changes in order: raise the position, then evict. Returns True on a new policy."""
        listed = list(changes)
        if not listed:
            return False
        self.position = listed[-1][0]
        policy = False
        for number, key in listed:
            self._underive(key)
            self._records.pop(key, None)
            self._absent.pop(key, None)
            self._changes[key] = number
            self._changes.move_to_end(key)
            policy = policy or key[0] is Noun.POLICY
        while len(self._changes) > self._max_changes:
            _, number = self._changes.popitem(last=False)
            self._floor = max(self._floor, number)
        return policy

    def insert(self, number: int, records: Iterable[tuple[Key, Record | None]]) -> None:
        """Remember records read at journal number `number`, unless something newer is known."""
        if number < self._floor:
            return
        self.newest = max(self.newest, number)
        for key, record in records:
            if self._changes.get(key, 0) > number:
                continue
            if record is None:
                _bound(self._absent, self._max_absent)
                self._absent[key] = None
            else:
                _bound(self._records, self._max_records)
                self._records[key] = record

    def derive(self, facts: Facts) -> None:
        """Remember facts assembled from records at least as new as the position."""
        if len(self.facts) >= self._max_records:
            self.facts.clear()
            self._with_parents.clear()
        self.facts[facts.credential.id] = facts
        if facts.credential.parent_id is not None:
            self._with_parents.add(facts.credential.id)

    def remember_signed(self, told: bytes) -> None:
        """Remember that a token's signature was right, by the digest of its text."""
        while len(self.signed) >= self._max_records:
            del self.signed[next(iter(self.signed))]
        self.signed[told] = None

    def together(self, grant: Grant, application: Application, key: ApplicationKey) -> Grant:
        """Return a user's grant with the program they use, the same one for the same three.

        `key` is the key of it that the program came with.
        """
        both, parts = (grant.credential.id, key.id), (grant, application, key)
        known = self._together.get(both)
        if known is not None and all(map(operator.is_, known, parts)):
            return known[3]
        if len(self._together) >= self._max_records:
            self._together.clear()
        made = msgspec.structs.replace(
            grant,
            application=application,
            application_key_id=key.id,
            application_succession=key.succession,
        )
        self._together[both] = (*parts, made)
        return made

    def _underive(self, key: Key) -> None:
        """Drop the facts that a changed record is part of: its own, or those of many."""
        noun, record_id = key
        if noun in _UNDERIVED:
            return
        if noun is Noun.SIGNING_KEY:
            self.signed.clear()
        if noun is not Noun.CREDENTIAL:
            self.facts.clear()
            self._with_parents.clear()
            return
        self.facts.pop(record_id, None)
        for child in self._with_parents:
            self.facts.pop(child, None)
        self._with_parents.clear()

    def __len__(self) -> int:
        return len(self._records) + len(self._absent)


def _bound(entries: dict[Key, Record] | dict[Key, None], limit: int) -> None:
    """Drop the oldest insertions; a record in use comes back with one cheap read."""
    while len(entries) >= limit:
        del entries[next(iter(entries))]
