"""What goes over HTTP between a Latchgate and the verifiers that follow it from elsewhere.

Rule of this file: messages alone, each read strictly by both sides, so that a field which one of
them doesn't know (a new limit, for one) is a fault and never goes unseen. Whoever changes a message
or a record raises `FORMAT`. Documented in docs/reference/feed.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec

from latchgate.core.model import (
    Application,
    ApplicationKey,
    Credential,
    Key,
    Login,
    Noun,
    Project,
    Record,
    Role,
    SigningKey,
    Tenant,
    User,
)
from latchgate.core.network import Networks
from latchgate.core.scope import Scopes

FORMAT = 1
MAX_KEYS = 1_000  # asked for at once
MAX_ID = 1_000  # characters; no record has a longer one
MAX_TENANTS = 1_000
PAGE = 5_000  # changes at once
MIN_TRUST, MAX_TRUST = 0.5, 3_600.0  # seconds

NODE = re.compile(r"[A-Za-z0-9._-]{1,63}")

_Incarnation = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
_Nonce = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Id = Annotated[str, msgspec.Meta(max_length=MAX_ID)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=9_007_199_254_740_991)]


class FeedPlace(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A place in one history: the journal's epoch, a number, and the hash of the row there."""

    epoch: _Short
    position: _Number
    hash: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class FeedRegistration(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new memory asks to follow; `incarnation` is its random name.

    `trust` is for how many seconds it believes what it remembers after it last heard of the
    journal, `stale` whether that is more than its lease. `tenants` are the ids of those that it
    serves, null for all that the credential may follow. `node`, `process` and `program` are what
    receipts and status call it.
    """

    format: int
    incarnation: _Incarnation
    node: Annotated[str, msgspec.Meta(pattern=rf"^{NODE.pattern}\Z")]
    process: _Number
    program: _Short
    trust: Annotated[float, msgspec.Meta(ge=MIN_TRUST, le=MAX_TRUST)]
    stale: bool
    tenants: Annotated[list[_Id], msgspec.Meta(min_length=1, max_length=MAX_TENANTS)] | None


class FeedRegistered(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a new memory begins; `tenants` null stands for every one.

    `timeline` names the database's own history, `issuer` is that of OAuth2 tokens.
    """

    place: FeedPlace
    policy_version: _Number
    timeline: str
    tenants: list[str] | None
    issuer: str | None


class FeedBeat(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A heartbeat: `since` is what the memory follows by now, and so acknowledges.

    `timeline` is the database's history that it was told of: nothing is acknowledged on another.
    """

    since: FeedPlace
    timeline: Annotated[str, msgspec.Meta(max_length=100)]
    nonce: _Nonce


class FeedBeaten(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a heartbeat learnt in the transaction that wrote the verifier's row.

    `changes` are (number, noun, id), oldest first, of what the verifier serves and of what is no
    tenant's; `place` is where it is once it follows them, the head where `reached`. `age` is for
    how many seconds whoever answers had it.
    """

    nonce: str
    place: FeedPlace
    changes: list[tuple[int, str, str]]
    reached: bool
    timeline: str
    age: float


class FeedWanted(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Records that are asked for, each by noun and id."""

    keys: Annotated[list[tuple[str, _Id]], msgspec.Meta(max_length=MAX_KEYS)]


class FeedWantedThrough(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Records that are asked for with proof that the database answers."""

    keys: Annotated[list[tuple[str, _Id]], msgspec.Meta(max_length=MAX_KEYS)]
    nonce: _Nonce


class FeedRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A record by noun and id, as its noun spells it; null where there is none to be seen."""

    noun: str
    id: str
    record: dict[str, Any] | None


class FeedRecords(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Records as they stood at `number` of the journal or later: those asked for, and more.

    Read without proof; a number of another `timeline` than one's own says nothing.
    """

    number: _Number
    timeline: str
    records: list[FeedRecord]


class FeedRecordsThrough(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Records as of a transaction that wrote the verifier's row, and the policy's version then."""

    nonce: str
    number: _Number
    policy_version: _Number
    records: list[FeedRecord]


class FeedPolicy(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One version of the policy and its files by name; version 0 has none.

    `number` is the journal's when it was read, on the `timeline` there, without proof.
    """

    version: _Number
    files: dict[str, str]
    number: _Number
    timeline: str


class FeedHead(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The number of the journal's last row."""

    head: _Number


class FeedPosition(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How far whoever answers follows the journal itself; a hint, which proves nothing."""

    position: _Number


_RECORDS: dict[Noun, type[msgspec.Struct]] = {
    Noun.CREDENTIAL: Credential,
    Noun.USER: User,
    Noun.TENANT: Tenant,
    Noun.PROJECT: Project,
    Noun.ROLE: Role,
    Noun.LOGIN: Login,
    Noun.APPLICATION: Application,
    Noun.APPLICATION_KEY: ApplicationKey,
    Noun.SIGNING_KEY: SigningKey,
}
READABLE = frozenset(_RECORDS)

_Texts = tuple[str, ...]
_spelled: dict[Any, tuple[Any, Callable[[Any], Any]]] = {
    Scopes: (_Texts, Scopes.of),
    Networks | None: (_Texts | None, lambda told: None if told is None else Networks.of(told)),
}


class _Shape:
    """How the records of one noun are spelled: every field, scopes and networks as texts."""

    def __init__(self, record: type[msgspec.Struct]) -> None:
        fields = msgspec.structs.fields(record)
        self._record = record
        self._back = {one.name: _spelled[one.type][1] for one in fields if one.type in _spelled}
        told = [
            (one.name, _spelled[one.type][0] if one.type in _spelled else one.type)
            for one in fields
        ]
        self._wire = msgspec.defstruct(
            record.__name__, told, forbid_unknown_fields=True, frozen=True
        )

    def spell(self, record: Record) -> dict[str, Any]:
        told = msgspec.structs.asdict(record)
        for name in self._back:
            told[name] = told[name].listed() if told[name] is not None else None
        return told

    def read(self, told: dict[str, Any]) -> Record:
        fields = msgspec.structs.asdict(msgspec.convert(told, self._wire))
        for name, read in self._back.items():
            fields[name] = read(fields[name])
        record: Record = self._record(**fields)  # type: ignore[assignment] # by _RECORDS
        return record


_SHAPES = {noun: _Shape(record) for noun, record in _RECORDS.items()}


def spell_records(records: Mapping[Key, Record | None]) -> list[FeedRecord]:
    """Return records as they are sent."""
    return [
        FeedRecord(noun, record_id, None if one is None else _SHAPES[noun].spell(one))
        for (noun, record_id), one in records.items()
    ]


def read_records(told: list[FeedRecord]) -> dict[Key, Record | None]:
    """Read records as they were sent; ValueError names the first that is none."""
    found: dict[Key, Record | None] = {}
    for one in told:
        noun = read_noun(one.noun)
        try:
            record = _SHAPES[noun].read(one.record) if one.record is not None else None
        except (msgspec.MsgspecError, ValueError) as error:
            raise ValueError(f"{noun} {one.id}: {error}") from error
        found[noun, one.id] = record
    return found


def read_noun(text: str) -> Noun:
    """Read the noun of a record that a verifier may read; ValueError when it may not."""
    if text not in READABLE:
        raise ValueError(f"{text!r} is no record of a verifier's: {', '.join(sorted(READABLE))}")
    return Noun(text)


def read_changes(told: list[tuple[int, str, str]]) -> list[tuple[int, Key]]:
    """Read changes; one of a noun that is not known here is ValueError."""
    return [(number, (Noun(noun), record_id)) for number, noun, record_id in told]
