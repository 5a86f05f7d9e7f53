"""Claims about the user that a token is of, by the scopes it has (OpenID Connect Core §5.4)."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from latchgate.core.model import AccessToken, User
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.scopes import OPENID
from latchgate.store import schema
from latchgate.store.journal import Store

CLAIMS = ("sub", "name", "preferred_username", "email", "email_verified")


class UserInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told of a user; `email_verified` is False while nobody proved that it is theirs."""

    sub: str
    name: str | None = None
    preferred_username: str | None = None
    email: str | None = None
    email_verified: bool | None = None


def check(token: AccessToken) -> None:
    """Refuse a token that was not given for this: OAuthError insufficient_scope, status 403."""
    if OPENID not in token.scopes.names:
        msg = "the token has not the scope openid"
        raise OAuthError(Code.INSUFFICIENT_SCOPE, msg, 403)


def userinfo(store: Store, token: AccessToken, owner: User) -> UserInfo:
    """Return the claims about a token's owner that its scopes let its client know; StoreError."""
    names = token.scopes.names
    email = None
    if "email" in names:
        wanted = sa.select(schema.user.c.email).where(schema.user.c.id == owner.id)
        with store.reading() as connection:
            email = connection.execute(wanted).scalar_one_or_none()
    named = owner.name if "profile" in names else None
    return UserInfo(
        sub=owner.id,
        name=named,
        preferred_username=named,
        email=email,
        email_verified=False if email is not None else None,
    )
