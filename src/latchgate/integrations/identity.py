"""For whom a request was allowed, and the headers that tell it.

Rule of this file: a header that a client could pass off as ours is recognised in every spelling
that some server folds into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Self

_PREFIX = "x-latchgate-"
# CGI, WSGI and PHP fold underscores, dots and more into one name (ATTACKS D1.2, D1.3).
_FOLDED = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Identity:
    """For whom Latchgate allowed a request; false, and all None, where nobody was asked for.

    `scope` is what the policy asked for there; `environment` and `external_id` are what the
    credential's maker wrote down. Ids are Latchgate's.
    """

    tenant: str | None = None
    project: str | None = None
    user: str | None = None
    application: str | None = None
    credential: str | None = None
    kind: str | None = None
    service: str | None = None
    scope: str | None = None
    environment: str | None = None
    external_id: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Self:
        """Read `Verdict.identity`; names that this version doesn't know are left out."""
        return cls(**{field: told[name] for field, name in _HEADERS.items() if name in told})

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what is known as `X-Latchgate-*` names and values."""
        told = ((name, getattr(self, field)) for field, name in _HEADERS.items())
        return tuple((name, value) for name, value in told if value is not None)

    def __bool__(self) -> bool:
        return self.credential is not None or self.user is not None


_HEADERS: Mapping[str, str] = {
    field.name: "X-Latchgate-" + "-".join(part.title() for part in field.name.split("_"))
    for field in fields(Identity)
}


def is_identity_header(name: str, replaced: Iterable[str] = ()) -> bool:
    """Whether a header could be read as one of ours: `X_Latchgate.User` is `X-Latchgate-User`.

    Or as one of `replaced`, which an area's old system decides about.
    """
    folded = _FOLDED.sub("-", name.lower())
    return folded.startswith(_PREFIX) or any(folded == one.lower() for one in replaced)
