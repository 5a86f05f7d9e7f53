"""The policy files that ship with Latchgate, one a provider, and Latchgate's own."""

from __future__ import annotations

from importlib.resources import files

BUILT_IN = "latchgate.toml"
SHIPPED = ("teracloud", "upcloud", "wayscloud", "kakaocloud")


def text(name: str) -> str:
    """Return the text of a shipped policy file, by file name."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
