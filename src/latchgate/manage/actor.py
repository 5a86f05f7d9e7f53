"""Who acts: the first argument of every change."""

from __future__ import annotations

from dataclasses import dataclass

from latchgate.core.model import Credential, Grant, User
from latchgate.core.scope import Scopes
from latchgate.store.journal import Actor


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified credential and the address it came from, None where nobody knows it.

    `session_id` where no credential came but somebody is signed in; what stands for them then is
    kept nowhere.
    """

    grant: Grant
    address: str | None
    session_id: str | None = None

    @property
    def credential(self) -> Credential:
        """What they came with."""
        return self.grant.credential

    @property
    def owner(self) -> User:
        """Whom it belongs to."""
        return self.grant.owner

    @property
    def user_id(self) -> str:
        """The id of whom it belongs to."""
        return self.grant.owner.id

    @property
    def rights(self) -> Scopes:
        """What they may do now."""
        return self.grant.rights

    @property
    def tenant_id(self) -> str:
        """Whose records they see."""
        return self.grant.credential.tenant_id

    @property
    def actor(self) -> Actor:
        """How the journal names them."""
        if self.session_id is not None:
            name = f"user:{self.owner.id} session:{self.session_id}"
            return Actor(name, self.tenant_id, None, self.address)
        return Actor(
            name=f"user:{self.owner.id} key:{self.credential.source_id}",
            tenant_id=self.tenant_id,
            credential_id=self.credential.source_id,
            address=self.address,
        )


@dataclass(frozen=True, slots=True)
class Person:
    """A user who changes what is their own; `session_id` where they are signed in to do it."""

    actor: Actor
    tenant_id: str
    user_id: str
    session_id: str | None = None
