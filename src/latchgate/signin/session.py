"""Sessions of people at the console: begun at a sign-in, renewed, ended.

Rule of this file: the cookie's secret is in the store as a digest only, and a new one is drawn at
every rise of privilege, so that whoever knew an old one has nothing. A session ends when it was
not used for 30 minutes, and after 12 hours however often it is (NIST SP 800-63B-4 §2.2.3 asks for
an hour and a day at most), at sign-out, when its user gets another password, and when its user is
disabled. That it began and ended is journaled; that it was used is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Credential, Noun
from latchgate.core.scope import ALL
from latchgate.core.secret import BASE62, CROCKFORD_LOWER, Secret, digest, draw
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor, Change, Store

# The prefix keeps it from other hosts' hands (RFC 6265bis §4.1.3.2): Secure, Path=/, no Domain.
COOKIE = "__Host-latchgate"
KIND = "latchgate.session"  # of no policy: no area takes it
IDLE_SECONDS = 1_800.0
LONGEST_SECONDS = 43_200.0
FRESH_SECONDS = 600.0  # how old a proof may be for what changes how one signs in
_SEEN_SECONDS = 60.0  # how often it is written down that a session was used
_KEPT_SECONDS = 86_400.0  # after its end
_LENGTH, _ENTROPY = 32, 32  # of base62: 190 bits
_MAX_AGENT = 200
_DOMAIN = "session"
_TABLE = schema.session


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, since when and how; times are Unix seconds.

    `auth_time` is when they last proved that it is they, `methods` how (RFC 8176), `provider` the
    external identity provider that they came from.
    """

    id: str
    user_id: str
    tenant_id: str
    auth_time: float
    methods: tuple[str, ...]
    provider: str | None

    def fresh(self, now: float) -> bool:
        """Whether the last proof is recent enough to change how one signs in."""
        return now - self.auth_time <= FRESH_SECONDS

    def credential(self, project_id: str) -> Credential:
        """Return what stands for whoever is signed in, in a project of theirs: all they may do."""
        return Credential(
            id=self.id,
            kind=KIND,
            tenant_id=self.tenant_id,
            project_id=project_id,
            owner_id=self.user_id,
            parent_id=None,
            services=None,
            scopes=ALL,
            networks=None,
            issues=True,
            environment=None,
            external_id=None,
            digest=b"",
            created_at=self.auth_time,
            expires_at=None,
            revoked_at=None,
        )

    def actor(self, address: str | None) -> Actor:
        """How the journal names whoever acts in it."""
        return Actor(f"user:{self.user_id} session:{self.id}", self.tenant_id, None, address)


@dataclass(frozen=True, slots=True)
class Shown:
    """A session as its user sees it in a list; times are Unix seconds."""

    id: str
    created_at: float
    seen_at: float
    methods: tuple[str, ...]
    provider: str | None
    address: str | None
    agent: str


def begin(  # noqa: PLR0913 - what a session is made of
    store: Store,
    *,
    user_id: str,
    tenant_id: str,
    methods: Iterable[str],
    address: str | None,
    agent: str,
    now: float,
    entropy: Callable[[int], bytes],
    provider: str | None = None,
    auth_time: float | None = None,
) -> tuple[Session, Secret]:
    """Sign somebody in who has proven who they are; returns the session and its cookie's secret.

    `auth_time` is when they proved it, unless that is now.
    ConflictError when the user or the tenant was disabled in the meantime.
    """
    secret = _drawn(entropy)
    made = Session(
        id=f"ses-{draw(entropy(19), CROCKFORD_LOWER, 16)}",
        user_id=user_id,
        tenant_id=tenant_id,
        auth_time=now if auth_time is None else auth_time,
        methods=tuple(methods),
        provider=provider,
    )
    row = {
        "id": made.id,
        "digest": _digest(secret.reveal()),
        "user_id": user_id,
        "tenant_id": tenant_id,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + LONGEST_SECONDS,
        "auth_time": made.auth_time,
        "methods": msgspec.json.encode(made.methods).decode(),
        "provider": provider,
        "address": address,
        "agent": "".join(letter for letter in agent if letter.isprintable())[:_MAX_AGENT],
        "ended_at": None,
    }
    with store.change(made.actor(address)) as change:
        if not _active(change.connection, user_id, tenant_id):
            raise ConflictError("this account was disabled in the meantime")
        change.execute(sa.insert(_TABLE).values(**row))
        told = {"user_id": user_id, "methods": made.methods, "provider": provider}
        _note(change, "session.begin", made.id, tenant_id, {"after": told})
    return made, secret


def resume(store: Store, secret_text: str, *, now: float) -> Session | None:
    """Return the session of a cookie's secret; None where it is over, or nobody's.

    It is over when it ended, expired or was idle too long, and while its user or tenant is
    disabled.
    """
    if len(secret_text) != _LENGTH:
        return None
    user, tenant = schema.user, schema.tenant
    wanted = (
        sa.select(_TABLE)
        .join(user, user.c.id == _TABLE.c.user_id)
        .join(tenant, tenant.c.id == _TABLE.c.tenant_id)
        .where(_TABLE.c.digest == _digest(secret_text), *_standing(now))
        .where(user.c.active, user.c.deleted_at.is_(None), tenant.c.active)
    )
    with store.reading() as connection:
        row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        return None
    if now - row["seen_at"] >= _SEEN_SECONDS:
        with store.writing() as connection:
            connection.execute(
                sa.update(_TABLE)
                .where(_TABLE.c.id == row["id"], _TABLE.c.seen_at < now)
                .values(seen_at=now)
            )
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        tenant_id=row["tenant_id"],
        auth_time=row["auth_time"],
        methods=_methods(row),
        provider=row["provider"],
    )


def renew(
    store: Store,
    session: Session,
    *,
    methods: Iterable[str],
    now: float,
    entropy: Callable[[int], bytes],
    address: str | None = None,
    auth_time: float | None = None,
) -> tuple[Session, Secret]:
    """Give a session another secret, whose user has just proven again who they are.

    `methods` are those of this proof, `auth_time` when it was made, unless that is now. Returns the
    session as it is now, and the secret.
    ConflictError when it ended in the meantime.
    """
    secret = _drawn(entropy)
    proved_at = now if auth_time is None else max(auth_time, session.auth_time)
    renewed = replace(session, auth_time=proved_at, methods=tuple(methods))
    changed = (
        sa.update(_TABLE)
        .where(_TABLE.c.id == session.id, *_standing(now))
        .values(
            digest=_digest(secret.reveal()),
            auth_time=renewed.auth_time,
            seen_at=now,
            methods=msgspec.json.encode(renewed.methods).decode(),
        )
    )
    with store.change(session.actor(address)) as change:
        if change.execute(changed).rowcount != 1:
            raise ConflictError("the session ended in the meantime")
        told = {"user_id": session.user_id, "methods": renewed.methods}
        _note(change, "session.renew", session.id, session.tenant_id, {"after": told})
    return renewed, secret


def end(store: Store, session_id: str, now: float, *, address: str | None = None) -> bool:
    """End a session as its user; False where it was over already."""
    wanted = sa.select(_TABLE).where(_TABLE.c.id == session_id, *_standing(now))
    with store.reading() as connection:
        row = connection.execute(wanted).one_or_none()
    if row is None:
        return False
    actor = Actor(f"user:{row.user_id} session:{session_id}", row.tenant_id, None, address)
    with store.change(actor) as change:
        return _end(change, row.user_id, "sign-out", _TABLE.c.id == session_id) > 0


def end_all(
    store: Store, user_id: str, *, actor: Actor, keep: str | None = None, why: str = "sign-out"
) -> int:
    """End every session of a user but the one of the id `keep`; returns how many there were."""
    with store.change(actor) as change:
        return end_all_in(change, user_id, keep=keep, why=why)


def end_one(store: Store, session: Session, session_id: str, *, address: str | None) -> bool:
    """End another session of a session's own user; False where there is none."""
    with store.change(session.actor(address)) as change:
        return _end(change, session.user_id, "sign-out", _TABLE.c.id == session_id) > 0


def end_all_in(change: Change, user_id: str, *, why: str, keep: str | None = None) -> int:
    """End every session of a user, as part of a change, but the one of the id `keep`."""
    others = _TABLE.c.id != keep if keep is not None else sa.true()
    return _end(change, user_id, why, others)


def end_provided_in(change: Change, user_id: str, *, why: str, keep: str | None = None) -> int:
    """End every session of a user that came through a provider, but the one of the id `keep`."""
    others = _TABLE.c.id != keep if keep is not None else sa.true()
    return _end(change, user_id, why, sa.and_(_TABLE.c.provider.is_not(None), others))


def listed(store: Store, user_id: str, *, now: float) -> list[Shown]:
    """Return the sessions that a user has, the one used last first."""
    wanted = sa.select(_TABLE).where(_TABLE.c.user_id == user_id, *_standing(now))
    with store.reading() as connection:
        rows = connection.execute(wanted.order_by(_TABLE.c.seen_at.desc())).mappings().all()
    return [
        Shown(
            id=row["id"],
            created_at=row["created_at"],
            seen_at=row["seen_at"],
            methods=_methods(row),
            provider=row["provider"],
            address=row["address"],
            agent=row["agent"],
        )
        for row in rows
    ]


def trim(store: Store, *, now: float) -> None:
    """Forget those that could not be resumed for a day: what is kept of them is in the journal."""
    before = now - _KEPT_SECONDS
    over = sa.or_(_TABLE.c.expires_at <= before, _TABLE.c.ended_at <= before)
    with store.reading() as connection:
        if connection.execute(sa.select(_TABLE.c.id).where(over).limit(1)).first() is None:
            return  # a write of nothing would still wait for the disk
    with store.writing() as connection:
        connection.execute(sa.delete(_TABLE).where(over))


def forget_all(change: Change) -> None:
    """Forget every session and every sign-in half done, as part of a change."""
    change.execute(sa.delete(_TABLE))
    change.execute(sa.delete(schema.ceremony))


def _end(change: Change, user_id: str, why: str, which: sa.ColumnElement[bool]) -> int:
    ended = (
        sa.update(_TABLE)
        .where(_TABLE.c.user_id == user_id, which, *_standing(change.at))
        .values(ended_at=change.at)
        .returning(_TABLE.c.id, _TABLE.c.tenant_id)
    )
    rows = change.execute(ended).all()
    for row in rows:
        told = {"user_id": user_id, "why": why}
        _note(change, "session.end", row.id, row.tenant_id, {"after": told})
    return len(rows)


def _standing(now: float) -> tuple[sa.ColumnElement[bool], ...]:
    column = _TABLE.c
    return (
        column.ended_at.is_(None),
        column.expires_at > now,
        column.seen_at > now - IDLE_SECONDS,
    )


def _active(connection: sa.Connection, user_id: str, tenant_id: str) -> bool:
    user, tenant = schema.user, schema.tenant
    wanted = (
        sa.select(user.c.id)
        .join(tenant, tenant.c.id == user.c.tenant_id)
        .where(user.c.id == user_id, tenant.c.id == tenant_id)
        .where(user.c.active, user.c.deleted_at.is_(None), tenant.c.active)
    )
    return connection.execute(wanted).one_or_none() is not None


def _note(
    change: Change, action: str, session_id: str, tenant_id: str, detail: dict[str, object]
) -> None:
    change.note(action, Noun.SESSION, session_id, tenant_id=tenant_id, detail=detail)


def _methods(row: sa.RowMapping) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(row["methods"], type=list[str]))


def _drawn(entropy: Callable[[int], bytes]) -> Secret:
    return Secret(draw(entropy(_ENTROPY), BASE62, _LENGTH))


def _digest(text: str) -> bytes:
    return digest(_DOMAIN, text)
