"""What a browser brings from a client in an address: each parameter once, and no more than fits.

Rule of this file: a parameter without a value counts as not sent (RFC 6749 §3.1). One that came
twice is told apart, because who is answered where depends on which it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

# It comes back after a sign-in as the `next` of a page, with notes of ours (signin/next_path).
MAX_LENGTH = 3_600
OWN = "latchgate_"  # what names of notes of ours begin with
_MAX_PARAMETERS = 50


class UnanswerableError(Exception):
    """A request that is answered to the person alone: nobody knows whose address it names."""

    def __init__(self, words: str) -> None:
        self.words = words
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Sent:
    """The parameters of a request, and the names of those that came more than once."""

    pairs: tuple[tuple[str, str], ...]
    told: Mapping[str, str]
    repeated: frozenset[str]

    def __repr__(self) -> str:
        return f"Sent({', '.join(sorted(self.told))})"

    @classmethod
    def of(cls, raw: bytes) -> Sent:
        """Read a query; UnanswerableError where it is none, or longer than can be carried."""
        try:
            pairs = parse_qsl(
                raw.decode("ascii"),
                keep_blank_values=True,
                max_num_fields=_MAX_PARAMETERS,
                encoding="utf-8",
                errors="strict",
            )
        except ValueError:
            raise UnanswerableError("The request of the application could not be read.") from None
        theirs = [pair for pair in pairs if not pair[0].startswith(OWN)]
        if len(urlencode(theirs)) > MAX_LENGTH:
            msg = f"The request of the application is longer than {MAX_LENGTH} characters."
            raise UnanswerableError(msg)
        counted = Counter(name for name, _ in pairs)
        twice = frozenset(name for name, count in counted.items() if count > 1)
        return cls(tuple(pairs), dict(pairs), twice)

    @property
    def text(self) -> str:
        """The same request, in one spelling."""
        return urlencode(self.pairs)

    def get(self, name: str) -> str | None:
        """Return a parameter; None when it was not sent."""
        return self.told.get(name) or None

    def once(self, name: str) -> str:
        """Return a parameter that came just once; UnanswerableError where it did not."""
        value = self.get(name)
        if value is None:
            raise UnanswerableError(f"The request of the application has no {name}.")
        if name in self.repeated:
            raise UnanswerableError(f"The request of the application has {name} twice.")
        return value
