"""Authorization codes: given to a browser, exchanged once by the client that they were made for.

Rule of this file: a code is worth nothing without the client, the redirect address and the PKCE
verifier that it was made for. One that comes again revokes what it gave, unless it comes within
seconds, as a client that asks twice at once does: that is refused, and nothing else happens.
Source: RFC 6749 §4.1; RFC 7636; RFC 9700 §4.5.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.secret import BASE62, Secret, digest, draw, same
from latchgate.keyring.signing import spell
from latchgate.oauth import grants, refresh
from latchgate.oauth.clients import Client
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.grants import Holder
from latchgate.store import schema
from latchgate.store.journal import Change, Store, stored

LIFETIME = 60.0
LENIENCY = 10.0  # seconds in which a second exchange is a mistake, and not a theft
_LENGTH = 43  # 256 bits
_ENTROPY = 41
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1
_TABLE = schema.oauth_code
_REFUSED = "the code is not known, has ended, was used, or was made for something else"


@dataclass(frozen=True, slots=True)
class AuthorizedRequest:
    """What a user authorized: for which client, in which project, with which scopes.

    `challenge` is PKCE's of the method S256, `methods` how they signed in (RFC 8176), `auth_time`
    when (Unix seconds).
    """

    client_id: str
    user_id: str
    project_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str
    auth_time: float
    methods: tuple[str, ...]
    nonce: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client sends for a code."""

    code: str
    redirect_uri: str
    verifier: str

    def __repr__(self) -> str:
        return "Exchange()"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a code gave: the grant, what was authorized, and a refresh token where one is due."""

    grant_id: str
    request: AuthorizedRequest
    refresh: Secret | None


def issue(
    store: Store, request: AuthorizedRequest, *, now: float, entropy: Callable[[int], bytes]
) -> Secret:
    """Make a code for what was authorized; it lasts a minute. StoreError when it can't be kept."""
    text = draw(entropy(_ENTROPY), BASE62, _LENGTH)
    row = {
        "digest": digest("oauth_code", text),
        "client_id": request.client_id,
        "user_id": request.user_id,
        "project_id": request.project_id,
        "session_id": request.session_id,
        "redirect_uri": request.redirect_uri,
        "scopes": msgspec.json.encode(request.scopes).decode(),
        "nonce": request.nonce,
        "challenge": request.challenge,
        "auth_time": request.auth_time,
        "methods": msgspec.json.encode(request.methods).decode(),
        "expires_at": now + LIFETIME,
        "used_at": None,
        "grant_id": None,
    }
    with store.writing() as connection:
        connection.execute(sa.insert(_TABLE), row)
    return Secret(text)


def redeem(
    store: Store,
    client: Client,
    sent: Exchange,
    *,
    now: float,
    lifetime: float,
    entropy: Callable[[int], bytes],
    address: str | None = None,
) -> Redeemed:
    """Exchange a code for a grant; `lifetime` is that of one access token, in seconds.

    OAuthError invalid_grant for a code that is not known, has ended, was used, or was made for
    another client, address or verifier. StoreError when nothing is known of the outcome.
    """
    row = _read(store, client, sent)
    holder = Holder(row["user_id"], row["project_id"])
    with store.change(grants.given_by(client, holder, address)) as change:
        # Read again: of two that come at once, one is the first.
        row = _row(change.connection, sent.code) or {}
        done = (
            None
            if row.get("used_at") is not None
            else _exchanged(change, client, row, now, lifetime, entropy)
        )
        if done is None and row and now >= row["used_at"] + LENIENCY:
            grants.end(change, row["grant_id"])
    if done is None:
        raise refused()
    return done


def _exchanged(
    change: Change,
    client: Client,
    row: dict[str, Any],
    now: float,
    lifetime: float,
    entropy: Callable[[int], bytes],
) -> Redeemed:
    if not row or now >= row["expires_at"]:
        raise refused()
    request = _request(row)
    request = replace(request, scopes=client.allowed(request.scopes))
    grant_id = grants.add(
        change,
        client,
        Holder(request.user_id, request.project_id),
        scopes=request.scopes,
        expires_at=grants.ends_at(client, request.scopes, now=now, lifetime=lifetime),
        entropy=entropy,
    )
    used = sa.update(_TABLE).where(_TABLE.c.digest == row["digest"])
    change.execute(used.values(used_at=now, grant_id=grant_id))
    token = None
    if grants.refreshes(client, request.scopes):
        family = refresh.Family(grant_id, client.id, request.scopes, request.auth_time)
        token = refresh.add(change.connection, family, now=now, entropy=entropy)
    return Redeemed(grant_id, request, token)


def _read(store: Store, client: Client, sent: Exchange) -> dict[str, Any]:
    """Return a code's row if it was made for what was sent; OAuthError invalid_grant if not."""
    with store.reading() as connection:
        row = _row(connection, sent.code)
    if row is None or row["client_id"] != client.id or row["redirect_uri"] != sent.redirect_uri:
        raise refused()
    if not is_verified(sent.verifier, row["challenge"]):
        raise refused()
    return row


def is_verified(verifier: str, challenge: str) -> bool:
    """Whether a verifier is the one that a challenge was made of (RFC 7636 §4.6, S256)."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    made = spell(hashlib.sha256(verifier.encode()).digest())
    return same(made.encode(), challenge.encode())


def refused() -> OAuthError:
    """Return what is answered for a code that gives nothing, whatever was wrong with it."""
    return OAuthError(Code.INVALID_GRANT, _REFUSED)


def _row(connection: sa.Connection, code: str) -> dict[str, Any] | None:
    wanted = sa.select(_TABLE).where(_TABLE.c.digest == digest("oauth_code", code))
    row = connection.execute(wanted).mappings().one_or_none()
    return None if row is None else stored(row)


def _request(row: dict[str, Any]) -> AuthorizedRequest:
    told = {name: row[name] for name in AuthorizedRequest.__dataclass_fields__}
    told |= {"scopes": tuple(row["scopes"]), "methods": tuple(row["methods"])}
    return AuthorizedRequest(**told)
