"""The password of a person's account, sent as HTTP Basic where an area says that it may be.

A person chose it, so its digest is argon2id in PHC form: whoever decides works it out from what
was presented, with the salt and cost of the stored one (`Presented.password`), and then compares
the two like any other. A provider may take it by default from those alone who registered before
an instant, and from them until they switch Basic on or off themselves. Source: providers/upcloud,
"HTTP Basic authentication"; providers/teracloud, "BASIC authentication".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from latchgate.core.basic import is_system_made, read_basic
from latchgate.core.kinds.spec import Issued, LeakShape, SentBasic, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep
from latchgate.core.reason import Reason, Step
from latchgate.core.secret import BASE62, CROCKFORD_LOWER, Secret, draw
from latchgate.core.standing import verified
from latchgate.core.timestamp import parse_rfc3339

LENGTH = 24  # of base62: 142 bits
_ID_LENGTH = 12
_ID_ENTROPY = 17


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.account_password]`.

    `registered_before` is the RFC 3339 time from which on those who register have Basic off.
    """

    registered_before: str | None = None


@dataclass(frozen=True, slots=True)
class AccountPassword(SentBasic):
    """A chosen password bound to a login name, sent as Basic.

    `registered_before`, Unix seconds, is None where everybody's is taken.
    """

    name: str
    registered_before: float | None = None

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> AccountPassword:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        told = msgspec.convert(settings, Settings).registered_before
        try:
            before = parse_rfc3339(told) if told is not None else None
        except ValueError as error:
            raise msgspec.ValidationError(f"{error} - at `$.registered_before`") from None
        return cls(name=name, registered_before=before)

    def taken_from(self, created_at: float, basic_switched: Collection[str]) -> bool:
        """Whether it is taken from a user: the provider's default, while it is theirs.

        Whoever switched Basic on has an app password instead, whoever switched it off has neither.
        `created_at` and `basic_switched` are those of `core.model.User`.
        """
        if self.registered_before is None:
            return True
        return created_at < self.registered_before and self.provider not in basic_switched

    @property
    def provider(self) -> str:
        """Return the word of the provider whose kind it is."""
        return self.name.partition(".")[0]

    @property
    def pattern(self) -> str | None:
        """Return None: what a person chose looks like nothing."""
        return None

    @property
    def leak(self) -> LeakShape | None:
        """Return None: what a person chose is known by nothing."""
        return None

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes: those of the id, then of the password."""
        return _ID_ENTROPY + 26

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read login name and password from `Authorization: Basic` (RFC 7617).

        What only the system makes is not a chosen password, and left to the kind that it is of.
        """
        value = request.headers.get("authorization")
        basic = read_basic(value) if value is not None else None
        if basic is None:
            return None
        if isinstance(basic, str):
            return Refused(Reason.CREDENTIAL_MALFORMED, basic)
        if is_system_made(basic.password.reveal()):
            return None
        if "authorization" in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, "more than one Authorization header")
        return (Presented(self.name, "", b"", login=basic.login, password=basic.password),)

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make a first password of 24 of base62, to be changed by its owner.

        Its digest is empty: it takes a salt and work, which are not the kind's. `entropy` is 43
        fresh random bytes; ValueError when it is not.
        """
        if len(entropy) != self.entropy_bytes:
            msg = f"issue needs {self.entropy_bytes} bytes of entropy"
            raise ValueError(msg)
        drawn = draw(entropy[:_ID_ENTROPY], CROCKFORD_LOWER, _ID_LENGTH)
        text = draw(entropy[_ID_ENTROPY:], BASE62, LENGTH)
        return Issued(id=f"pw-{drawn}", secret=Secret(text), digest=b"", hint="")

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare the digest first; then look at the record's state, then at the default."""
        grant = verified(presented, facts, request, now, trace)
        if isinstance(grant, Refused) or self.registered_before is None:
            return grant
        user = grant.owner
        taken = self.taken_from(user.created_at, user.basic_switched)
        switched = self.provider in user.basic_switched
        told = (user.id, user.created_at, self.registered_before, switched)
        trace.append((Step.BASIC, taken, told))
        return grant if taken else Refused(Reason.BASIC_NOT_ENABLED)
