"""Find our own secrets in bytes: files, logs, dumps; as they are, base64 or percent-encoded.

Rule of this file: what is found is told masked, with its digest, never as text. Most bytes are
passed over by `bytes.translate` and `find`: a secret is a long run of few characters, and only
within such runs is anything looked at more closely.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from urllib.parse import unquote_to_bytes

from latchgate.core.kinds import AnyKind, Leaked, LeakShape
from latchgate.core.secret import digest, has_checksum, looks_drawn

OVERLAP = 16_384  # no secret of ours, base64 of base64 included, is longer
ALLOW = b"latchgate:allow"
_LINE = 4_096  # how far on each side a line is looked through for ALLOW
_DEEP = 2  # base64 within percent-encoding, and the other way round
_BASE64_LEAST = 42  # characters that 31 bytes, the shortest secret, are in base64
_TEXT = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % _BASE64_LEAST)
# Lines of base64 as RFC 2045 and PEM fold them (group 1), and a last one that is shorter.
_FOLDED = re.compile(
    rb"((?:\r?\n[A-Za-z0-9+/]{60,80}(?![A-Za-z0-9+/_.~%-]))*)(?:\r?\n[A-Za-z0-9+/]{1,79})?"
)
_FOLDS = range(60, 81)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_LARGE = 4_096
# In so few bytes CPython looks for a run without preparing tables for it, which takes longer.
_STEP = 29_000


class Grade(StrEnum):
    """How sure it is that a text is a secret of ours."""

    CERTAIN = "certain"  # its checksum is right, or the server knows its digest
    LIKELY = "likely"  # it is spelled like one


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret in some bytes, without its text: where it is, what names it, how sure that is.

    `start` and `end` are offsets into the bytes, of what it was decoded from where `form` is
    base64 or percent. `masked` shows what may be shown. `id` is its public id where it tells one,
    `others` are further digests, for keys whose hash alone was imported.
    """

    kind: str
    start: int
    end: int
    grade: Grade
    form: str
    id: str | None
    digest: bytes = field(repr=False)
    masked: str
    others: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """Return what a baseline knows it by: 32 hexadecimal digits, the same wherever it is."""
        return sha256(f"latchgate:leak:1\0{self.kind}\0".encode() + self.digest).hexdigest()[:32]


def _developer(text: str) -> Leaked | None:
    if not has_checksum(text):
        return None
    return Leaked(len(text), None, digest("developer_token", text), "lgdev_", certain=True)


def _webhook(text: str) -> Leaked | None:
    if not looks_drawn(text):
        return None
    return Leaked(len(text), None, digest("webhook_secret", text), "whsec_", certain=False)


# Secrets of Latchgate's own that are of no kind of credential.
DEVELOPER_TOKEN = "latchgate.developer_token"  # noqa: S105 - a name
WEBHOOK_SECRET = "latchgate.webhook_secret"  # noqa: S105 - a name
OWN: Mapping[str, LeakShape] = {
    DEVELOPER_TOKEN: LeakShape("lgdev_", "", 36, "lgdev_[0-9A-Za-z]{22}[0-9a-f]{8}", _developer),
    WEBHOOK_SECRET: LeakShape("whsec_", "", 38, "whsec_[A-Za-z0-9+/_-]{32,88}={0,2}", _webhook),
}


def shapes(kinds: Mapping[str, AnyKind]) -> dict[str, LeakShape]:
    """Return how the secrets of a policy's kinds are known, and Latchgate's own, by name."""
    found = {name: kind.leak for name, kind in kinds.items()}
    return {name: one for name, one in found.items() if one is not None} | dict(OWN)


def identify(text: str, known: Mapping[str, LeakShape]) -> list[tuple[str, Leaked]]:
    """Return what a whole text may be: kinds with what they read; nothing for a part of one."""
    found: list[tuple[str, Leaked]] = []
    for name, shape in known.items():
        if re.fullmatch(shape.pattern, text) is None:
            continue
        read = shape.recognise(text)
        if read is not None and read.length == len(text):
            found.append((name, read))
    return found


class Finder:
    """Finds the secrets of some shapes; made once, used for any number of texts."""

    def __init__(self, known: Mapping[str, LeakShape]) -> None:
        anchored = {name: one for name, one in known.items() if one.anchor}
        self._anchored: dict[bytes, list[tuple[str, LeakShape, re.Pattern[bytes]]]] = {}
        for name, one in anchored.items():
            entry = (name, one, re.compile(one.pattern.encode()))
            self._anchored.setdefault(one.anchor.encode(), []).append(entry)
        listed = b"|".join(re.escape(anchor) for anchor in sorted(self._anchored, reverse=True))
        self._anchors = re.compile(listed or rb"(?!)")
        self._bare = [_Bare.of(name, one) for name, one in known.items() if not one.anchor]
        least = min((one.length for one in known.values()), default=_BASE64_LEAST)
        self._run = b"a" * least
        self._letters = _table(_TEXT + b"+/_.~%-", b"a")

    def find(self, data: bytes) -> list[Finding]:
        """Return what is found, in order."""
        found: dict[tuple[str, bytes, int], Finding] = {}
        for one in self._search(data, 0):
            found.setdefault((one.kind, one.digest, one.start), one)
        return sorted(found.values(), key=lambda one: (one.start, one.kind))

    def _search(self, data: bytes, depth: int) -> Iterator[Finding]:
        marked = data.translate(self._letters)
        find, run, at = marked.find, self._run, 0
        step = _STEP - len(run)
        while at < len(marked):
            begin = find(run, at, at + _STEP)
            if begin < 0:
                at += step
                continue
            at = find(0, begin)
            if at < 0:
                at = len(data)
            text = data[begin:at]
            # Of small letters alone are words and digests in hexadecimal, and nothing of ours.
            plain = text.islower()
            if plain and b"_" not in text and b"%" not in text:
                continue
            yield from self._in_run(text, begin)
            if depth < _DEEP and b"%" in text:
                yield from self._escaped(text, begin, depth)
            if plain:
                continue
            for bare in self._bare:
                yield from bare.find(text, begin)
            if depth < _DEEP and len(text) >= _BASE64_LEAST and not text.isupper():
                at = yield from self._encoded(data, begin, at, depth)

    def _in_run(self, run: bytes, base: int) -> Iterator[Finding]:
        """Yield what begins with an anchor; in a long run, looking for each apart is faster."""
        if b"_" not in run:
            return
        if len(run) < _LARGE:
            for found in self._anchors.finditer(run):
                yield from self._at(run, found.start(), found[0], base)
            return
        for anchor in self._anchored:
            at = -1
            while (at := run.find(anchor, at + 1)) >= 0:
                yield from self._at(run, at, anchor, base)

    def _at(self, run: bytes, at: int, anchor: bytes, base: int) -> Iterator[Finding]:
        for name, shape, pattern in self._anchored[anchor]:
            matched = pattern.match(run, at)
            read = shape.recognise(matched[0].decode("ascii")) if matched is not None else None
            if read is not None:
                yield _finding(name, read, base + at)

    def _escaped(self, run: bytes, base: int, depth: int) -> Iterator[Finding]:
        """Yield what a percent-encoded run holds (RFC 3986 §2.1)."""
        text = unquote_to_bytes(run)
        if text.islower() and b"_" not in text:
            return
        escapes: list[int] | None = None
        for one in self._search(text, depth + 1):
            if escapes is None:
                escapes = _escapes(run)
            begin, end = (at + 2 * bisect_left(escapes, at) for at in (one.start, one.end))
            form = "percent" if end - begin > one.end - one.start else one.form
            yield replace(one, start=base + begin, end=base + end, form=form)

    def _encoded(
        self, data: bytes, first: int, last: int, depth: int
    ) -> Generator[Finding, None, int]:
        """Yield what runs of base64 hold, folded ones included; returns where to look on from.

        That is behind whole lines: a shorter one may as well be the beginning of something else.
        """
        end = seen = last
        for begin, part in _base64_in(data, first, last):
            text = part
            if begin + len(text) == last and len(text) in _FOLDS:
                folded = _FOLDED.match(data, last)
                if folded is not None and folded.end() > last:
                    seen, end = max(folded.end(1), last), folded.end()
                    text = data[begin:end]
            folds: _Folds | None = None
            for one in self._search(_decoded(text), depth + 1):
                if folds is None:
                    folds = _Folds.of(text)
                where = begin + folds.first(one.start // 3 * 4)
                until = min(begin + folds.last(-(-one.end // 3) * 4), end)
                yield replace(one, start=where, end=until, form="base64")
        return seen


def _base64_in(data: bytes, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """Yield the runs of base64 in a run, each with where it begins."""
    text = data[first:last]
    if b"." not in text and b"%" not in text and b"~" not in text:
        yield first, text
        return
    for part in _BASE64.finditer(text):
        yield first + part.start(), part[0]


@dataclass(frozen=True, slots=True)
class _Bare:
    """Finds secrets that begin with nothing of their own: a run of so many characters."""

    name: str
    shape: LeakShape
    letters: bytes = field(repr=False)
    run: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, shape: LeakShape) -> _Bare:
        """Prepare the search."""
        return cls(name, shape, _table(shape.alphabet.encode(), b"a"), b"a" * shape.length)

    def find(self, data: bytes, base: int) -> Iterator[Finding]:
        """Yield those at either end of a run, for an escape may stand before it."""
        if len(data) < self.shape.length:
            return
        marked, at = data.translate(self.letters), 0
        while (at := marked.find(self.run, at)) >= 0:
            begin = at
            at = marked.find(0, begin)
            yield from self._in_run(data, begin, at if at >= 0 else len(data), base)
            if at < 0:
                return

    def _in_run(self, data: bytes, begin: int, end: int, base: int) -> Iterator[Finding]:
        length = self.shape.length
        exact = end - begin == length and not _beside(data, begin, end)
        for at in {begin, end - length}:
            read = self.shape.recognise(data[at : at + length].decode("ascii"))
            if read is not None and (read.certain or exact):
                yield _finding(self.name, read, base + at)


def _beside(data: bytes, begin: int, end: int) -> bool:
    """Whether a letter or digit stands beside a run: then it is a part of something longer."""
    before = data[begin - 1 : begin] if begin else b""
    return before.isalnum() or data[end : end + 1].isalnum()


def _finding(kind: str, read: Leaked, start: int) -> Finding:
    return Finding(
        kind=kind,
        start=start,
        end=start + read.length,
        grade=Grade.CERTAIN if read.certain else Grade.LIKELY,
        form="plain",
        id=read.id,
        digest=read.digest,
        masked=f"{read.shown}…",
        others=read.others,
    )


def _table(letters: bytes, mark: bytes) -> bytes:
    return bytes(mark[0] if byte in letters else 0 for byte in range(256))


def _decoded(text: bytes) -> bytes:
    """Decode base64 of either alphabet, folded or not, whose end may be cut off."""
    if b"\n" in text:
        text = text.translate(None, b"\r\n")
    if b"_" in text or b"-" in text:
        text = text.translate(_URL_SAFE)
    whole = len(text) // 4 * 4
    tail = text[whole:]
    body = a2b_base64(text[:whole])
    return body + a2b_base64(tail + b"=" * (4 - len(tail))) if len(tail) > 1 else body


def cut(data: bytes, at: int) -> int:
    """Return where, at `at` or a little before, bytes may be cut: between base64's groups of four.

    `data` must begin where its bytes may be cut, too.
    """
    run = data[:at].translate(_IN_BASE64).rfind(0) + 1
    return at - (at - run) % 4


@dataclass(frozen=True, slots=True)
class _Folds:
    """Where the letters of folded text are: how many stand before each line, and where it begins.

    Worked out once for any number of findings: a dump of keys has very many in one text.
    """

    letters: list[int]
    begins: list[int]

    @classmethod
    def of(cls, text: bytes) -> _Folds:
        """Look through a text."""
        letters, begins, count, at = [], [], 0, 0
        for line in text.splitlines(keepends=True):
            letters.append(count)
            begins.append(at)
            count += len(line.rstrip(b"\r\n"))
            at += len(line)
        return cls(letters, begins)

    def first(self, offset: int) -> int:
        """Return where the letter of this number stands."""
        line = bisect_right(self.letters, offset) - 1
        return self.begins[line] + offset - self.letters[line]

    def last(self, offset: int) -> int:
        """Return where the letter before this number ends."""
        line = max(bisect_left(self.letters, offset) - 1, 0)
        return self.begins[line] + offset - self.letters[line]


def _escapes(run: bytes) -> list[int]:
    """Return which bytes of percent-decoded text, by number, stood there as an escape."""
    return [one.start() - 2 * before for before, one in enumerate(_ESCAPE.finditer(run))]


_IN_BASE64 = _table(_TEXT + b"+/_-", b"a")


def is_allowed(data: bytes, finding: Finding) -> bool:
    """Whether the line that it is on says `latchgate:allow`."""
    begin = data.rfind(b"\n", max(0, finding.start - _LINE), finding.start) + 1
    if not begin:
        begin = max(0, finding.start - _LINE)
    end = data.find(b"\n", finding.end, finding.end + _LINE)
    return ALLOW in data[begin : end if end >= 0 else finding.end + _LINE]


def kept(findings: Iterable[Finding], *, certain: bool) -> list[Finding]:
    """Return all findings, or those that are certain."""
    return [one for one in findings if not certain or one.grade is Grade.CERTAIN]
