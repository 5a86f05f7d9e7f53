"""A secret in memory that nothing shows by accident.

Rule of this file: the text leaves by `reveal` alone, so that every place that uses it can be found.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import takes longer than all of this package's
if TYPE_CHECKING:
    from typing import NoReturn, final
else:

    def final(kind: type) -> type:
        """Mark a class that has no subclasses, for type checkers."""
        return kind


MASK = "…"


@final
class Secret:
    """A password, key or token: printed, formatted and logged it is masked; it can't be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one header or body that it belongs in."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # noqa: PLC0415 - loads OpenSSL's hashes; most programs compare none

        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        msg = "a secret is not pickled: hand over where it comes from, not what it is"
        raise TypeError(msg)


def secret(text: str | Secret) -> Secret:
    """Wrap a text; what is a secret already stays as it is."""
    return text if isinstance(text, Secret) else Secret(text)
