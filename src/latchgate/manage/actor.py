"""Who acts: the first argument of every change."""

from __future__ import annotations

from dataclasses import dataclass

from latchgate.core.model import Credential, Grant, User
from latchgate.core.scope import Scopes
from latchgate.manage.errors import ForbiddenError
from latchgate.store.journal import Actor


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified credential and the address it came from, None where nobody knows it."""

    grant: Grant
    address: str | None

    @property
    def credential(self) -> Credential:
        """What they came with."""
        return self.grant.credential

    @property
    def owner(self) -> User:
        """Whom it belongs to."""
        return self.grant.owner

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
        return Actor(
            name=f"user:{self.owner.id} key:{self.credential.id}",
            tenant_id=self.tenant_id,
            credential_id=self.credential.id,
            address=self.address,
        )

    def check_hands_out(self, what: str, scopes: Scopes, *, expires_at: float | None) -> None:
        """Raise ForbiddenError unless they may issue `what` with these scopes and this end.

        Nobody hands out what they don't hold, nor anything that outlives what they hold it by
        (ATTACKS D5.38, D5.41).
        """
        if not self.credential.issues:
            msg = f"no {what} can be made with this credential; use one that may issue others"
            raise ForbiddenError(msg)
        lacking = self.rights.lacking(scopes)
        if lacking:
            msg = (
                f"the {what} would hold {', '.join(lacking)}, which you don't, so you can't make it"
            )
            raise ForbiddenError(msg)
        limit = self.credential.expires_at
        if limit is not None and (expires_at is None or expires_at > limit):
            msg = f"the {what} can't outlive the credential it is made with"
            how = (
                "give an earlier expiry" if expires_at is not None else "use one without an expiry"
            )
            raise ForbiddenError(f"{msg}; {how}")
