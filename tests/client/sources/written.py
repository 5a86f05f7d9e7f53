"""Files and fields as tests of sources write and read them."""

from __future__ import annotations

from pathlib import Path

from latchgate.client.sources.source import Found, Lacking


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    path.chmod(mode)
    return path


def revealed(found: Found | Lacking) -> dict[str, str]:
    """Return a credential's fields as texts."""
    assert isinstance(found, Found), found
    return {name: value.reveal() for name, value in found.fields.items()}


def lacking(found: Found | Lacking) -> Lacking:
    """Return what a source lacks."""
    assert isinstance(found, Lacking), found
    return found
