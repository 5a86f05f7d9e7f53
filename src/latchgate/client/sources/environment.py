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
        """Return what is set."""
        names = wanted.variables
        values = {field: self._variables.get(name, "") for field, name in names.items()}
        fields = wanted.taken(values)
        if fields is not None:
            return Found(fields, "environment " + ", ".join(names[field] for field in fields))
        sets = " or ".join("+".join(names[field] for field in one) for one in wanted.sets)
        return Lacking("environment", f"{sets} not set")
