"""Moments as clouds write them."""

from __future__ import annotations

from datetime import UTC, datetime


def unix_seconds(text: str) -> float:
    """Read a moment (RFC 3339; in UTC where it names no offset); raises ValueError, TypeError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
