"""The environment of this process."""

from __future__ import annotations

import os
from collections.abc import Mapping

from latchgate.client.sources.source import Found, Lacking, Wanted


class Environment:
    """The variables that a cloud's own tools read."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        """Read `variables`, or those of this process."""
        self._variables = os.environ if variables is None else variables

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return what is set; an empty variable is none.

        Raises CredentialInvalid where two are set that exclude each other.
        """
        names = wanted.variables
        values = {field: self._variables.get(name, "") for field, name in names.items()}
        found = wanted.found(values, "environment", names)
        if isinstance(found, Lacking):
            return found
        return Found(found.fields, "environment " + ", ".join(names[one] for one in found.fields))

    def __repr__(self) -> str:
        return "Environment()"
