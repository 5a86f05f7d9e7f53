"""Keys that another system made, of whatever shape: imported, never issued.

They have no id in them that could be trusted to be one, so the record's id is made from a digest of
what that system kept: the key itself, or its SHA-256 or SHA-512 in hexadecimal. One look-up by id
finds the record, and who reads the store learns nothing that a key could be made from. That is
safe only for random keys, so a pattern whose shortest key holds less than 128 bits is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from latchgate.core.key_pattern import MIN_BITS, PatternError, key_bits
from latchgate.core.kinds.spec import Leaked, LeakShape
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep
from latchgate.core.reason import Reason
from latchgate.core.secret import digest, looks_drawn
from latchgate.core.standing import verified

MAX_LENGTH = 512
MIN_DISTINCT = 8  # characters: a random text of 128 bits has more
_HEXADECIMAL = {
    "sha256": re.compile("[0-9a-f]{64}"),
    "sha512": re.compile("[0-9a-f]{128}"),
}
_AUTHORIZATION = "authorization"
# What every key of a pattern begins with, where that is plain text, is what scanners look for.
_ANCHOR = re.compile(r"[A-Za-z0-9_-]{3,}(?![A-Za-z0-9_?*+{|-])")
_NESTED = re.compile(r"\\.|\[[^\]]*\]|\([^()]*\)")
_LEAST_RANDOM = 20  # printable characters that 128 bits take
_Header = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}\Z")]


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.imported_key]`.

    `pattern` is the regular expression that every key matches from end to end, made of characters,
    sets, groups, `|` and repetitions with an end; `headers` those that carry one; `scheme` what
    stands before it in `Authorization`; `hash` how the other system kept its keys, `latchgate`
    where they are imported as they are.
    """

    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    headers: Annotated[tuple[_Header, ...], msgspec.Meta(min_length=1, max_length=4)] = (
        "Authorization",
    )
    scheme: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31}\Z")] = "Bearer"
    hash: Literal["latchgate", "sha256", "sha512"] = "latchgate"


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A key of another system, sent in `carriers` (lower case)."""

    name: str
    spelling: str
    carriers: tuple[str, ...]
    scheme: str
    hash: Literal["latchgate", "sha256", "sha512"]
    _shape: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _scheme: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shape", re.compile(self.spelling))
        scheme = re.compile(f"{re.escape(self.scheme)} +", re.IGNORECASE)
        object.__setattr__(self, "_scheme", scheme)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> ImportedKey:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        read = msgspec.convert(settings, Settings)
        try:
            bits = key_bits(read.pattern)
        except PatternError as error:
            raise msgspec.ValidationError(f"{error} - at `$.pattern`") from None
        if bits < MIN_BITS:
            problem = (
                f"the shortest key it matches holds {int(bits)} random bits; only keys of"
                f" {MIN_BITS} and more may be kept under a fast digest"
            )
            raise msgspec.ValidationError(f"{problem} - at `$.pattern`")
        carriers = tuple(dict.fromkeys(header.lower() for header in read.headers))
        return cls(
            name=name, spelling=read.pattern, carriers=carriers, scheme=read.scheme, hash=read.hash
        )

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked one; no part of it is public."""
        return f"()(?:{self.spelling})"

    @property
    def leak(self) -> LeakShape | None:
        """Return how a leaked one is known; None where no text stands at its beginning."""
        anchor = self._begins_with()
        if not anchor:
            return None
        shortest = len(anchor) + _LEAST_RANDOM
        return LeakShape(anchor, "", shortest, self.spelling, self.recognise)

    def _begins_with(self) -> str:
        """Return the plain text that every key begins with; empty where there is none."""
        outside, left = self.spelling, ""
        while outside != left:
            left, outside = outside, _NESTED.sub("", outside)
        found = _ANCHOR.match(self.spelling)
        return found[0] if found is not None and "|" not in outside else ""

    def recognise(self, text: str) -> Leaked | None:
        """Read a leaked key: likely at most, for nothing in it can be checked."""
        found = self._shape.match(text)
        if found is None or len(found[0]) > MAX_LENGTH or not looks_drawn(found[0]):
            return None
        claimed = self.of_text(found[0])
        shown = self._begins_with()
        return Leaked(found.end(), claimed.credential_id, claimed.digest, shown, certain=False)

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read the key from each header that may carry one; the same key twice counts once.

        What does not match the pattern is not ours: nothing marks a broken key of this kind.
        """
        found: dict[str, Presented] = {}
        for name in self.carriers:
            value = request.headers.get(name)
            text = self._text(name, value) if value is not None else None
            if text is None:
                continue
            if name in request.repeated:
                return Refused(Reason.CREDENTIAL_REPEATED, f"more than one {name} header")
            made = self.of_text(text)
            found[made.credential_id] = made
        return tuple(found.values()) or None

    def _text(self, name: str, value: str) -> str | None:
        if name == _AUTHORIZATION:
            scheme = self._scheme.match(value)
            if scheme is None:
                return None
            value = value[scheme.end() :]
        return value if self.is_shaped(value) else None

    def is_shaped(self, text: str) -> bool:
        """Whether a text is shaped as a key of this kind."""
        return len(text) <= MAX_LENGTH and self._shape.fullmatch(text) is not None

    def of_text(self, text: str) -> Presented:
        """Return what a key claims, by its text."""
        if self.hash == "latchgate":
            return self._of(text)
        return self._of(hashlib.new(self.hash, text.encode()).hexdigest())

    def of_hash(self, told: str) -> Presented:
        """Return what a key claims, by its hash in hexadecimal as the other system kept it.

        ValueError says what the hash should have been.
        """
        if self.hash == "latchgate":
            raise ValueError(f"{self.name} is imported as secret: its hash is latchgate")
        told = told.removeprefix(f"{self.hash}:").lower()
        if _HEXADECIMAL[self.hash].fullmatch(told) is None:
            digits = 2 * hashlib.new(self.hash).digest_size
            raise ValueError(f"must be {self.hash} in {digits} hexadecimal digits")
        return self._of(told)

    def _of(self, told: str) -> Presented:
        name = digest(f"imported_key id {self.name}", told).hex()[:32]
        return Presented(self.name, f"ik-{name}", digest(f"imported_key {self.name}", told))

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare the digest first; only then look at the record's state."""
        return verified(presented, facts, request, now, trace)
