"""One decision under way, and what it asks its shell for."""

from __future__ import annotations

from collections.abc import Callable, Generator

import msgspec

from latchgate.core.assertion import Assertion
from latchgate.core.kinds import Kind
from latchgate.core.model import (
    Credential,
    Decision,
    Grant,
    Key,
    Presented,
    Record,
    Refused,
    Request,
    TraceStep,
)
from latchgate.core.network import Address
from latchgate.core.policy import Area, Policy, Rule
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret
from latchgate.verify.cache import Cache

Records = dict[Key, Record | None]


class Need(msgspec.Struct, frozen=True):
    """The records a decision lacks; the shell sends them back, None for one that isn't there."""

    keys: tuple[Key, ...]


class Derive(msgspec.Struct, frozen=True):
    """A chosen password whose digest is wanted, made as the stored one `like` was.

    `like` is None where there is none to compare with: the same work is due all the same, or its
    absence would tell (D4.27). `account` is what was logged in to, namespace included, `client`
    who tried: both are throttled. `credential_id` is whose digest `like` is. The shell sends back
    the digest, or why it has none.
    """

    password: Secret
    like: bytes | None
    account: str
    client: Address | None
    credential_id: str = ""


class Prove(msgspec.Struct, frozen=True):
    """A statement whose signature is to be checked, by keys that may have to be fetched.

    The shell sends back the digest of whom it names (`core.assertion.identity_digest`) when it is
    proven and holds at `now` (Unix seconds), or why there is none.
    """

    assertion: Assertion
    now: float


class Fetch(msgspec.Struct, frozen=True):
    """Records that are elsewhere, which a decision waits for; the shell asks for them, not a walk.

    `cache` is what they are for; None where memory can't be believed, and they are read for one
    request alone.
    """

    keys: tuple[Key, ...]
    cache: Cache | None


Slow = Derive | Prove | Fetch
Told = Records | bytes | Refused
Steps = Generator[Need | Derive | Prove, Told, Decision]


class Claim(msgspec.Struct, frozen=True):
    """A credential that a request's body or another header claims, for a door that asks about it.

    Whether it stands is decided, not whether it opens the request's area; its login is looked up
    in the namespace `logins`. `anywhere` says that the door is in no area: the console's own.
    """

    kind: Kind
    presented: Presented
    logins: str
    anywhere: bool = False


class Place(msgspec.Struct, frozen=True):
    """What was found for one method in one area; the same for every request under a policy.

    `carriers` are the headers of which one alone carries a secret there; none where nobody is asked
    for, or where more than a secret is looked at.
    """

    area: Area
    rule: Rule
    trace: tuple[TraceStep, ...]
    carriers: tuple[str, ...]


class Nowhere(msgspec.Struct, frozen=True, gc=False):
    """Why a method and a path lead nowhere; the same for every request under a policy.

    `refused` is None where that has to be looked for each time. A flood leaves thousands of them,
    which the collector of cycles need not look at: nothing in them holds one.
    """

    area: Area | None = None
    dialect: str = ""
    trace: tuple[TraceStep, ...] = ()
    refused: Refused | None = None


Found = Place | Nowhere


class Walk(msgspec.Struct):
    """One decision under way: what it was given, and what it has found so far."""

    request: Request
    policy: Policy
    now: float
    cache: Cache
    new_id: Callable[[], str]
    trace: list[TraceStep]
    dialect: str = "problem"
    area: Area | None = None
    rule: Rule | None = None
    credential: Credential | None = None
    claim: Claim | None = None
    found: Found | None = None  # where the request leads, if that was looked for already

    def end(self, reason: Reason, grant: Grant | None = None) -> Decision:
        """Freeze what was found; only refusals get an id, and leave a trace behind."""
        return Decision(
            id="" if reason is Reason.ALLOWED else self.new_id(),
            reason=reason,
            area=self.area,
            rule=self.rule,
            grant=grant,
            dialect=self.dialect,
            policy_version=self.policy.version,
            journal=self.cache.position,
            trace=tuple(self.trace),
            credential=self.credential,
        )
