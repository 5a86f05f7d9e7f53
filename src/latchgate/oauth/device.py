"""Device authorization: a program without a browser is allowed by a person who has one.

Rule of this file: a person types a short code, a program holds a long one; the short one opens
nothing. Letters that look like others or make words are not in it (RFC 8628 §6.1). Source: RFC
8628.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.secret import BASE62, Secret, digest, draw
from latchgate.oauth import grants, refresh
from latchgate.oauth.clients import Client
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.grants import Holder
from latchgate.oauth.id_token import SignIn, id_token
from latchgate.oauth.minting import TokenAnswer, Wanted, answer, mint
from latchgate.oauth.scopes import OPENID
from latchgate.oauth.server import AuthorizationServer
from latchgate.store import schema
from latchgate.store.journal import Change, Store, stored

LIFETIME = 600.0  # seconds
INTERVAL = 5.0
SLOWER = 5.0  # how much longer the interval gets when it is not kept (RFC 8628 §3.5)
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
# That wait at once, of all clients: anybody may begin one, and the more there are, the likelier
# is it that a code which somebody guesses is one of them (RFC 8628 §5.1).
MAX_WAITING = 10_000
_USER_CODE = 8  # letters: 34 bits
_USER_ENTROPY = 13
_LENGTH = 43  # 256 bits
_ENTROPY = 41
_TABLE = schema.oauth_device


class State(StrEnum):
    """How far a device authorization is."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Begun:
    """What a program is given: its own code, and the one that a person shall type."""

    device_code: Secret
    user_code: str
    expires_in: int
    interval: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What a person is asked about: which client wants which scopes, and from where it asked."""

    user_code: str
    client_id: str
    scopes: tuple[str, ...]
    address: str | None
    expires_at: float


@dataclass(frozen=True, slots=True)
class Approval:
    """Who allowed it, in which project, when they signed in (Unix seconds) and by which methods."""

    holder: Holder
    auth_time: float
    methods: tuple[str, ...]


def begin(
    store: Store,
    client: Client,
    scopes: tuple[str, ...],
    *,
    address: str | None,
    now: float,
    entropy: Callable[[int], bytes],
) -> Begun:
    """Begin a device authorization, which a person may allow for ten minutes.

    OAuthError temporarily_unavailable, status 503, while too many wait.
    """
    text = draw(entropy(_ENTROPY), BASE62, _LENGTH)
    user_code = draw(entropy(_USER_ENTROPY), LETTERS, _USER_CODE)
    row = {
        "digest": digest("oauth_device", text),
        "user_code": user_code,
        "client_id": client.id,
        "scopes": msgspec.json.encode(scopes).decode(),
        "state": str(State.PENDING),
        "address": address,
        "interval": INTERVAL,
        "expires_at": now + LIFETIME,
    }
    waiting = sa.select(sa.func.count()).where(_TABLE.c.expires_at > now)
    with store.writing() as connection:
        if connection.execute(waiting).scalar_one() >= MAX_WAITING:
            msg = "too many devices wait for somebody to allow them; try again later"
            raise OAuthError(Code.TEMPORARILY_UNAVAILABLE, msg, 503)
        connection.execute(sa.insert(_TABLE), row)
    return Begun(Secret(text), shown(user_code), int(LIFETIME), int(INTERVAL))


def shown(user_code: str) -> str:
    """Return a code as people are shown it."""
    half = len(user_code) // 2
    return f"{user_code[:half]}-{user_code[half:]}"


def typed(text: str) -> str:
    """Return a code as it is stored, however a person typed it."""
    return "".join(letter for letter in text.upper() if letter in LETTERS)


def pending(store: Store, user_code: str, *, now: float) -> Pending | None:
    """Return what waits for a person's answer; None for a code that nothing waits under."""
    with store.reading() as connection:
        row = connection.execute(_waiting(sa.select(_TABLE), user_code, now)).mappings().first()
    if row is None:
        return None
    told = stored(row)
    return Pending(
        shown(told["user_code"]),
        told["client_id"],
        tuple(told["scopes"]),
        told["address"],
        told["expires_at"],
    )


def approve(store: Store, user_code: str, approval: Approval, *, now: float) -> bool:
    """Let the program that waits under a code have its token; False when none waits any more."""
    return _answered(
        store,
        user_code,
        now,
        state=str(State.APPROVED),
        user_id=approval.holder.user_id,
        project_id=approval.holder.project_id,
        auth_time=approval.auth_time,
        methods=msgspec.json.encode(approval.methods).decode(),
    )


def deny(store: Store, user_code: str, *, now: float) -> bool:
    """Refuse the program that waits under a code; False when none waits any more."""
    return _answered(store, user_code, now, state=str(State.DENIED))


def _answered(store: Store, user_code: str, now: float, **values: object) -> bool:
    with store.writing() as connection:
        done = connection.execute(_waiting(sa.update(_TABLE).values(**values), user_code, now))
        return done.rowcount == 1


def _waiting(statement: Any, user_code: str, now: float) -> Any:  # noqa: ANN401 - of SQLAlchemy
    column = _TABLE.c
    return statement.where(
        column.user_code == typed(user_code),
        column.state == str(State.PENDING),
        column.expires_at > now,
    )


def by_device(
    server: AuthorizationServer, client: Client, text: str, *, address: str | None
) -> TokenAnswer:
    """Give a program its token once a person allowed it.

    OAuthError authorization_pending, slow_down, expired_token, access_denied, invalid_grant.
    """
    now = server.clock()
    with server.store.writing() as connection:
        row = _polled(connection, client, text, now)
    state = row["state"]
    if state == State.DENIED:
        raise OAuthError(Code.ACCESS_DENIED, "the person who was asked refused it")
    if now >= row["expires_at"]:
        raise OAuthError(Code.EXPIRED_TOKEN, "nobody allowed it in time: begin anew")
    if row["early"]:
        raise OAuthError(Code.SLOW_DOWN, "it was asked sooner than the interval lets")
    if state == State.PENDING:
        raise OAuthError(Code.AUTHORIZATION_PENDING, "the person has not answered yet")
    if state != State.APPROVED:
        raise _refused()
    holder = Holder(row["user_id"], row["project_id"])
    with server.store.change(grants.given_by(client, holder, address)) as change:
        grant_id, token = _granted(change, server, client, row, now)
    scopes = client.allowed(row["scopes"])
    minted = mint(server, Wanted(grant_id, client.id, scopes, row["auth_time"]))
    identity = None
    if OPENID in scopes:
        identity = id_token(server, minted, SignIn(row["auth_time"], tuple(row["methods"])))
    return answer(minted, refresh=token, id_token=identity)


def _polled(connection: sa.Connection, client: Client, text: str, now: float) -> dict[str, Any]:
    """Return a device's row, and note that it was asked for."""
    told = digest("oauth_device", text)
    row = connection.execute(sa.select(_TABLE).where(_TABLE.c.digest == told)).mappings().first()
    if row is None or row["client_id"] != client.id:
        raise _refused()
    before = row["polled_at"]
    early = row["state"] == State.PENDING and before is not None and now < before + row["interval"]
    interval = row["interval"] + (SLOWER if early else 0.0)
    changed = sa.update(_TABLE).where(_TABLE.c.digest == told)
    connection.execute(changed.values(polled_at=now, interval=interval))
    return {**stored(row), "early": early}


def _granted(
    change: Change, server: AuthorizationServer, client: Client, row: dict[str, Any], now: float
) -> tuple[str, Secret | None]:
    scopes = client.allowed(row["scopes"])
    grant_id = grants.add(
        change,
        client,
        Holder(row["user_id"], row["project_id"]),
        scopes=scopes,
        expires_at=grants.ends_at(client, scopes, now=now, lifetime=server.kind.lifetime),
        entropy=server.entropy,
    )
    used = sa.update(_TABLE).where(
        _TABLE.c.digest == row["digest"], _TABLE.c.state == str(State.APPROVED)
    )
    if change.execute(used.values(state=str(State.USED), grant_id=grant_id)).rowcount != 1:
        raise _refused()  # of two that came at once the other was first
    token = None
    if grants.refreshes(client, scopes):
        family = refresh.Family(grant_id, client.id, scopes, row["auth_time"])
        token = refresh.add(change.connection, family, now=now, entropy=server.entropy)
    return grant_id, token


def _refused() -> OAuthError:
    msg = "the device code is not known, was used, or is another client's"
    return OAuthError(Code.INVALID_GRANT, msg)
