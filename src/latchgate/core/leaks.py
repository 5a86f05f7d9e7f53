"""Find our own secrets in bytes: files, logs, dumps; as they are, base64 or percent-encoded.

Rule of this file: what is found is told masked, with its digest, never as text. Most bytes are
passed over by `translate` and `find` on every second byte: a secret is a long run of few
characters, and only within such runs is anything looked at more closely.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping
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
_RUN = re.compile(rb"[A-Za-z0-9+/_.~%-]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % _BASE64_LEAST)
# Lines of base64 as RFC 2045 and PEM fold them, and a last one that is shorter.
_FOLDED = re.compile(rb"(?:\r?\n[A-Za-z0-9+/]{60,80}(?![A-Za-z0-9+/]))*(?:\r?\n[A-Za-z0-9+/]{1,79})?")
_FOLDS = range(60, 81)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_LARGE = 4_096


class Grade(StrEnum):
    """How sure it is that a text is a secret of ours."""

    CERTAIN = "certain"  # its checksum is right, or the server knows its digest
    LIKELY = "likely"  # it is spelled like one


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret in some bytes, without its text: where it is, what names it, how sure that is.

    `start` and `end` are offsets into the bytes, of what it was decoded from where `form` is
    base64 or percent. `masked` shows what may be shown. `id` is its public id where it tells one.
    """

    kind: str
    start: int
    end: int
    grade: Grade
    form: str
    id: str | None
    digest: bytes = field(repr=False)
    masked: str

    @property
    def fingerprint(self) -> str:
        """Return what a baseline knows it by: 32 hexadecimal digits, the same wherever it is."""
        return sha256(f"latchgate:leak:1\0{self.kind}\0".encode() + self.digest).hexdigest()[:32]


def _developer(text: str) -> Leaked | None:
    if not has_checksum(text):
        return None
    return Leaked(len(text), True, None, digest("developer_token", text), "lgdev_")


def _webhook(text: str) -> Leaked | None:
    if not looks_drawn(text):
        return None
    return Leaked(len(text), False, None, digest("webhook_secret", text), "whsec_")


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
        self._samples = b"a" * (least // 2)
        self._sampled = _table(_TEXT + b"+/_.~%-", b"a")

    def find(self, data: bytes, *, start: bool = True) -> list[Finding]:
        """Return what is found, in order; `start` False says that something stands before."""
        found: dict[tuple[str, bytes, int], Finding] = {}
        for one in self._search(data, 0, start=start):
            found.setdefault((one.kind, one.digest, one.start), one)
        return sorted(found.values(), key=lambda one: (one.start, one.kind))

    def _search(self, data: bytes, depth: int, *, start: bool) -> Iterator[Finding]:
        # Every run of `least` characters holds that many samples of every second byte in a row.
        sampled = data[::2].translate(self._sampled)
        samples, match, at = self._samples, _RUN.match, 0
        while (at := sampled.find(samples, at)) >= 0:
            first = max(2 * at - 1, 0)
            run = match(data, first) or match(data, 2 * at)
            if run is None:  # never: the sample itself matches
                break
            text = run[0]
            at = (run.end() + 1) // 2
            if b"_" in text:
                yield from self._in_run(text, run.start())
            if len(text) >= _BASE64_LEAST and not text.islower() and not text.isupper():
                if b"%" in text and depth < _DEEP:
                    yield from self._escaped(text, run.start(), depth)
                if depth < _DEEP:
                    cut = not start and run.start() == 0
                    end = yield from self._encoded(data, run, depth, cut=cut)
                    at = max(at, (end + 1) // 2)
            elif b"%" in text and depth < _DEEP:
                yield from self._escaped(text, run.start(), depth)
        for bare in self._bare:
            yield from bare.find(data)

    def _in_run(self, run: bytes, base: int) -> Iterator[Finding]:
        """Yield what begins with an anchor; in a long run, looking for each apart is faster."""
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
        for one in self._search(unquote_to_bytes(run), depth + 1, start=True):
            ends = [_unescaped(run, offset) for offset in (one.start, one.end)]
            form = "percent" if ends[1] - ends[0] > one.end - one.start else one.form
            yield replace(one, start=base + ends[0], end=base + ends[1], form=form)

    def _encoded(
        self, data: bytes, run: re.Match[bytes], depth: int, *, cut: bool
    ) -> Iterator[Finding]:
        """Yield what runs of base64 hold, folded ones included; returns where the last ends.

        Of one that is `cut` off at its begin, nobody knows where its groups of four begin.
        """
        end = run.end()
        for part in _BASE64.finditer(data, run.start(), run.end()):
            begin, text = part.span()[0], part[0]
            if part.end() == run.end() and len(text) in _FOLDS:
                folded = _FOLDED.match(data, part.end())
                if folded is not None and folded.end() > part.end():
                    end = folded.end()
                    text = data[begin:end]
            plain = text.translate(_URL_SAFE, b"\r\n")
            for skipped in range(4 if cut else 1):
                for one in self._search(_decoded(plain[skipped:]), depth + 1, start=not cut):
                    ends = [
                        begin + _unfolded(text, skipped + offset)
                        for offset in (one.start // 3 * 4, -(-one.end // 3) * 4)
                    ]
                    yield replace(one, start=ends[0], end=min(ends[1], end), form="base64")
        return end  # noqa: B901 - read by `yield from`


@dataclass(frozen=True, slots=True)
class _Bare:
    """Finds secrets that begin with nothing of their own: a run of so many characters."""

    name: str
    shape: LeakShape
    stride: int
    table: bytes = field(repr=False)
    samples: bytes = field(repr=False)
    run: re.Pattern[bytes] = field(repr=False)

    @classmethod
    def of(cls, name: str, shape: LeakShape) -> _Bare:
        alphabet = shape.alphabet.encode()
        # Few letters make few chance runs, so that few samples tell; of many letters see each.
        stride = shape.length // 4 if len(alphabet) <= 16 else 1  # noqa: PLR2004 - hexadecimal
        run = re.compile(b"[%b]+" % re.escape(alphabet))
        return cls(
            name, shape, stride, _table(alphabet, b"a"), b"a" * (shape.length // stride), run
        )

    def find(self, data: bytes) -> Iterator[Finding]:
        """Yield those at either end of a run, for an escape may stand before it."""
        sampled = data[:: self.stride].translate(self.table)
        length, end, at = self.shape.length, 0, 0
        while (at := sampled.find(self.samples, at)) >= 0:
            begin = max(at * self.stride - self.stride + 1, end)
            run = self.run.search(data, begin)
            while run is not None and run.end() <= at * self.stride:
                run = self.run.search(data, run.end())
            if run is None:  # never: the sample itself matches
                return
            end = run.end()
            at = max(at + 1, -(-end // self.stride))
            yield from self._in_run(data, run, length)

    def _in_run(self, data: bytes, run: re.Match[bytes], length: int) -> Iterator[Finding]:
        text = run[0]
        if len(text) < length:
            return
        exact = len(text) == length and not _beside(data, run)
        for at in {0, len(text) - length}:
            read = self.shape.recognise(text[at : at + length].decode("ascii"))
            if read is not None and (read.certain or exact):
                yield _finding(self.name, read, run.start() + at)


def _beside(data: bytes, run: re.Match[bytes]) -> bool:
    """Whether a letter or digit stands beside a run: then it is a part of something longer."""
    before = data[run.start() - 1 : run.start()] if run.start() else b""
    after = data[run.end() : run.end() + 1]
    return before.isalnum() or after.isalnum()


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
    )


def _table(letters: bytes, mark: bytes) -> bytes:
    return bytes(mark[0] if byte in letters else 0 for byte in range(256))


def _decoded(text: bytes) -> bytes:
    rest = len(text) % 4
    if rest == 1:
        text, rest = text[:-1], 0
    return a2b_base64(text + b"=" * (-rest % 4))


def _unfolded(text: bytes, offset: int) -> int:
    """Return where the character of this number is in folded text."""
    at = 0
    for line in text.splitlines(keepends=True):
        letters = len(line.rstrip(b"\r\n"))
        if offset <= letters:
            return at + offset
        offset -= letters
        at += len(line)
    return len(text)


def _unescaped(run: bytes, offset: int) -> int:
    """Return where the byte of this number begins in percent-encoded text."""
    at = 0
    for escape in _ESCAPE.finditer(run):
        if escape.start() - at >= offset:
            break
        offset -= escape.start() - at + 1
        at = escape.end()
    return at + offset


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
