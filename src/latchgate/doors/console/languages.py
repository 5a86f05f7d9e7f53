"""The languages that the console speaks: English, in which it is written, and catalogues beside.

Rule of this file: what a browser asks for chooses among those that are there, never names a file.
A text that a catalogue lacks is shown in English; one with tags or placeholders of its own is
refused at the start, for pages take it as it is. Source: RFC 9110 §12.5.4, RFC 4647 §3.4.
"""

from __future__ import annotations

import gettext
import io
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENGLISH = "en"
DOMAIN = "latchgate"
COOKIE = "__Host-latchgate-language"
_TAG = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
_RANGE = re.compile(
    r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)(?:;[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
# What a page takes as it is from a translation: tags, what ends an attribute, and values.
_MARKS = re.compile(r"<[^>]*>|[<\"]|%\([^)]*\).|%.?")
_LITTLE_ENDIAN = b"\xde\x12\x04\x95"  # how a catalogue begins; in the other order otherwise
_MAX_HEADER = 500
_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ks", "ku", "ps", "sd", "ug", "ur", "yi"})


class LanguageError(Exception):
    """A catalogue that can't be read; says which file, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its tag (RFC 5646), what it calls itself, and its texts."""

    tag: str
    name: str
    texts: gettext.NullTranslations = field(repr=False, compare=False)

    @property
    def direction(self) -> str:
        """Where its lines begin, as HTML names it."""
        return "rtl" if self.tag.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"

    def words(self, text: str, values: Mapping[str, object]) -> str:
        """Return a text in this language, with its values put in."""
        found = self.texts.gettext(text) if text else ""
        return found % values if values else found


def N_(text: str) -> str:  # noqa: N802 - the name that tools look for
    """Mark a text that is shown in the reader's language later."""
    return text


def _name(tag: str, texts: gettext.NullTranslations) -> str:
    """Return what a language calls itself; its tag where its catalogue doesn't say."""
    # Translators: the name of your language in your language, as "Deutsch" or "日本語".
    told = texts.pgettext("what this language calls itself", "English")
    return told if told != _WRITTEN.name else tag


_WRITTEN = Language(ENGLISH, "English", gettext.NullTranslations())


@dataclass(frozen=True, slots=True)
class Languages:
    """Every language that is there, by its tag."""

    known: Mapping[str, Language] = field(default_factory=lambda: {ENGLISH: _WRITTEN})

    @classmethod
    def beside(cls, folder: Path | None) -> Languages:
        """Read `TAG/LC_MESSAGES/latchgate.mo` below a folder, beside English; LanguageError.

        A catalogue names its language by its translation of `English`.
        """
        found = {ENGLISH: _WRITTEN}
        for file in sorted(folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")) if folder else ():
            tag = file.parent.parent.name.replace("_", "-")  # as gettext's tools write them
            if not _TAG.fullmatch(tag):
                raise LanguageError(f"{file}: {tag} is no language tag such as de or pt-BR")
            if tag in found and tag != ENGLISH:
                raise LanguageError(f"{file}: there is a catalogue of {tag} beside it already")
            texts = _read(file)
            found[tag] = Language(tag, _name(tag, texts), texts)
        return cls(found)

    def chosen(self, wish: str | None, accepted: str | None) -> Language:
        """Return the language that somebody chose, or that their browser likes best, or English."""
        if wish in self.known:
            return self.known[wish or ENGLISH]
        for tag in _liked(accepted or ""):
            found = self._nearest(tag)
            if found is not None:
                return found
        return self.known[ENGLISH]

    def _nearest(self, tag: str) -> Language | None:
        """Look a tag up, cut shorter and shorter (RFC 4647 §3.4)."""
        lower = {name.lower(): one for name, one in self.known.items()}
        while tag:
            if tag in lower:
                return lower[tag]
            tag = tag.rpartition("-")[0]
        return None


def _read(file: Path) -> gettext.GNUTranslations:
    """Read a catalogue; LanguageError where it is none, or has a text that pages can't take."""
    try:
        held = file.read_bytes()
        texts = gettext.GNUTranslations(io.BytesIO(held))
        for written, said in _pairs(held):
            allowed = set(_MARKS.findall(written))
            if written and not set(_MARKS.findall(said)) <= allowed:
                shown = " ".join(sorted(allowed)) or "none"
                told = f"{said[:100]!r} has tags, quotes or placeholders that the text has not"
                raise LanguageError(f"{file}: {told}: there {shown} are allowed")
    except (OSError, ValueError, LookupError, struct.error) as error:
        raise LanguageError(f"{file}: it is no catalogue that can be read") from error
    return texts


def _pairs(held: bytes) -> Iterator[tuple[str, str]]:
    """Yield each text of a catalogue with its translation, several forms of one in one."""
    order = "<" if held[:4] == _LITTLE_ENDIAN else ">"
    count, texts, translations = struct.unpack_from(f"{order}3I", held, 8)
    for at in range(count):
        pair = []
        for table in (texts, translations):
            length, offset = struct.unpack_from(f"{order}2I", held, table + 8 * at)
            pair.append(held[offset : offset + length].decode())
        yield pair[0], pair[1]


def _liked(header: str) -> Iterable[str]:
    """Return the tags of `Accept-Language`, the most liked first."""
    ranges: list[tuple[float, str]] = []
    for part in header[:_MAX_HEADER].split(","):
        found = _RANGE.fullmatch(part.strip().replace(" ", ""))
        weight = float(found[2] or 1) if found else 0.0
        if found and weight > 0 and found[1] != "*":
            ranges.append((weight, found[1].lower()))
    return [tag for _, tag in sorted(ranges, key=lambda one: -one[0])]
