"""What the steps of `make soak` share: what one is, and the figures that it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class LostError(AssertionError):
    """Something that was acknowledged is not there, which a soak looks for; says what."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one step measured, by name, with units; printed and written in this order."""

    title: str
    told: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the figures as lines of Markdown."""
        return [
            f"### {self.title}",
            "",
            *(f"- {name}: {value}" for name, value in self.told.items()),
        ]


@dataclass(frozen=True, slots=True)
class Step:
    """One long run: its name, what it does in a folder of its own with so many keys."""

    name: str
    run: Callable[[Path, int], Figures]
    keys: int  # how many unless told


def require(right: object, what: str) -> None:
    """Raise LostError, saying what, unless something holds."""
    if not right:
        raise LostError(what)
