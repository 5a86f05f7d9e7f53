"""What clients recorded of a run, and what must hold of it.

Rule of this file: nothing but records goes in. All times are seconds of one clock,
CLOCK_MONOTONIC of one machine: a request is stamped before its first byte is sent, a receipt after
its last byte was read, so that a request that is stamped later than a receipt did start after it.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

BIN_SECONDS = 0.1
PATIENCE_SECONDS = 2.0  # of a gateway: what is answered later is no answer to its client


class Action(enum.StrEnum):
    """What was asked of the management API."""

    CREATE = "create"
    REVOKE = "revoke"
    ROTATE = "rotate"


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """One question to a node's verify address. `status` is 0 where no answer came: see `fault`."""

    node: str
    key: str
    start: float
    end: float
    status: int
    fault: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.status == 200

    @property
    def refused(self) -> bool:
        """Whether the credential was refused; a node that can't tell says something else."""
        return self.status in {401, 403}


class Change(msgspec.Struct, frozen=True, tag="change"):
    """One change that was asked of a node; `done` when it was acknowledged, with its receipt.

    `made` is the key that a creation or rotation made; `lapsed` how many verifiers the receipt
    says did not acknowledge.
    """

    action: Action
    node: str
    key: str  # empty for a creation
    start: float
    end: float
    status: int
    fault: str = ""
    made: str = ""
    lapsed: int = 0

    @property
    def done(self) -> bool:
        """Whether it was acknowledged."""
        return self.status in {200, 201}


class Shown(msgspec.Struct, frozen=True, tag="shown"):
    """What the whole cluster says of a key in the end: its state, empty where it has none."""

    key: str
    state: str
    superseded_by: str = ""


class Event(msgspec.Struct, frozen=True, tag="event"):
    """Something that was done to the cluster."""

    at: float
    what: str


Record = Ask | Change | Shown | Event
_decode = msgspec.json.Decoder(Record).decode


def read(file: Path) -> list[Record]:
    """Read a file of records, one a line."""
    with file.open("rb") as lines:
        return [_decode(line) for line in lines]


class Fault(enum.StrEnum):
    """What must never be."""

    ACCEPTED = "accepted after its receipt"
    LOST_CREATION = "an acknowledged creation is gone"
    LOST_REVOCATION = "an acknowledged revocation is gone"
    LOST_ROTATION = "an acknowledged rotation is gone"
    REFUSED = "refused although it is valid"
    NOT_SHOWN = "the cluster did not say what became of it"


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be, of which key, and the record that shows it."""

    fault: Fault
    key: str
    shown_by: Record | None

    def __str__(self) -> str:
        return f"{self.key}: {self.fault}: {self.shown_by}"


@dataclass(slots=True)
class Life:
    """What is known of a key from what was acknowledged.

    `ends_from` is when somebody first asked for its end: from then on it may be refused. `ended_at`
    is when a receipt of that returned: from then on it must be.
    """

    valid_from: float | None = None
    ends_from: float | None = None
    ended_at: float | None = None
    ended_by: Action | None = None
    successor: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was wrong in a run, and how many of what were looked at."""

    violations: list[Violation]
    looked_at: Counter[str] = field(default_factory=Counter)


def judge(records: Sequence[Record]) -> Verdict:
    """Find everything in a run's records that must never be."""
    lives = _lives(one for one in records if isinstance(one, Change))
    looked_at: Counter[str] = Counter()
    violations = list(_asked(records, lives, looked_at))
    violations += _kept(records, lives, looked_at)
    return Verdict(violations, looked_at)


def _lives(changes: Iterable[Change]) -> dict[str, Life]:
    lives: dict[str, Life] = {}
    for change in changes:
        if change.done and change.made:
            lives.setdefault(change.made, Life()).valid_from = change.end
        if not change.key:
            continue
        life = lives.setdefault(change.key, Life())
        # One that was not acknowledged may have been made all the same.
        life.ends_from = min(change.start, life.ends_from or change.start)
        if change.done and (life.ended_at is None or change.end < life.ended_at):
            life.ended_at = change.end
        if change.done and life.ended_by is not Action.ROTATE:
            life.ended_by = change.action
            life.successor = change.made
    return lives


def _asked(
    records: Sequence[Record], lives: dict[str, Life], looked_at: Counter[str]
) -> Iterator[Violation]:
    for ask in records:
        if not isinstance(ask, Ask):
            continue
        looked_at["requests"] += 1
        life = lives.get(ask.key, Life())
        if life.ended_at is not None and ask.start > life.ended_at:
            looked_at["requests after a receipt"] += 1
            if ask.allowed:
                yield Violation(Fault.ACCEPTED, ask.key, ask)
        valid = life.valid_from is not None and ask.start > life.valid_from
        if ask.refused and valid and (life.ends_from is None or ask.end < life.ends_from):
            yield Violation(Fault.REFUSED, ask.key, ask)


def _kept(
    records: Sequence[Record], lives: dict[str, Life], looked_at: Counter[str]
) -> Iterator[Violation]:
    """Compare what was acknowledged with what the cluster says in the end."""
    shown = {one.key: one for one in records if isinstance(one, Shown)}
    for key, life in lives.items():
        if life.valid_from is not None:
            looked_at["creations"] += 1
        if life.ended_by is not None:
            looked_at[f"{life.ended_by.value}s"] += 1
        if life.valid_from is None and life.ended_at is None:
            continue  # nothing was acknowledged of it
        last = shown.get(key)
        if last is None:
            yield Violation(Fault.NOT_SHOWN, key, None)
        elif not last.state:
            yield Violation(Fault.LOST_CREATION, key, last)
        elif life.ended_at is not None and last.state != "revoked":
            rotated = life.ended_by is Action.ROTATE
            yield Violation(Fault.LOST_ROTATION if rotated else Fault.LOST_REVOCATION, key, last)
        elif life.successor and last.superseded_by != life.successor:
            yield Violation(Fault.LOST_ROTATION, key, last)
        elif life.ends_from is None and last.state != "active":
            yield Violation(Fault.LOST_CREATION, key, last)


class Outcome(enum.StrEnum):
    """How a request or a change went, as its sender sees it."""

    DECIDED = "decided"
    UNAVAILABLE = "503"
    SILENT = "no answer in time"
    UNREACHABLE = "no connection"
    OTHER = "another error"


def outcome(one: Ask | Change) -> Outcome:
    """Return how one went."""
    if one.status == 0:
        return Outcome.SILENT if one.fault == "silent" else Outcome.UNREACHABLE
    if one.status == 503:
        return Outcome.UNAVAILABLE
    if isinstance(one, Ask) and one.end - one.start > PATIENCE_SECONDS:
        return Outcome.SILENT
    decided = one.done if isinstance(one, Change) else one.allowed or one.refused
    return Outcome.DECIDED if decided else Outcome.OTHER


def over_time(
    records: Iterable[Record], begun: float, ended: float
) -> dict[str, list[Counter[Outcome]]]:
    """Return how requests went on each node, and `changes`, per 100 ms by when they started."""
    bins = max(1, round((ended - begun) / BIN_SECONDS))
    found: dict[str, list[Counter[Outcome]]] = {}
    for one in records:
        if not isinstance(one, Ask | Change) or not begun <= one.start < ended:
            continue
        name = one.node if isinstance(one, Ask) else "changes"
        series = found.setdefault(name, [Counter() for _ in range(bins)])
        series[min(bins - 1, int((one.start - begun) / BIN_SECONDS))][outcome(one)] += 1
    return dict(sorted(found.items()))
