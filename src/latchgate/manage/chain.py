"""Finding what was done to a journal: altered, removed, inserted, reordered rows, a cut tail.

Rule of this file: a row's hash covers its content and the hash before it, so each fault is told at
the number where the chain breaks. Who can write the database can also make a chain that holds; only
a signed head that was kept elsewhere tells that.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from latchgate.core.location import Location
from latchgate.keyring.signing import read, signed, spell, thumbprint
from latchgate.manage.audit import HEAD_FORMAT, Head
from latchgate.store.evidence import COLUMNS, Row, evidence, whole
from latchgate.store.journal import GENESIS, chain

MAX_FAULTS = 100
# The rows that a restored backup, or a loaded export, begins its epoch with.
RESTORED = "database.restore"
LOADED = "database.load"
_BEGINNINGS = frozenset({RESTORED, LOADED})
_MAX_LINE = 16_777_216
_HASH = COLUMNS.index("hash")
_N, _ACTION, _DETAIL = (COLUMNS.index(name) for name in ("n", "action", "detail"))
_PAGE = 500
_columns = operator.itemgetter(*COLUMNS)
_TEXT = ("actor", "action", "noun", "record", "detail")
_TEXT_OR_NONE = ("tenant_id", "credential_id", "address")


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, and at which number of the journal; None where it concerns no single row."""

    n: int | None
    problem: str


class Report(msgspec.Struct, frozen=True):
    """What a check found: `rows` looked at, the end of the chain, and the first faults.

    `against` is the number of the head it was compared with, `unlisted` counts faults beyond
    the first 100.
    """

    sound: bool
    rows: int
    epoch: str | None
    n: int
    hash: str
    against: int | None
    faults: list[Fault]
    unlisted: int


class HeadError(ValueError):
    """What was given as a signed head is none."""


def parse_head(text: bytes) -> Head:
    """Read a signed head, as `audit head` prints it or as the last line of an export.

    HeadError says why it is none; its signature is checked when it is used.
    """
    try:
        told = msgspec.json.decode(text)
        if isinstance(told, dict) and set(told) == {"head"}:
            told = told["head"]
        head = msgspec.convert(told, Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"is no signed head: {error}"
        raise HeadError(msg) from error
    if head.format != HEAD_FORMAT:
        msg = f"is a head of the format {head.format[:40]!r}; this program knows {HEAD_FORMAT}"
        raise HeadError(msg)
    return head


def verify_database(
    database: Location, *, against: Head | None = None, public_key: str | None = None
) -> Report:
    """Check the journal of a database, from its first row on, in one snapshot.

    `public_key`, where given, must be the one that signed `against`. StoreError when it can't be
    read.
    """
    with evidence(database) as found:
        check = Check(against)
        if against is not None:
            check_head(check, against, public_key)
            if found.keys.get(against.key_id) != _raw(against.public_key):
                check.fault(None, f"the head's key {against.key_id} is none of this store's")
        check.follow(found.pages())
        epoch = None
        if len(found.heads) == 1:
            n, digest, named = found.heads[0]
            epoch = named if isinstance(named, str) else None
            if (n, digest) != (check.n, check.hash):
                check.fault(None, _unlike("the head row", n, digest, check))
        else:
            check.fault(None, f"there are {len(found.heads)} head rows; there must be one")
        return check.report(epoch)


def verify_export(
    export: Path, *, against: Head | None = None, public_key: str | None = None
) -> Report:
    """Check an exported file without any database; OSError when it can't be read."""
    check = Check(against)
    if against is not None:
        check_head(check, against, public_key)
    with export.open("rb") as file:
        lines = Lines(check, file)
        check.follow(lines.pages())
    if lines.head is None:
        check.fault(None, "the export does not end in a signed head: it was cut, or never finished")
        return check.report(None)
    head = lines.head
    check_head(check, head, public_key)
    if (head.n, head.hash) != (check.n, check.hash.hex()):
        check.fault(None, _unlike("the export's head", head.n, bytes.fromhex(head.hash), check))
    if against is not None and against.key_id != head.key_id:
        # A retired key is no fault in itself; without the store nobody can tell which it is.
        told = f"the export is signed by {head.key_id}, the earlier head by {against.key_id}"
        if public_key is None:
            check.fault(None, f"{told}; compare the keys with latchgate signing-key list")
    return check.report(head.epoch)


class Check:
    """Follows rows in order, keeping only the last hash and the first faults.

    `place`, where set, is put before what is told, as the name of the file that is read.
    """

    def __init__(self, against: Head | None) -> None:
        self._against = against
        self._pinned_at = against.n if against is not None else None
        self._pinned: bytes | None = GENESIS if against is not None and not against.n else None
        self._faults: list[Fault] = []
        self._unlisted = 0
        self.place = ""
        self.rows = 0
        self.n = 0
        self.hash = GENESIS
        self._restores: dict[str, int] = {}  # the epoch that each ended, and its last number

    def fault(self, n: int | None, problem: str) -> None:
        """Keep a fault, the first ones only."""
        if len(self._faults) < MAX_FAULTS:
            told = f"{self.place}: {problem}" if self.place else problem
            self._faults.append(Fault(n, told))
        else:
            self._unlisted += 1

    def begin(self, n: int, digest: bytes) -> None:
        """Go on after another number, whose row has this hash."""
        self.n, self.hash = n, digest
        if n == self._pinned_at:
            self._pinned = digest

    def follow(self, pages: Iterable[Sequence[Row]]) -> None:
        """Check pages of rows, each after the one before."""
        for page in pages:
            self.rows += len(page)
            at = 0
            # Whole rows need no closer look; the first that is none gets it, and on they go.
            while at < len(page):
                fit = whole(page[at:] if at else page, self.n, self.hash)
                if fit:
                    first, self.n, self.hash = self.n, self.n + fit, page[at + fit - 1][_HASH]
                    self._note_restores(page[at : at + fit])
                    if self._pinned_at is not None and first < self._pinned_at <= self.n:
                        self._pinned = page[at + self._pinned_at - first - 1][_HASH]
                at += fit
                if at < len(page):
                    self._take(dict(zip(COLUMNS, page[at], strict=True)))
                    at += 1

    def _note_restores(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row[_ACTION] in _BEGINNINGS:
                self._restores.setdefault(_ended(row[_DETAIL]), row[_N] - 1)

    def _take(self, row: Mapping[str, Any]) -> None:
        wanted, n = self.n + 1, row["n"]
        strange = _strange(row)
        if strange:
            # A value of another type could be spelled alike in the hashed text.
            at = n if isinstance(n, int) else wanted
            self.fault(at, f"was altered: {', '.join(strange)} can't be what was written")
            self.n = max(self.n, at)
            self.hash = row["hash"] if isinstance(row["hash"], bytes) else GENESIS
            return
        if n > wanted:
            gone = f"number {wanted} is" if n == wanted + 1 else f"numbers {wanted} to {n - 1} are"
            self.fault(wanted, f"{gone} missing")
        elif n < wanted:
            self.fault(n, f"stands where number {wanted} belongs")
        elif row["previous"] != self.hash:
            self.fault(n, "does not follow the row before it: that one or this one was replaced")
        if chain(row["previous"], {name: row[name] for name in COLUMNS}) != row["hash"]:
            self.fault(n, "was altered: its hash is not that of what it says")
        self.n, self.hash = max(self.n, n), row["hash"]
        if row["action"] in _BEGINNINGS:
            self._restores.setdefault(_ended(row["detail"]), n - 1)
        if n == self._pinned_at:
            self._pinned = row["hash"]

    def report(self, epoch: str | None) -> Report:
        """Return what was found."""
        if self._against is not None:
            self._compare(self._against, epoch)
        return Report(
            sound=not self._faults,
            rows=self.rows,
            epoch=epoch,
            n=self.n,
            hash=self.hash.hex(),
            against=self._against.n if self._against is not None else None,
            faults=self._faults,
            unlisted=self._unlisted,
        )

    def _compare(self, head: Head, epoch: str | None) -> None:
        kept = self._restores.get(head.epoch) if epoch != head.epoch else None
        if kept is not None and head.n > kept:
            told = (
                f"an older copy was restored, number {kept + 1} says: of the head's journal, which"
            )
            told += f" stood at {head.n} at {head.at}, the rows up to {kept} are here and the"
            self.fault(kept + 1, f"{told} others are gone")
            return
        if kept is None and epoch != head.epoch:
            self.fault(None, f"this journal is of another epoch ({epoch}) than the head's")
        if head.n > self.n:
            told = f"the journal ends at {self.n}, the signed head of {head.at} stands at {head.n}:"
            self.fault(self.n + 1, f"{told} its end was cut, or an older copy was put back")
        elif self._pinned is None or self._pinned.hex() != head.hash:
            told = "its hash is not the one that was signed at"
            self.fault(head.n, f"{told} {head.at}: it or a row before it was written anew")


class Lines:
    """The lines of an export: rows, then one head."""

    def __init__(self, check: Check, file: BinaryIO) -> None:
        self._check = check
        self._file = file
        self.head: Head | None = None

    def pages(self) -> Iterator[list[Row]]:
        """Read rows; what is none is told as a fault, a head is kept."""
        at, page = 0, list[Row]()
        while line := self._file.readline(_MAX_LINE):
            at += 1
            if self.head is not None:
                yield page
                self._check.fault(None, f"line {at} comes after the head")
                return
            try:
                told = msgspec.json.decode(line)
                if isinstance(told, dict) and set(told) == {"head"}:
                    self.head = parse_head(line)
                    continue
                page.append(_row(told))
            except (ValueError, RecursionError) as error:
                yield page  # so that faults are told in their order
                page = []
                self._check.fault(None, f"line {at} is neither a row nor a head: {error}")
            if len(page) == _PAGE:
                yield page
                page = []
        yield page


def _row(told: object) -> Row:
    if not isinstance(told, dict) or set(told) != set(COLUMNS):
        msg = f"a row has {', '.join(COLUMNS)} and nothing else"
        raise ValueError(msg)
    for name in ("previous", "hash"):
        if not isinstance(told[name], str):
            msg = f"{name} is no text"
            raise ValueError(msg)  # noqa: TRY004 - what is wrong is a value in a file
        told[name] = bytes.fromhex(told[name])
    row: Row = _columns(told)
    return row


def _strange(row: Mapping[str, Any]) -> list[str]:
    """Return the columns whose values are of a type that no row of ours holds."""
    fits = {
        "n": type(row["n"]) is int,
        "at": type(row["at"]) is float,
        **{name: _is_text(row[name]) for name in _TEXT},
        **{name: row[name] is None or _is_text(row[name]) for name in _TEXT_OR_NONE},
        **{
            name: isinstance(row[name], bytes) and len(row[name]) == len(GENESIS)
            for name in ("previous", "hash")
        },
    }
    return [name for name, fit in fits.items() if not fit]


def _ended(detail: str) -> str:
    """Return the epoch that a restored backup ended; empty where its row does not name one."""
    try:
        told = msgspec.json.decode(detail)
        return str(told["epoch"]["before"])
    except (msgspec.DecodeError, TypeError, KeyError):
        return ""


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return True


def check_head(check: Check, head: Head, public_key: str | None) -> None:
    """Tell what is wrong with a head itself: its key, whose it is, its signature."""
    public = _raw(head.public_key)
    if public is None or thumbprint(public) != head.key_id:
        check.fault(None, f"the head of {head.at} names another key than it carries")
    elif public_key is not None and spell(public) != public_key:
        check.fault(None, f"the head of {head.at} is signed by {head.key_id}, not by the key given")
    elif not signed(public, head.message(), _raw(head.signature, 64) or b""):
        check.fault(None, f"the head of {head.at} was altered: its signature does not hold")


def _raw(text: str, length: int = 32) -> bytes | None:
    try:
        return read(text, length)
    except ValueError:
        return None


def _unlike(what: str, n: object, digest: object, check: Check) -> str:
    if n != check.n:
        return f"{what} stands at {n}, the journal ends at {check.n}"
    told = digest.hex() if isinstance(digest, bytes) else digest
    return f"{what} has the hash {told}, the last row {check.hash.hex()}"
