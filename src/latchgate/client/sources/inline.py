"""Fields that whoever calls already has, such as those of a profile."""

from __future__ import annotations

from collections.abc import Mapping

from latchgate.client.secret import Secret, secret
from latchgate.client.sources.source import Found, Lacking, Wanted


class Inline:
    """A credential's fields by their names; `where` is what people are told they come from."""

    def __init__(self, fields: Mapping[str, str | Secret], *, where: str = "argument") -> None:
        """Keep the fields as secrets."""
        self._fields = {name: secret(value) for name, value in fields.items()}
        self._where = where

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return the fields, where they make a credential.

        Raises CredentialInvalid where two exclude each other.
        """
        values = {name: value.reveal() for name, value in self._fields.items()}
        return wanted.found(values, self._where)

    def __repr__(self) -> str:
        return f"Inline({', '.join(self._fields)})"
