"""What was asked of a rotation: the grace of the old credential, and the life of the new one.

Rule of this file: all that is wrong is told at once, field by field, before anything changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from latchgate.core.duration import parse_duration
from latchgate.manage.errors import InvalidError
from latchgate.manage.key_terms import read_expiry
from latchgate.manage.lifetimes import bounded
from latchgate.store.journal import Change

_NOTHING = frozenset({"0", "0s", "0m", "0h", "0d"})
WEEK = 7 * 86_400
MAX_GRACE = 90 * 86_400
_Text = Annotated[str, msgspec.Meta(max_length=64)]


class RotationSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a credential shall be rotated.

    `grace` is how long the old one works on, `7d` unless told (an app password's none), `0` for
    not at all, 90 days at most. `until_quiet` ends the grace once the old one was unused for so
    long. The new one lives as long as the old one was made for, unless `expires_in` (a duration)
    or `expires_at` (RFC 3339) says otherwise, and no longer than the tenant's maximum life.
    """

    grace: _Text | None = None
    until_quiet: _Text | None = None
    expires_in: _Text | None = None
    expires_at: _Text | None = None


@dataclass(frozen=True, slots=True)
class RotationTerms:
    """What holds of a rotation: `grace` and `quiet` in seconds, `expires_at` in Unix seconds.

    `expires_at` is the end that was asked for in the field `field`; both None where none was.
    """

    grace: int
    quiet: int | None
    expires_at: float | None
    field: str | None


def settle(
    spec: RotationSpec, *, usual_grace: int, longest: float | None, now: float
) -> RotationTerms:
    """Read what was asked; InvalidError says all that is wrong with it.

    `usual_grace` holds unless one is told, `longest` is the longest life of a new one (seconds).
    """
    faults: list[tuple[str, str]] = []
    grace: int | None = usual_grace
    if spec.grace is not None:
        grace = read_grace(spec.grace, faults)
    quiet = None
    if spec.until_quiet is not None:
        quiet = _seconds("until_quiet", spec.until_quiet, faults)
        if quiet is not None and grace is not None and quiet > grace:
            faults.append(("until_quiet", "is longer than the grace, which would end before"))
    expires_at = read_expiry(spec.expires_in, spec.expires_at, now, faults)
    field = None
    if spec.expires_in is not None or spec.expires_at is not None:
        field = "expires_in" if spec.expires_in is not None else "expires_at"
    if field and expires_at is not None and longest is not None and expires_at > now + longest:
        faults.append((field, f"must be at most {round(longest / 3600)}h ahead"))
    if faults or grace is None:
        raise InvalidError(faults)
    return RotationTerms(grace, quiet, expires_at, field)


def read_grace(text: str, faults: list[tuple[str, str]]) -> int | None:
    """Read how long an old secret works on, in seconds; what is wrong is added to `faults`."""
    if text.strip() in _NOTHING:
        return 0
    grace = _seconds("grace", text, faults)
    if grace is not None and grace > MAX_GRACE:
        why = "must be at most 90d: two secrets that open the same are twice as easily lost"
        faults.append(("grace", why))
    return grace


def _seconds(field: str, text: str, faults: list[tuple[str, str]]) -> int | None:
    try:
        return parse_duration(text)
    except ValueError as error:
        faults.append((field, str(error)))
    return None


def successor_ends(
    change: Change, terms: RotationTerms, row: dict[str, Any], kind: str, *, longest: float | None
) -> float | None:
    """Return when the successor of a row ends, None for never; `kind` is the successor's.

    As asked, InvalidError past the tenant's maximum life. What nobody asked for is the life of the
    old one, cut to the maximum of today.
    """

    def within(expires_at: float | None, field: str) -> float | None:
        return bounded(
            change.connection,
            row["tenant_id"],
            kind,
            created_at=change.at,
            expires_at=expires_at,
            field=field,
        )

    if terms.field is not None:
        return within(terms.expires_at, terms.field)
    most = within(None, "expires_at")
    if row["expires_at"] is None:
        return most
    life: float = row["expires_at"] - row["created_at"]
    ends = change.at + (life if longest is None else min(life, longest))
    return ends if most is None else min(ends, most)
