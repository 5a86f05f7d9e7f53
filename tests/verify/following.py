"""Verifiers as a table has them, made up: who follows, and when reading fails."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

from latchgate.store.errors import StoreError
from latchgate.store.verifiers import Follower, Following, NotedReceipt


def follower(name: str = "a", acknowledged: int = 0, trust: float = 2.0, **more: Any) -> Follower:
    """Return a live row of a node."""
    told: dict[str, Any] = {
        "kind": "node",
        "node": f"node-{name}",
        "process": 7,
        "program": "1.0",
        "schema": "0008",
        "stale": False,
        "beat": 1,
        "state": "live",
        "joined_at": 0.0,
        "seen_at": 0.0,
        "tenants": None,
    }
    return Follower(incarnation=name, trust=trust, acknowledged=acknowledged, **(told | more))


def following(*followers: Follower, **more: Any) -> Following:
    """Return what a settled history shows, with those who follow."""
    told: dict[str, Any] = {
        "head": 9,
        "epoch": "e",
        "timeline": "00000001",
        "settled": True,
        "max_trust": 2.0,
        "gateway_tail": 0.0,
    }
    return Following(followers=followers, **(told | more))


@dataclass
class Table:
    """Stands for `Verifiers`; `gate`, where it is set, holds up whoever lists or looks."""

    now: Following
    broken: bool = False
    listings: int = 0
    looks: int = 0
    noted: list[NotedReceipt] = field(default_factory=list)
    gate: threading.Event | None = None

    def listed(self) -> Following:
        self.listings += 1
        return self._read()

    def looked(self) -> Following:
        self.looks += 1
        return self._read()

    def note(self, receipts):
        self.noted += receipts

    def follow(self, name: str, acknowledged: int) -> None:
        """Have somebody acknowledge a number."""
        self.now = replace(
            self.now,
            followers=tuple(
                replace(one, acknowledged=acknowledged) if one.incarnation == name else one
                for one in self.now.followers
            ),
        )

    def _read(self) -> Following:
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.broken:
            msg = "it can't be reached"
            raise StoreError(msg)
        return self.now
