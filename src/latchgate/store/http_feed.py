"""A verifier's source of records over HTTP: what an edge decides by.

Rule of this file: whatever is not the answer that was asked for is StoreError: nothing is known.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from latchgate.core.feed import (
    FORMAT,
    MAX_ID,
    MAX_KEYS,
    FeedBeat,
    FeedBeaten,
    FeedHead,
    FeedPlace,
    FeedPolicy,
    FeedPosition,
    FeedRecord,
    FeedRecords,
    FeedRecordsThrough,
    FeedRegistered,
    FeedRegistration,
    FeedWanted,
    FeedWantedThrough,
    read_changes,
    read_records,
)
from latchgate.core.model import Key, Record
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.http_exchange import Exchange
from latchgate.store.rows import Snapshot
from latchgate.store.source import KNOWN_SECONDS, Beat, Place, Published, Through

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
MAX_BYTES = 64 << 20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_BELOW = "/manage/v1/feed"
_MAX_IDLE = 4
_LINE = 300
_OK, _CREATED, _NO_CONTENT, _GONE, _UNPROCESSABLE = 200, 201, 204, 410, 422
_BROKEN = (OSError, http.client.HTTPException)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Follower:
    """What an edge says of itself; `trust` in seconds, `stale` when that is more than its lease.

    `tenants` are the ids of those that it serves, None for all that its token may follow.
    """

    node: str
    process: int
    program: str
    trust: float
    stale: bool
    tenants: tuple[str, ...] | None


class HttpFeed:
    """One edge's row at a Latchgate elsewhere, and what it reads; used by several threads at once.

    `entropy` gives n random bytes.
    """

    def __init__(
        self, exchange: Exchange, follower: Follower, *, entropy: Callable[[int], bytes]
    ) -> None:
        self._exchange = exchange
        self._follower = follower
        self._entropy = entropy
        self._incarnation = self._timeline = ""
        self.issuer: str | None = None  # of OAuth2 tokens, as the upstream last told

    def register(self, incarnation: str) -> tuple[Place, Published, str]:
        """Add a row for a new memory; return where it begins, the policy there, the timeline."""
        who = self._follower
        asked = FeedRegistration(
            format=FORMAT,
            incarnation=incarnation,
            node=who.node,
            process=who.process,
            program=who.program,
            trust=who.trust,
            stale=who.stale,
            tenants=list(who.tenants) if who.tenants is not None else None,
        )
        # Who is to trust for longer than anybody before is answered once that is known.
        told = self._post("/edges", asked, FeedRegistered, again=False, longer=KNOWN_SECONDS)
        self._incarnation, self._timeline = incarnation, told.timeline
        self.issuer = told.issuer
        return _place(told.place), self._policy(f"/policy/{told.policy_version}"), told.timeline

    def beat(self, incarnation: str, place: Place) -> Beat | None:
        """Acknowledge `place` and read on; None when the row is not live any more.

        None after a promotion too: whatever was read there before may never have been.
        """
        nonce = self._nonce()
        since = FeedPlace(place.epoch, place.position, place.hash.hex())
        asked = FeedBeat(since, self._timeline, nonce)
        told = self._live(_edge(incarnation, "beat"), asked, FeedBeaten)
        if told is None:
            return None
        _echoed(nonce, told.nonce)
        if told.timeline != self._timeline:
            return None
        if told.age < 0 or told.place.position < place.position:
            raise StoreError("the upstream answered a heartbeat with what can't be")
        return Beat(
            place=_place(told.place),
            changes=_changes(told.changes),
            reached=told.reached,
            timeline=told.timeline,
            age=told.age,
        )

    def read(self, keys: Sequence[Key]) -> Snapshot:
        """Read records, with what a decision needs besides, and a number that they are as new as.

        StoreError when the edge's row is not live any more: the next heartbeat finds that out.
        """
        found: dict[Key, Record | None] = dict.fromkeys(keys)
        number: int | None = None
        history = ""
        for some in _pages([key for key in keys if _could_be(key)]) or [()]:
            wanted = FeedWanted([(str(noun), record_id) for noun, record_id in some])
            told = self._post(_edge(self._incarnation, "records"), wanted, FeedRecords)
            # Of several answers the oldest number holds for all of them.
            if number is not None and told.timeline != history:
                raise StoreError("the upstream's database was replaced meanwhile")
            number = told.number if number is None else min(number, told.number)
            history = told.timeline
            found |= _records(told.records)
            _complete(wanted.keys, told.records)
        return Snapshot(number or 0, found, history)

    def read_through(self, incarnation: str, keys: Sequence[Key]) -> Through:
        """Read records as of a transaction that writes the own row."""
        if len(keys) > MAX_KEYS:
            raise StoreError(f"a decision that needs more than {MAX_KEYS} records is not made here")
        nonce = self._nonce()
        asked = [(str(key[0]), key[1]) for key in keys if _could_be(key)]
        wanted = FeedWantedThrough(asked, nonce)
        told = self._post(_edge(incarnation, "proof"), wanted, FeedRecordsThrough)
        _echoed(nonce, told.nonce)
        found = dict.fromkeys(keys) | _records(told.records)
        _complete(asked, told.records)
        return Through(Snapshot(number=told.number, records=found), told.policy_version)

    def policy(self) -> Published:
        """Read the newest policy."""
        return self._policy("/policy")

    def wait(self, seconds: float, place: Place) -> bool:
        """Wait until there may be something new, or for so long; True when there may be."""
        query = urlencode({"position": place.position, "seconds": f"{max(seconds, 0.0):.3f}"})
        try:
            told = self._get(f"/wait?{query}", FeedPosition, longer=max(seconds, 0.0))
        except StoreError:
            if self._exchange.interrupted:
                return False
            raise
        return told.position > place.position

    def interrupt(self) -> None:
        """End a `wait` under way; later ones end at once."""
        self._exchange.interrupt()

    def head(self) -> int:
        """Read the journal's head number."""
        return self._get("/head", FeedHead).head

    def leave(self, incarnation: str) -> None:
        """Delete the own row."""
        status, body = self._ask("DELETE", _edge(incarnation), None)
        if status != _NO_CONTENT:
            raise _refused(status, body)

    def close(self) -> None:
        """Let go of every connection."""
        self._exchange.close()

    def _policy(self, path: str) -> Published:
        told = self._get(path, FeedPolicy)
        return Published(told.version, told.files, told.number, told.timeline)

    def _nonce(self) -> str:
        return self._entropy(16).hex()

    def _get(self, path: str, shape: type[T], *, longer: float = 0.0) -> T:
        status, body = self._ask("GET", path, None, longer=longer)
        return _told(status, body, shape)

    def _post(
        self,
        path: str,
        asked: msgspec.Struct,
        shape: type[T],
        *,
        again: bool = True,
        longer: float = 0.0,
    ) -> T:
        body = msgspec.json.encode(asked)
        status, told = self._ask("POST", path, body, again=again, longer=longer)
        return _told(status, told, shape)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        again: bool = True,
        longer: float = 0.0,
    ) -> tuple[int, bytes]:
        return self._exchange.ask(method, _BELOW + path, body, again=again, longer=longer)

    def _live(self, path: str, asked: msgspec.Struct, shape: type[T]) -> T | None:
        status, body = self._ask("POST", path, msgspec.json.encode(asked))
        return None if status == _GONE else _told(status, body, shape)


def _edge(incarnation: str, what: str = "") -> str:
    path = f"/edges/{quote(incarnation, safe='')}"
    return f"{path}/{what}" if what else path


def _told(status: int, body: bytes, shape: type[T]) -> T:
    if status not in {_OK, _CREATED}:
        raise _refused(status, body)
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"the upstream answered what is no {shape.__name__}: {error}") from error


class _Problem(msgspec.Struct, frozen=True):
    """What is read of a problem document (RFC 9457)."""

    code: str = ""
    detail: str = ""
    errors: list[dict[str, str]] = []


_WHY = {
    401: "it does not take the token",
    403: "the token may not follow there",
    _GONE: "it does not know this edge any more",
}


def _refused(status: int, body: bytes) -> StoreError:
    """Word a refusal, with what the upstream says of it where that is one short line."""
    told = _Problem()
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        told = msgspec.json.decode(body, type=_Problem)
    fields = {one.get("field", ""): one.get("detail", "") for one in told.errors}
    if status == _UNPROCESSABLE and "format" in fields:
        return NotMigratedError(f"the upstream does not speak version {FORMAT} of the feed")
    why = _WHY.get(status, "it refused")
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own numbers
        why = "it redirects, which is not followed"
    said = "; ".join(f"{name}: {detail}" for name, detail in fields.items()) or told.detail
    more = f" ({said})" if said and said.isprintable() and len(said) < _LINE else ""
    return StoreError(f"the upstream answered {status}: {why}{more}")


def _place(told: FeedPlace) -> Place:
    return Place(told.epoch, told.position, bytes.fromhex(told.hash))


def _echoed(nonce: str, told: str) -> None:
    if told != nonce:
        raise StoreError("the upstream answered another question: its nonce is not the one sent")


def _changes(told: list[tuple[int, str, str]]) -> list[tuple[int, Key]]:
    try:
        return read_changes(told)
    except ValueError as error:
        raise StoreError(f"the upstream told a change that is not known here: {error}") from error


def _records(told: list[FeedRecord]) -> dict[Key, Record | None]:
    try:
        return read_records(told)
    except ValueError as error:
        raise StoreError(f"the upstream told a record that is none: {error}") from error


def _could_be(key: Key) -> bool:
    """Whether there could be such a record: strangers send logins of any length."""
    return len(key[1]) <= MAX_ID


def _complete(asked: Sequence[tuple[str, str]], told: Sequence[FeedRecord]) -> None:
    """See that nothing was left out: what isn't told is not the same as what isn't there."""
    if not {(one.noun, one.id) for one in told}.issuperset(asked):
        raise StoreError("the upstream left out a record that was asked for")


def _pages(keys: Sequence[Key]) -> list[Sequence[Key]]:
    return [keys[at : at + MAX_KEYS] for at in range(0, len(keys), MAX_KEYS)]
