"""What people sign in with besides a password: codes of an app, passkeys, recovery codes.

Rule of this file: each proof counts once. What was used is written in the same statement that asks
whether it may still be, so of two who bring the same code one is refused. Recovery codes stand in
for something else: they go when that goes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.scope import ALL
from latchgate.core.secret import Secret
from latchgate.keyring.master import MasterKey
from latchgate.manage import logins
from latchgate.manage.actor import Caller, Person
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.records import new_id
from latchgate.signin import recovery, session, totp
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor, Change, Store

MAX_APPS = 5
MAX_PASSKEYS = 20
MAX_NAME = 60
_TABLE = schema.authenticator
_log = logging.getLogger(__name__)


class Sort(StrEnum):
    """What an authenticator is."""

    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Factors:
    """What a user has besides their password; `codes` are recovery codes that are left."""

    apps: int
    passkeys: int
    codes: int

    @property
    def second(self) -> bool:
        """Whether the password alone doesn't sign them in."""
        return bool(self.apps or self.passkeys)


@dataclass(frozen=True, slots=True)
class Shown:
    """An authenticator as its user sees it in a list; times are Unix seconds."""

    id: str
    sort: Sort
    name: str
    created_at: float
    used_at: float | None


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as stored: whose it is, its public half, and its counter when last used."""

    id: str
    user_id: str
    public: bytes
    counter: int


def factors(store: Store, user_id: str) -> Factors:
    """Return what a user has besides their password."""
    with store.reading() as connection:
        return _factors(connection, user_id)


def listed(store: Store, user_id: str) -> list[Shown]:
    """Return a user's apps and passkeys, oldest first."""
    wanted = (
        sa.select(_TABLE)
        .where(_TABLE.c.user_id == user_id, _TABLE.c.sort != str(Sort.RECOVERY))
        .order_by(_TABLE.c.created_at, _TABLE.c.id)
    )
    with store.reading() as connection:
        return [
            Shown(row.id, Sort(row.sort), row.name, row.created_at, row.used_at)
            for row in connection.execute(wanted)
        ]


def seal(master: MasterKey, user_id: str, secret: Secret, entropy: Callable[[int], bytes]) -> bytes:
    """Return an app's secret as it is stored; it opens for this user alone."""
    return master.seal(secret.reveal().encode(), _about(user_id), entropy)


def unseal(master: MasterKey, user_id: str, sealed: bytes) -> Secret:
    """Return what `seal` was given; ValueError for anything else."""
    return Secret(master.open(sealed, _about(user_id)).decode())


def add_app(
    store: Store,
    who: Person,
    *,
    name: str,
    sealed: bytes,
    step: int,
    entropy: Callable[[int], bytes],
) -> str:
    """Keep an app's sealed secret, one code of which was right; `step` is that code's.

    Returns its id. InvalidError for the name, or when there are too many.
    """
    row = {"sealed_secret": sealed, "counter": step}
    return _add(store, who, Sort.TOTP, MAX_APPS, name=name, row=row, entropy=entropy)


def add_passkey(
    store: Store,
    who: Person,
    *,
    name: str,
    handle: bytes,
    public: bytes,
    counter: int,
    entropy: Callable[[int], bytes],
) -> str:
    """Keep a passkey that was checked; returns its id.

    InvalidError for the name, or when there are too many; ConflictError when somebody has it.
    """
    row = {"handle": handle, "public": public, "counter": counter}
    return _add(store, who, Sort.PASSKEY, MAX_PASSKEYS, name=name, row=row, entropy=entropy)


def use_app(store: Store, master: MasterKey, user_id: str, code: str, *, now: float) -> bool:
    """Whether a code is one of the user's apps' now and was never used; it is from here on."""
    mine = _TABLE.c.user_id == user_id, _TABLE.c.sort == str(Sort.TOTP)
    with store.reading() as connection:
        rows = connection.execute(sa.select(_TABLE).where(*mine)).all()
    for row in rows:
        try:
            secret = unseal(master, user_id, bytes(row.sealed_secret))
        except ValueError:
            _log.error("%s can't be opened with this master key", row.id)
            continue
        step = totp.step_of(secret, code, now=now, after=row.counter)
        if step is not None:
            used = sa.update(_TABLE).where(_TABLE.c.id == row.id, _TABLE.c.counter < step)
            with store.writing() as connection:
                taken = connection.execute(used.values(counter=step, used_at=now))
                return taken.rowcount == 1
    return False


def passkey(store: Store, handle: bytes) -> Passkey | None:
    """Return the passkey of a credential id."""
    wanted = sa.select(_TABLE).where(_TABLE.c.handle == handle)
    with store.reading() as connection:
        row = connection.execute(wanted).one_or_none()
    return Passkey(row.id, row.user_id, bytes(row.public), row.counter) if row else None


def passkey_handles(store: Store, user_id: str) -> list[bytes]:
    """Return the credential ids of a user's passkeys."""
    mine = _TABLE.c.user_id == user_id, _TABLE.c.sort == str(Sort.PASSKEY)
    with store.reading() as connection:
        found = connection.execute(sa.select(_TABLE.c.handle).where(*mine)).scalars()
        return [bytes(one) for one in found]


def use_passkey(store: Store, before: Passkey, *, counter: int, now: float) -> bool:
    """Keep a passkey's counter; False when it was used or taken away in the meantime."""
    same = _TABLE.c.id == before.id, _TABLE.c.counter == before.counter
    used = sa.update(_TABLE).where(*same).values(counter=counter, used_at=now)
    with store.writing() as connection:
        return connection.execute(used).rowcount == 1


def new_codes(store: Store, who: Person, *, entropy: Callable[[int], bytes]) -> list[Secret]:
    """Give a user recovery codes instead of those they had; each is in this answer only.

    InvalidError where there is nothing that they would stand in for.
    """
    drawn = recovery.codes(entropy)
    with store.change(who.actor) as change:
        if not _factors(change.connection, who.user_id).second:
            problem = "stand in for an authenticator app or a passkey; add one first"
            raise InvalidError([("recovery codes", problem)])
        _drop_codes(change, who.user_id)
        for code in drawn:
            row = _row(new_id("rc", entropy), who.user_id, Sort.RECOVERY, "", change.at)
            row["digest"] = recovery.digest_of(code.reveal())
            change.execute(sa.insert(_TABLE).values(**row, version=0))
        told = {"after": {"codes": len(drawn)}}
        _note(change, "recovery.create", who.user_id, who.tenant_id, told)
    return drawn


def use_code(
    store: Store, user_id: str, tenant_id: str, typed: str, *, address: str | None
) -> bool:
    """Whether what was typed is a recovery code that is left; it is none from here on."""
    digest = recovery.digest_of(typed)
    if digest is None:
        return False
    mine = _TABLE.c.user_id == user_id, _TABLE.c.digest == digest
    actor = Actor(f"user:{user_id} recovery-code", tenant_id, None, address)
    with store.reading() as connection:
        if connection.execute(sa.select(_TABLE.c.id).where(*mine)).first() is None:
            return False
    with store.change(actor) as change:
        if change.execute(sa.delete(_TABLE).where(*mine)).rowcount != 1:
            return False
        left = _factors(change.connection, user_id).codes
        _note(change, "recovery.use", user_id, tenant_id, {"after": {"codes": left}})
    return True


def remove(store: Store, who: Person, record: str) -> Shown:
    """Take away one of a user's own; NotFoundError. With the last one recovery codes go."""
    mine = _TABLE.c.id == record, _TABLE.c.user_id == who.user_id
    wanted = sa.select(_TABLE).where(*mine, _TABLE.c.sort != str(Sort.RECOVERY))
    with store.change(who.actor) as change:
        row = change.execute(wanted).one_or_none()
        if row is None:
            raise NotFoundError(f"you have no authenticator {record[:64]!r}")
        change.execute(sa.delete(_TABLE).where(*mine))
        told = {"before": {"user_id": who.user_id, "sort": row.sort, "name": row.name}}
        _note(change, "authenticator.delete", record, who.tenant_id, told)
        if not _factors(change.connection, who.user_id).second:
            _drop_codes(change, who.user_id)
    return Shown(row.id, Sort(row.sort), row.name, row.created_at, row.used_at)


def clear(store: Store, caller: Caller, user_id: str) -> tuple[int, int]:
    """Take away all that a user of the caller's tenant signs in with besides the password.

    For whoever lost it, recovery codes too; their sessions end. Returns how many apps and passkeys
    there were, and the journal number. NotFoundError; ForbiddenError unless the caller could give
    somebody a password that opens all that the user may do: it is half the way to being them.
    """
    held = schema.role_assignment
    projects = sa.select(held.c.project_id).where(held.c.user_id == user_id).distinct()
    mine = sa.delete(_TABLE).where(_TABLE.c.user_id == user_id)
    with store.change(caller.actor) as change:
        logins.user_in(change.connection, caller.tenant_id, user_id)
        for project_id in change.execute(projects).scalars().all():
            holder = logins.holder_of(change.connection, caller, user_id, project_id)
            logins.check_gives(change.connection, caller, holder, ALL)
        found = _factors(change.connection, user_id)
        change.execute(mine)
        session.end_all_in(change, user_id, why="authenticators-clear")
        told = {"before": {"apps": found.apps, "passkeys": found.passkeys, "codes": found.codes}}
        n = _note(change, "authenticators.clear", user_id, caller.tenant_id, told)
    return found.apps + found.passkeys, n


def _add(
    store: Store,
    who: Person,
    sort: Sort,
    most: int,
    *,
    name: str,
    row: dict[str, Any],
    entropy: Callable[[int], bytes],
) -> str:
    named = name.strip()
    if not named or len(named) > MAX_NAME or not named.isprintable():
        raise InvalidError([("name", f"must have 1 to {MAX_NAME} characters on one line")])
    made = new_id("au", entropy)
    with store.change(who.actor) as change:
        held = sa.select(sa.func.count()).where(
            _TABLE.c.user_id == who.user_id, _TABLE.c.sort == str(sort)
        )
        if change.execute(held).scalar_one() >= most:
            raise InvalidError(
                [("name", f"you have {most} of these, which is the most; remove one")]
            )
        if sort is Sort.PASSKEY and _taken(change, row["handle"]):
            raise ConflictError("this passkey is registered already")
        told = {"user_id": who.user_id, "sort": str(sort), "name": named}
        n = _note(change, "authenticator.create", made, who.tenant_id, {"after": told})
        kept = _row(made, who.user_id, sort, named, change.at) | row
        change.execute(sa.insert(_TABLE).values(**kept, version=n))
    return made


def _taken(change: Change, handle: bytes) -> bool:
    wanted = sa.select(_TABLE.c.id).where(_TABLE.c.handle == handle)
    return change.execute(wanted).first() is not None


def _row(record: str, user_id: str, sort: Sort, name: str, at: float) -> dict[str, Any]:
    return {
        "id": record,
        "user_id": user_id,
        "sort": str(sort),
        "name": name,
        "counter": 0,
        "created_at": at,
        "confirmed_at": at,
    }


def _drop_codes(change: Change, user_id: str) -> None:
    mine = _TABLE.c.user_id == user_id, _TABLE.c.sort == str(Sort.RECOVERY)
    change.execute(sa.delete(_TABLE).where(*mine))


def _factors(connection: sa.Connection, user_id: str) -> Factors:
    counted = (
        sa.select(_TABLE.c.sort, sa.func.count().label("held"))
        .where(_TABLE.c.user_id == user_id)
        .group_by(_TABLE.c.sort)
    )
    held = {row.sort: row.held for row in connection.execute(counted)}
    return Factors(
        held.get(str(Sort.TOTP), 0),
        held.get(str(Sort.PASSKEY), 0),
        held.get(str(Sort.RECOVERY), 0),
    )


def _note(change: Change, action: str, record: str, tenant_id: str, detail: dict[str, Any]) -> int:
    return change.note(action, Noun.AUTHENTICATOR, record, tenant_id=tenant_id, detail=detail)


def _about(user_id: str) -> bytes:
    return f"totp:{user_id}".encode()
