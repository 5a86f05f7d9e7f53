"""One job: what it does, how often, and what it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from latchgate.core.policy import Policy
from latchgate.store.journal import Actor, Store
from latchgate.store.retention import Retention
from latchgate.store.usage import UsageReader

# Who the journal names for what happens by itself.
ACTOR = Actor(name="latchgate", tenant_id=None)


@dataclass(frozen=True, slots=True)
class Export:
    """Where the journal is exported to, how often and for how long it stays (seconds)."""

    directory: Path
    every: int
    keep: int | None


@dataclass(frozen=True, slots=True)
class Work:
    """What jobs work with; built by the composition root.

    `policy` returns the policy in force, `clock` Unix seconds, `entropy` n random bytes; `export`
    is None when the journal is exported to nowhere.
    """

    store: Store
    usage: UsageReader
    usage_database: Path
    retention: Retention
    policy: Callable[[], Policy]
    master_key: Path
    redact: Callable[[str], str]
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]
    export: Export | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A named step, run every `seconds`; what it can't finish at once it goes on with next time."""

    name: str
    seconds: float
    run: Callable[[Work], None]
