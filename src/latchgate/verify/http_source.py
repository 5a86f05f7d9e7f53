"""Records from a Latchgate elsewhere, over HTTP: what an edge decides by.

Rule of this file: whatever is not the answer that was asked for is StoreError: nothing is known.
The token goes to one origin, over TLS or within this machine, and into no message; redirects are
not followed, and neither are proxies of the environment.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from latchgate.core.feed import (
    FORMAT,
    MAX_KEYS,
    FeedBeat,
    FeedBeaten,
    FeedChanges,
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
from latchgate.core.secret import Secret
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.reads import Snapshot
from latchgate.verify.source import Beat, Place, Published, Through

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
MAX_BYTES = 64 << 20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_BELOW = "/manage/v1/feed"
_MAX_IDLE = 4
_OK, _CREATED, _NO_CONTENT, _GONE, _UNPROCESSABLE = 200, 201, 204, 410, 422
_BROKEN = (OSError, http.client.HTTPException)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a Latchgate's API answers: `https://…`, or `http://…` on this machine."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read a URL without path; ValueError says what is wrong with it, and shows none of it."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = parts = None
        if parts is None or not host or parts.scheme not in {"http", "https"} or port == 0:
            raise ValueError("the upstream is no URL such as https://api.example.com")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("the upstream takes scheme, host and port only: no path, no password")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise ValueError("the token goes to another machine over https only")
        return cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


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


class HttpSource:
    """One edge's row at a Latchgate elsewhere, and what it reads; used by several threads at once.

    `token` returns the bearer that it shows, OSError or ValueError where there is none; `entropy`
    n random bytes. `context` says whose certificates count, the system's authorities unless told.
    """

    def __init__(
        self,
        origin: Origin,
        follower: Follower,
        *,
        token: Callable[[], Secret],
        entropy: Callable[[int], bytes],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._origin = origin
        self._follower = follower
        self._token = token
        self._entropy = entropy
        self._context = context
        if origin.scheme == "https" and context is None:
            self._context = ssl.create_default_context()
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._incarnation = ""
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
        told = self._post("/edges", asked, FeedRegistered, again=False)
        self._incarnation, self.issuer = incarnation, told.issuer
        return _place(told.place), self._policy(f"/policy/{told.policy_version}"), told.timeline

    def beat(self, incarnation: str, place: Place) -> Beat | None:
        """Acknowledge `place` and read on; None when the row is not live any more."""
        nonce = self._nonce()
        asked = FeedBeat(FeedPlace(place.epoch, place.position, place.hash.hex()), nonce)
        told = self._live(_edge(incarnation, "beat"), asked, FeedBeaten)
        if told is None:
            return None
        _echoed(nonce, told.nonce)
        if told.age < 0 or told.place.position < place.position:
            raise StoreError("the upstream answered a heartbeat with what can't be")
        return Beat(
            place=_place(told.place),
            changes=_changes(told.changes),
            reached=told.reached,
            timeline=told.timeline,
            age=told.age,
        )

    def ahead(self, place: Place) -> Sequence[tuple[int, Key]]:
        """Read what follows `place`, at most a page, before it is acknowledged."""
        query = urlencode({"epoch": place.epoch, "position": place.position})
        told = self._get(f"{_edge(self._incarnation, 'changes')}?{query}", FeedChanges)
        return _changes(told.changes)

    def read(self, keys: Sequence[Key]) -> Snapshot:
        """Read records, with what a decision needs besides, and a number that they are as new as.

        StoreError when the edge's row is not live any more: the next heartbeat finds that out.
        """
        found: dict[Key, Record | None] = {}
        number: int | None = None
        for some in _pages(keys):
            wanted = FeedWanted([(str(noun), record_id) for noun, record_id in some])
            told = self._post(_edge(self._incarnation, "records"), wanted, FeedRecords)
            # Of several answers the oldest number holds for all of them.
            number = told.number if number is None else min(number, told.number)
            found |= _records(told.records)
        _complete(keys, found)
        return Snapshot(number=number or 0, records=found)

    def read_through(self, incarnation: str, keys: Sequence[Key]) -> Through:
        """Read records as of a transaction that writes the own row."""
        if len(keys) > MAX_KEYS:
            raise StoreError(f"a decision that needs more than {MAX_KEYS} records is not made here")
        nonce = self._nonce()
        wanted = FeedWantedThrough([(str(noun), record_id) for noun, record_id in keys], nonce)
        told = self._post(_edge(incarnation, "proof"), wanted, FeedRecordsThrough)
        _echoed(nonce, told.nonce)
        found = _records(told.records)
        _complete(keys, found)
        return Through(Snapshot(number=told.number, records=found), told.policy_version)

    def policy(self) -> Published:
        """Read the newest policy."""
        return self._policy("/policy")

    def wait(self, seconds: float, place: Place) -> bool:
        """Wait until there may be something new, or for so long; True when there may be."""
        query = urlencode({"position": place.position, "seconds": f"{max(seconds, 0.0):.3f}"})
        told = self._get(f"/wait?{query}", FeedPosition, longer=seconds)
        return told.position > place.position

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
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _policy(self, path: str) -> Published:
        told = self._get(path, FeedPolicy)
        return Published(told.version, told.files)

    def _nonce(self) -> str:
        return self._entropy(16).hex()

    def _get(self, path: str, shape: type[T], *, longer: float = 0.0) -> T:
        status, body = self._ask("GET", path, None, longer=longer)
        return _told(status, body, shape)

    def _post(self, path: str, asked: msgspec.Struct, shape: type[T], *, again: bool = True) -> T:
        status, body = self._ask("POST", path, msgspec.json.encode(asked), again=again)
        return _told(status, body, shape)

    def _live(self, path: str, asked: msgspec.Struct, shape: type[T]) -> T | None:
        status, body = self._ask("POST", path, msgspec.json.encode(asked))
        return None if status == _GONE else _told(status, body, shape)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        again: bool = True,
        longer: float = 0.0,
    ) -> tuple[int, bytes]:
        """Send one request and return status and body; StoreError when none came.

        A kept connection that broke may have been closed before it was asked: then once `again`.
        """
        headers = self._headers(body)
        kept = self._taken() if again else None
        if kept is not None:
            with suppress(*_BROKEN):
                return self._exchange(kept, method, path, body, headers, longer)
        fresh = self._connection()
        try:
            return self._exchange(fresh, method, path, body, headers, longer)
        except _BROKEN as error:
            msg = f"the upstream {self._origin} can't be reached: {_why(error)}"
            raise StoreError(msg) from error

    def _headers(self, body: bytes | None) -> Mapping[str, str]:
        try:
            bearer = self._token().reveal()
        except (OSError, ValueError) as error:
            raise StoreError(f"the token for the upstream can't be read: {error}") from error
        told = {
            "Authorization": f"Bearer {bearer}",
            "Accept": "application/json",
            "User-Agent": f"latchgate/{self._follower.program}",
        }
        return {**told, "Content-Type": "application/json"} if body is not None else told

    def _connection(self) -> http.client.HTTPConnection:
        at = self._origin
        if self._context is not None and at.scheme == "https":
            return http.client.HTTPSConnection(
                at.host, at.port, timeout=CONNECT_SECONDS, context=self._context
            )
        return http.client.HTTPConnection(at.host, at.port, timeout=CONNECT_SECONDS)

    def _taken(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        longer: float,
    ) -> tuple[int, bytes]:
        done = False
        try:
            if connection.sock is None:
                connection.connect()
            until = time.monotonic() + ANSWER_SECONDS + longer
            connection.sock.settimeout(ANSWER_SECONDS + longer)
            connection.request(method, _BELOW + path, body, dict(headers))
            answer = connection.getresponse()
            told = _bounded(answer, until)
            done = not answer.will_close
            return answer.status, told
        finally:
            self._put_back(connection, good=done)

    def _put_back(self, connection: http.client.HTTPConnection, *, good: bool) -> None:
        with self._lock:
            if good and not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()


def _bounded(answer: http.client.HTTPResponse, until: float) -> bytes:
    """Read a body that may be neither too long nor too slow."""
    held = bytearray()
    while chunk := answer.read1(1 << 20):
        held += chunk
        if len(held) > MAX_BYTES:
            raise http.client.HTTPException("its answer is too long")
        if time.monotonic() > until:
            raise TimeoutError("its answer took too long")
    if answer.length:
        raise http.client.IncompleteRead(bytes(held), answer.length)
    return bytes(held)


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
    errors: list[dict[str, Any]] = []


def _refused(status: int, body: bytes) -> StoreError:
    """Word a refusal: its status and code, and no text that a stranger could say."""
    told = _Problem()
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        told = msgspec.json.decode(body, type=_Problem)
    code = told.code if told.code.replace("_", "").isalnum() and len(told.code) < 64 else ""  # noqa: PLR2004 - longer than any of ours
    fields = [str(one.get("field", "")) for one in told.errors]
    if status == _UNPROCESSABLE and "format" in fields:
        return NotMigratedError(f"the upstream does not speak version {FORMAT} of the feed")
    why = {
        401: "it does not take the token",
        403: "the token may not follow there",
        _GONE: "it does not know this edge any more",
    }.get(status, "it refused")
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own numbers
        why = "it redirects, which is not followed"
    return StoreError(f"the upstream answered {status} {code}: {why}".replace(" :", ":"))


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it took too long"
    return type(error).__name__


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


def _complete(keys: Sequence[Key], found: Mapping[Key, Record | None]) -> None:
    if not all(key in found for key in keys):
        raise StoreError("the upstream left out a record that was asked for")


def _pages(keys: Sequence[Key]) -> list[Sequence[Key]]:
    return [keys[at : at + MAX_KEYS] for at in range(0, len(keys), MAX_KEYS)]
