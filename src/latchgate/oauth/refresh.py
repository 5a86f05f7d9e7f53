"""Refresh tokens: each works once, and is answered with the next of its family.

Rule of this file: a family is one grant. A token that comes again after its seconds of leniency was
stolen, from the client or by it, and the whole grant ends; within them a client asked twice, and is
given another token of the family. Unused for 30 days one ends, and all of them with the grant.
Source: RFC 6749 §6; RFC 9700 §4.14.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import sqlalchemy as sa

from latchgate.core.secret import BASE62, Secret, digest, draw
from latchgate.oauth import grants
from latchgate.oauth.clients import Client
from latchgate.oauth.errors import Code, OAuthError
from latchgate.store import schema
from latchgate.store.journal import Store, stored

PREFIX = "lgrt"
IDLE_LIFE = 30 * 86_400.0  # seconds
LENIENCY = 10.0
_LENGTH = 43  # 256 bits
_ENTROPY = 41
_TABLE = schema.oauth_refresh
_REFUSED = "the refresh token is not known, has ended, was used, or is another client's"


@dataclass(frozen=True, slots=True)
class Family:
    """What the tokens of one grant have in common; `auth_time` is Unix seconds."""

    grant_id: str
    client_id: str
    scopes: tuple[str, ...]
    auth_time: float | None


@dataclass(frozen=True, slots=True)
class Known:
    """A refresh token as stored; times are Unix seconds."""

    digest: bytes
    family: Family
    created_at: float
    expires_at: float
    used_at: float | None


def add(
    connection: sa.Connection, family: Family, *, now: float, entropy: Callable[[int], bytes]
) -> Secret:
    """Make a token of a family as part of a transaction."""
    text = f"{PREFIX}_{draw(entropy(_ENTROPY), BASE62, _LENGTH)}"
    row = {
        "digest": token_digest(text),
        "grant_id": family.grant_id,
        "client_id": family.client_id,
        "scopes": msgspec.json.encode(family.scopes).decode(),
        "auth_time": family.auth_time,
        "created_at": now,
        "expires_at": now + IDLE_LIFE,
        "used_at": None,
    }
    connection.execute(sa.insert(_TABLE), row)
    return Secret(text)


def found(store: Store, client: Client, text: str, *, now: float) -> Known:
    """Return a client's own token that has not ended, used or not.

    Of its scopes those that the client may be given still. OAuthError invalid_grant for any other.
    """
    with store.reading() as connection:
        known = read(connection, text)
    if known is None or known.family.client_id != client.id or now >= known.expires_at:
        raise refused()
    left = client.allowed(known.family.scopes)
    return replace(known, family=replace(known.family, scopes=left))


def rotate(
    store: Store,
    client: Client,
    known: Known,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    address: str | None = None,
) -> Secret:
    """Use a token up and return the next one of its family.

    One that was used before ends its grant (OAuthError invalid_grant), unless that was within the
    last seconds. StoreError when nothing is known of the outcome.
    """
    with store.writing() as connection:
        # Of two that come at once, one is the first.
        first = sa.select(_TABLE.c.used_at).where(_TABLE.c.digest == known.digest)
        row = connection.execute(first).one_or_none()
        reused = row is None or (row.used_at is not None and now >= row.used_at + LENIENCY)
        if row is not None and not reused:
            if row.used_at is None:
                used = sa.update(_TABLE).where(_TABLE.c.digest == known.digest)
                connection.execute(used.values(used_at=now))
            return add(connection, known.family, now=now, entropy=entropy)
    if row is not None:
        grants.revoke(store, known.family.grant_id, actor=grants.of_client(client, address))
    raise refused()


def read(connection: sa.Connection, text: str) -> Known | None:
    """Return a token as stored, whosever it is."""
    wanted = sa.select(_TABLE).where(_TABLE.c.digest == token_digest(text))
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        return None
    told = stored(row)
    family = Family(told["grant_id"], told["client_id"], tuple(told["scopes"]), told["auth_time"])
    return Known(
        bytes(told["digest"]), family, told["created_at"], told["expires_at"], told["used_at"]
    )


def token_digest(text: str) -> bytes:
    """Return what is stored of a refresh token."""
    return digest("oauth_refresh", text)


def refused() -> OAuthError:
    """Return what is answered for a token that gives nothing, whatever was wrong with it."""
    return OAuthError(Code.INVALID_GRANT, _REFUSED)
