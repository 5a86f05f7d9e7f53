"""Whether this process still takes what is new."""

from __future__ import annotations


class Readiness:
    """What every `/readyz` of one process says; told by whoever stops it."""

    __slots__ = ("draining",)

    def __init__(self) -> None:
        self.draining = False
