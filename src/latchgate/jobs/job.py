"""One job: what it does, how often, and what it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from latchgate.core.location import Location
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.jobs.mail import Mailer
from latchgate.signin.outgoing import Resolve
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
class AccessFiles:
    """Where the access log is, for how many days it is kept and how large it may get."""

    directory: Path
    days: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Work:
    """What jobs work with; built by the composition root.

    `webhook_networks` are those of the operator's own that events may be sent to; `mail` is None
    where no e-mail is sent, `export` where the journal is exported to nowhere, `access_log`
    where none is written. `policy` returns the policy in force, `clock` Unix seconds, `ticks` those
    of a clock that never jumps, `entropy` n random bytes.
    """

    store: Store
    usage: UsageReader
    usage_database: Location
    retention: Retention
    policy: Callable[[], Policy]
    webhook_networks: Networks
    mail: Mailer | None
    resolve: Resolve
    master_key: Path
    redact: Callable[[str], str]
    clock: Callable[[], float]
    ticks: Callable[[], float]
    entropy: Callable[[int], bytes]
    export: Export | None = None
    access_log: AccessFiles | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A named step, run every `seconds`; what it can't finish at once it goes on with next time."""

    name: str
    seconds: float
    run: Callable[[Work], None]
