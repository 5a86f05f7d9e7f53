"""Credentials as few bytes: what many of them share is kept once, the rest as packed text.

Rule of this file: the credential that comes back is the one that went in, field by field. What is
kept here is nothing that the collector of cycles looks at, however many there are. Memory is
counted in bytes, not only in credentials: one customer whose keys share nothing takes the place of
more of them, never more memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from latchgate.core.model import AccessRule, Credential
from latchgate.core.network import Networks
from latchgate.core.scope import Scopes

MAX_BYTES = 256 << 20
# A dict that grows is copied and one that shrinks at its front is walked over: both take as long as
# it is large. Of 1,000,000 in one that was 30 ms at once; in 96 it is a third of a millisecond, and
# each is nearly full with its share of a million: of 64 a third of their tables would be empty.
_SHARDS = 96
_ENTRY = 48  # bytes of a dict's table for one entry: 30 when it has just grown, up to 64
_KEPT = 128  # bytes of what counts a shape, besides its entries
_SPARED = 8  # times that room is made elsewhere before what is in use goes after all


class _Shape(msgspec.Struct, frozen=True, gc=False):
    """What many credentials share."""

    kind: str
    tenant_id: str
    project_id: str
    services: frozenset[str] | None
    scopes: Scopes
    networks: Networks | None
    issues: bool
    environment: str | None
    roles: tuple[str, ...] | None
    access_rules: tuple[AccessRule, ...] | None
    minted: bool
    application_id: str | None


class _Rare(msgspec.Struct, array_like=True, gc=False):
    """What few credentials have."""

    denied_tokens: frozenset[str]
    tokens_after: float | None
    superseded_by: str | None
    superseded_at: float | None
    predecessor_id: str | None
    disabled_at: float | None


class _Some(msgspec.Struct, array_like=True, gc=False):
    """What some credentials have, but most have nothing of."""

    revoked_at: float | None
    parent_id: str | None
    rare: _Rare | None


class _Own(msgspec.Struct, array_like=True, gc=False):
    """What one credential has for itself, and the number of its shape."""

    shape: int
    digest: bytes
    owner_id: str
    name: str
    created_at: float
    expires_at: float | None
    external_id: str | None
    some: _Some | None


class _Kept(msgspec.Struct, gc=False):
    """A shape, how many credentials have it, and the bytes that it takes."""

    shape: _Shape
    size: int
    users: int = 0


_NONE_RARE = _Rare(frozenset(), None, None, None, None, None)
_NONE_SOME = _Some(None, None, None)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Own).decode


class Packed:
    """Credentials by id, the oldest making room for new ones; those in use are passed over.

    `in_use` says whether an id was asked for lately. At most `limit` credentials and `max_bytes`.
    """

    def __init__(
        self, limit: int, in_use: Callable[[str], bool], *, max_bytes: int = MAX_BYTES
    ) -> None:
        self._limit = limit
        self._in_use = in_use
        self._max_bytes = max_bytes
        self._shards: list[dict[str, bytes]] = [{} for _ in range(_SHARDS)]
        self._hand = 0  # the shard whose oldest is next to make room
        self._count = 0
        self.size = 0  # bytes, as they are counted
        self._numbers: dict[_Shape, int] = {}
        self._shapes: dict[int, _Kept] = {}
        self._next = 0

    def __len__(self) -> int:
        return self._count

    def get(self, credential_id: str) -> Credential | None:
        """Return a credential as it was put."""
        told = self._shards[hash(credential_id) % _SHARDS].get(credential_id)
        if told is None:
            return None
        own = _decode(told)
        return _whole(credential_id, own, self._shapes[own.shape].shape)

    def put(self, credential: Credential) -> None:
        """Keep a credential, in the place of what was kept by its id."""
        self.drop(credential.id)
        # A copy takes as many bytes as it has; what an encoder returns stays in the larger block
        # that it was written into.
        told = bytes(memoryview(_encode(_own(credential, self._number(_shape(credential))))))
        size = _size_of(credential.id, told)
        while self._count and (self._count >= self._limit or self.size + size > self._max_bytes):
            self._make_room()
        self._shards[hash(credential.id) % _SHARDS][credential.id] = told
        self._count += 1
        self.size += size

    def drop(self, credential_id: str) -> None:
        """Forget a credential, and its shape with the last that had it."""
        told = self._shards[hash(credential_id) % _SHARDS].pop(credential_id, None)
        if told is None:
            return
        self._count -= 1
        self.size -= _size_of(credential_id, told)
        number = _decode(told).shape
        kept = self._shapes[number]
        kept.users -= 1
        if not kept.users:
            self.size -= kept.size
            del self._shapes[number], self._numbers[kept.shape]

    def _number(self, shape: _Shape) -> int:
        """Return the number of a shape, counting one more that has it."""
        number = self._numbers.get(shape)
        if number is None:
            number = self._next
            self._next += 1
            kept = self._shapes[number] = _Kept(shape, _size(shape))
            self._numbers[shape] = number
            self.size += kept.size
        self._shapes[number].users += 1
        return number

    def _make_room(self) -> None:
        """Drop one of the oldest; one in use becomes one of the newest, and another goes."""
        for left in reversed(range(_SPARED)):
            while not (shard := self._shards[self._hand]):
                self._hand = (self._hand + 1) % _SHARDS
            self._hand = (self._hand + 1) % _SHARDS
            oldest = next(iter(shard))
            if not left or not self._in_use(oldest):
                self.drop(oldest)
                return
            shard[oldest] = shard.pop(oldest)


def _shape(one: Credential) -> _Shape:
    return _Shape(
        one.kind,
        one.tenant_id,
        one.project_id,
        one.services,
        one.scopes,
        one.networks,
        one.issues,
        one.environment,
        one.roles,
        one.access_rules,
        one.minted,
        one.application_id,
    )


def _own(one: Credential, shape: int) -> _Own:
    rare: _Rare | None = _Rare(
        one.denied_tokens,
        one.tokens_after,
        one.superseded_by,
        one.superseded_at,
        one.predecessor_id,
        one.disabled_at,
    )
    if rare == _NONE_RARE:
        rare = None
    some: _Some | None = _Some(one.revoked_at, one.parent_id, rare)
    if some == _NONE_SOME:
        some = None
    return _Own(
        shape,
        one.digest,
        one.owner_id,
        one.name,
        one.created_at,
        one.expires_at,
        one.external_id,
        some,
    )


def _whole(credential_id: str, own: _Own, shape: _Shape) -> Credential:
    some = own.some or _NONE_SOME
    rare = some.rare or _NONE_RARE
    return Credential(
        credential_id,
        shape.kind,
        shape.tenant_id,
        shape.project_id,
        own.owner_id,
        some.parent_id,
        shape.services,
        shape.scopes,
        shape.networks,
        shape.issues,
        shape.environment,
        own.external_id,
        own.digest,
        own.created_at,
        own.expires_at,
        some.revoked_at,
        own.name,
        shape.roles,
        shape.access_rules,
        rare.denied_tokens,
        rare.tokens_after,
        shape.minted,
        rare.superseded_by,
        rare.superseded_at,
        rare.predecessor_id,
        rare.disabled_at,
        shape.application_id,
    )


def _size_of(credential_id: str, told: bytes) -> int:
    return _taken(credential_id) + _taken(told) + _ENTRY


def _size(shape: _Shape) -> int:
    """Return about how many bytes a shape takes, with its places in both tables."""
    return 2 * _ENTRY + _KEPT + _within(shape)


def _taken(value: object) -> int:
    """Return the bytes of one object as they are allotted: in sixteens."""
    return (sys.getsizeof(value) + 15) & ~15


def _within(value: object) -> int:
    size = _taken(value)
    if isinstance(value, msgspec.Struct):
        return size + sum(_within(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, frozenset | tuple):
        return size + sum(map(_within, value))
    return size + (_within(value.entries) if isinstance(value, Networks) else 0)
