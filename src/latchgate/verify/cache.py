"""What a verifier remembers: records by (noun, id), exact against the journal.

Rule of this file: the order of ARCHITECTURE §6. The position moves before anything is evicted,
and a record that was read may enter only if nothing newer is known of it. Used under the
verifier's lock; not safe to share without it.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec

from latchgate.core.model import (
    Application,
    ApplicationKey,
    Credential,
    Facts,
    Grant,
    Key,
    Noun,
    Record,
)
from latchgate.verify.hot import MAX_FACTS, Hot
from latchgate.verify.known import Known
from latchgate.verify.packed import Packed

Moment = tuple[int, int]  # a history that memory was of, and the journal's number in it

MAX_CREDENTIALS = 1_000_000
MAX_RECORDS = 200_000  # of every other sort
MAX_ABSENT = 20_000
MAX_CHANGES = 50_000
_MAX_FRESH = 4_096
# A dict's first entry is found by going past all that were there before: not for each one.
_AT_ONCE = 512
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

    Credentials, of which there are many, are packed. Absent ids are kept apart and bounded on their
    own, so that a flood of made-up ids cannot push out a record in use; where `known` is there, it
    tells of credentials' ids that they are absent, and none of them is kept.
    """

    def __init__(
        self,
        position: int,
        *,
        max_credentials: int = MAX_CREDENTIALS,
        max_records: int = MAX_RECORDS,
        max_absent: int = MAX_ABSENT,
        max_changes: int = MAX_CHANGES,
        max_facts: int = MAX_FACTS,
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
        self.hot = Hot(max_facts)
        self.facts = self.hot.facts
        self._credentials = Packed(max_credentials, in_use=self.facts.__contains__)
        self._fresh: set[str | bytes] = set()  # what came in since, and no facts were made of
        self.known: Known | None = None
        self._made: list[str] | None = None  # ids that changed while `known` is being made
        # Digests of tokens whose signature was right, under the keys as they are.
        self.signed: dict[bytes, None] = {}
        self._together: dict[tuple[str, str], tuple[Grant, Application, ApplicationKey, Grant]] = {}

    def recall(self, key: Key) -> Record | Missing | None:
        """Return a remembered record, None for an id known to be absent, or MISSING."""
        found: Record | None
        if key[0] is Noun.CREDENTIAL:
            found = self._credentials.get(key[1])
            if found is None and self.known is not None and key[1] not in self.known:
                return None
        else:
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
            if key[0] is Noun.CREDENTIAL:
                self._credentials.drop(key[1])
                self._learn(key[1])
            else:
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
            elif isinstance(record, Credential):
                self._credentials.put(record)
                self._freshen(record.id)
            else:
                _bound(self._records, self._max_records)
                self._records[key] = record

    def derive(self, facts: Facts) -> None:
        """Remember facts assembled from records at least as new as the position."""
        credential = facts.credential
        came: str | bytes = credential.digest if credential.minted else credential.id
        self.hot.keep(facts, again=came not in self._fresh)
        self._fresh.discard(came)

    def remember_signed(self, told: bytes) -> None:
        """Remember that a token's signature was right, by the digest of its text."""
        _bound(self.signed, self._max_records)
        self.signed[told] = None
        self._freshen(told)

    def _freshen(self, came: str | bytes) -> None:
        if len(self._fresh) >= _MAX_FRESH:
            self._fresh.clear()  # what was left has no facts made of it, or counts as known longer
        self._fresh.add(came)

    def together(self, grant: Grant, application: Application, key: ApplicationKey) -> Grant:
        """Return a user's grant with the program they use, the same one for the same three.

        `key` is the key of it that the program came with.
        """
        both, parts = (grant.credential.id, key.id), (grant, application, key)
        known = self._together.get(both)
        if known is not None and all(map(operator.is_, known, parts)):
            return known[3]
        _bound(self._together, self._max_records)
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
            self.hot.clear()
            return
        self.hot.drop(record_id)

    # --- which credentials there are

    def begin_to_know(self) -> None:
        """Note the ids that change from here on, for a `known` that is being made."""
        self._made = []

    def noted(self) -> list[str]:
        """Take the ids that changed since this was asked last."""
        taken, self._made = self._made or [], []
        return taken

    def end_to_know(self, known: Known | None) -> None:
        """Tell absent ids by `known` from here on; it holds all ids but those yet to be `noted`."""
        for credential_id in self.noted():
            if known is not None:
                known.add(credential_id)
        self.known, self._made = known, None

    def _learn(self, credential_id: str) -> None:
        """Take note of a credential that changed: it may be a new one."""
        if self._made is not None:
            self._made.append(credential_id)
        if self.known is not None:
            self.known.add(credential_id)
            if self.known.full:
                self.known = None  # it would tell too little: a larger one is made when it is due

    def __len__(self) -> int:
        return len(self._credentials) + len(self._records) + len(self._absent)


def _bound(entries: dict[Any, Any], limit: int) -> None:
    """Drop the oldest insertions; a record in use comes back with one cheap read."""
    if len(entries) >= limit:
        for oldest in list(islice(entries, max(1, limit // _AT_ONCE))):
            del entries[oldest]
