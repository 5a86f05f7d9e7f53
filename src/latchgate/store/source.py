"""Where a verifier on another machine than its records has them from: PostgreSQL, or a node.

Rule of this file: what ARCHITECTURE §6 asks of a heartbeat and of a read, and nothing of how it is
carried. Everything here waits for the network, so nothing of it is called under a lock or on an
event loop. StoreError from any of it means that nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from latchgate.core.model import Key
from latchgate.store.rows import Snapshot

PAGE = 5_000
# After so long every worker has read that somebody will trust for longer than anybody before, and
# waits for that where it can't list them (`verify/receipts.py`): only then may they begin.
KNOWN_SECONDS = 3.5


@dataclass(frozen=True, slots=True)
class Place:
    """A place in one history: the epoch, a number, and the hash that the journal has there."""

    epoch: str
    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat learnt in the transaction that wrote the verifier's own row.

    `place` is where the verifier is once it follows `changes` (number, record changed; oldest
    first); `reached` says that this is the head. `timeline` names the database's own history:
    another one than before was promoted since.
    """

    place: Place
    changes: Sequence[tuple[int, Key]]
    reached: bool
    timeline: str
    age: float = 0.0  # seconds that a relay had it for, which the trust is shorter by


@dataclass(frozen=True, slots=True)
class Published:
    """The newest policy at a number of the journal on a timeline: its version, its files by name.

    Read without proof: a primary that was cut off tells an older one.
    """

    version: int
    files: dict[str, str]
    position: int
    timeline: str


@dataclass(frozen=True, slots=True)
class Through:
    """Records and policy version as read in a transaction that was committed as a write is."""

    snapshot: Snapshot
    policy_version: int


class Source(Protocol):
    """One verifier's row and what it reads; used by several threads at once."""

    def register(self, incarnation: str) -> tuple[Place, Published, str]:
        """Add a row for a new memory; return where it begins, the policy there, the timeline.

        It gives no trust (§6 rule 5). NotMigratedError when the schema is another.
        """

    def beat(self, incarnation: str, place: Place) -> Beat | None:
        """Acknowledge `place` and read on, in one committed transaction (§6 rule 3).

        None when the row is not live any more, or this history does not hold that place: then
        everything is to be forgotten and registered anew.
        """

    def read(self, keys: Sequence[Key]) -> Snapshot:
        """Read records with the journal's number then, in one round trip.

        What a credential needs besides (owner, tenant, project, roles, parent) may come along.
        """

    def read_through(self, incarnation: str, keys: Sequence[Key]) -> Through:
        """Read records in a transaction that writes the own row: proof of the true primary."""

    def policy(self) -> Published:
        """Read the newest policy."""

    def wait(self, seconds: float, place: Place) -> bool:
        """Wait until there may be something new, or for so long; True when there may be."""

    def interrupt(self) -> None:
        """End a `wait` under way."""

    def head(self) -> int:
        """Read the journal's head number."""

    def leave(self, incarnation: str) -> None:
        """Delete the own row: nothing is decided with this memory any more (§6 rule 10)."""

    def close(self) -> None:
        """Let go of every connection."""
