"""Account passwords: a first random one by an administrator, then one that its user chose.

Rule of this file: it meets no password in the clear but the random one that it issues. Checking
and hashing are slow, so whoever calls has them done before, outside any transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import msgspec
import sqlalchemy as sa

from latchgate.core.basic import MAX_LOGIN, MAX_PASSWORD
from latchgate.core.kinds import Issued, Spec
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import logins
from latchgate.manage.actor import Caller, Person
from latchgate.manage.errors import NotFoundError
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store, stored

NAMESPACE = "latchgate"  # how people sign in

# Longer than a password may be: the rules say so in words of their own.
_Typed = Annotated[str, msgspec.Meta(min_length=1, max_length=4 * MAX_PASSWORD)]
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The password that a user has in a namespace, and the one they want instead."""

    current_password: _Typed
    new_password: _Typed
    namespace: _Word = NAMESPACE

    def __repr__(self) -> str:
        return f"PasswordChange({self.namespace})"


class FirstPassword(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a user gets a random password, and under which login name.

    The user's own name, and the only project that they hold a role in, unless told.
    """

    namespace: _Word = NAMESPACE
    login: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LOGIN)] | None = None
    project_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class HeldPassword(msgspec.Struct, frozen=True):
    """A user's account password as stored, and the words that belong to the account."""

    login: str
    kind: str
    credential_id: str
    project_id: str
    scopes: list[str]
    networks: list[str] | None
    digest: bytes
    known: list[str]

    def __repr__(self) -> str:
        return f"HeldPassword({self.login})"


class Account(msgspec.Struct, frozen=True):
    """Whom a login name is of, and what their password is compared with and bound to."""

    user_id: str
    credential_id: str
    digest: bytes
    networks: list[str] | None

    def __repr__(self) -> str:
        return f"Account({self.user_id})"


def account(store: Store, policy: Policy, name: str, *, now: float) -> Account | None:
    """Return what signing in with a login name takes; None where nothing would do.

    That is so of a name that nobody has, of a user without a password that stands, and of one who,
    or whose tenant, is disabled.
    """
    kind = logins.kind_of(policy, NAMESPACE, AccountPassword)
    login, link, table = schema.login, schema.login_credential, schema.credential
    user, tenant = schema.user, schema.tenant
    wanted = (
        sa.select(user.c.id, table.c.id.label("held"), table.c.digest, table.c.networks)
        .join(login, login.c.user_id == user.c.id)
        .join(link, link.c.login_id == login.c.id)
        .join(table, table.c.id == link.c.credential_id)
        .join(tenant, tenant.c.id == user.c.tenant_id)
        .where(login.c.id == logins.login_id(NAMESPACE, name), link.c.kind == kind.name)
        .where(user.c.active, user.c.deleted_at.is_(None), tenant.c.active)
        .where(table.c.revoked_at.is_(None), table.c.disabled_at.is_(None))
        .where(sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now))
    )
    with store.reading() as connection:
        found = connection.execute(wanted).mappings().one_or_none()
    if found is None:
        return None
    row = stored(found)
    return Account(row["id"], row["held"], bytes(row["digest"]), row["networks"])


def held(store: Store, policy: Policy, caller: Caller, namespace: str) -> HeldPassword:
    """Return the caller's own account password; NotFoundError when an administrator set none."""
    return held_by(store, policy, caller.tenant_id, caller.owner.id, namespace=namespace)


def held_by(
    store: Store, policy: Policy, tenant_id: str, user_id: str, *, namespace: str = NAMESPACE
) -> HeldPassword:
    """Return a user's account password; NotFoundError when an administrator set none."""
    kind = logins.kind_of(policy, namespace, AccountPassword)
    link, table = schema.login_credential, schema.credential
    with store.reading() as connection:
        user = logins.user_in(connection, tenant_id, user_id)
        login = logins.login_of(connection, user_id, namespace)
        mine = (
            sa.select(table)
            .join(link, link.c.credential_id == table.c.id)
            .where(link.c.login_id == login, link.c.kind == kind.name)
        )
        found = connection.execute(mine).mappings().one_or_none() if login is not None else None
        row = stored(found) if found is not None else None
    if row is None or login is None:
        msg = f"you have no password in {namespace} yet; an administrator issues the first"
        raise NotFoundError(msg)
    email = [user["email"]] if user["email"] is not None else []
    return HeldPassword(
        login=login,
        kind=kind.name,
        credential_id=row["id"],
        project_id=row["project_id"],
        scopes=row["scopes"],
        networks=row["networks"],
        digest=bytes(row["digest"]),
        known=[login.partition(":")[2], user["name"], *email, *provider_words(policy)],
    )


def provider_words(policy: Policy) -> list[str]:
    """Return the names of the providers under a policy, which are guessed early."""
    return sorted({service.provider for service in policy.services.values()})


def change(
    store: Store,
    policy: Policy,
    caller: Caller,
    before: HeldPassword,
    *,
    hashed: bytes,
    entropy: Callable[[int], bytes],
) -> tuple[str, int]:
    """Put a new password in the place of the caller's own, which was checked before.

    Every session of theirs ends. Returns its credential's id and the journal number. ConflictError
    when another change came in between.
    """
    who = Person(caller.actor, caller.tenant_id, caller.owner.id)
    return change_of(store, policy, who, before, hashed=hashed, entropy=entropy)


def change_of(
    store: Store,
    policy: Policy,
    who: Person,
    before: HeldPassword,
    *,
    hashed: bytes,
    entropy: Callable[[int], bytes],
) -> tuple[str, int]:
    """Put a new password in the place of its owner's, as `change` does.

    The session that it is done in goes on; those besides end.
    """
    kind = policy.issued(before.kind)
    # Only its id is wanted: the password is its user's.
    made = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    link = schema.login_credential
    here = sa.select(link.c.credential_id).where(
        link.c.login_id == before.login, link.c.kind == before.kind
    )
    with store.change(who.actor) as under_way:
        if under_way.execute(here).scalar_one_or_none() != before.credential_id:
            raise ConflictError("The password was changed in the meantime; use the new one.")
        n = logins.give(
            under_way,
            kind=before.kind,
            issued=replace(made, digest=hashed),
            login=before.login,
            scopes=Scopes.of(before.scopes),
            networks=Networks.of(before.networks) if before.networks is not None else None,
            owner=(who.tenant_id, before.project_id, who.user_id),
            issues=True,
        )
        end_sessions(under_way, who.user_id, before.login, keep=who.session_id)
    return made.id, n


def end_sessions(change: Change, user_id: str, login: str, *, keep: str | None = None) -> None:
    """End a user's sessions where the login whose password changed is the one they sign in with."""
    if login.partition(":")[0] == NAMESPACE:
        session.end_all_in(change, user_id, why="password-change", keep=keep)


def namespaces(policy: Policy) -> tuple[str, ...]:
    """Return where a user can have an account password; how people sign in comes first."""
    areas = ((area.logins, area.kinds) for area in policy.areas)
    known = {name for name, kinds in areas for one in kinds if isinstance(one, AccountPassword)}
    held = (one for one in policy.kinds.values() if isinstance(one, AccountPassword))
    known |= {one.name.partition(".")[0] for one in held}
    return tuple(sorted(known, key=lambda one: (one != NAMESPACE, one)))


def draw(policy: Policy, namespace: str, *, entropy: Callable[[int], bytes]) -> Issued:
    """Return a random first password, to be hashed before `set_first` stores it."""
    kind = logins.kind_of(policy, namespace, AccountPassword)
    return kind.issue(Spec(service=""), entropy(kind.entropy_bytes))


def set_first(
    store: Store,
    policy: Policy,
    caller: Caller,
    user_id: str,
    *,
    spec: FirstPassword,
    issued: Issued,
) -> tuple[str, int]:
    """Give a user a random password at once, instead of the one they had; `issued` is hashed.

    Returns the login name and the journal number. Raises as `basic.enable` does.
    """
    kind = logins.kind_of(policy, spec.namespace, AccountPassword)
    with store.change(caller.actor) as under_way:
        holder = logins.holder_of(under_way.connection, caller, user_id, spec.project_id)
        # Whoever signs in with it may do all that its user may do.
        scopes, networks = logins.check_gives(under_way.connection, caller, holder, ALL)
        login = logins.take_login(under_way, holder, spec.namespace, spec.login)
        n = logins.give(
            under_way,
            kind=kind.name,
            issued=issued,
            login=login,
            scopes=scopes,
            networks=networks,
            owner=holder.owner,
            issues=True,
        )
        end_sessions(under_way, holder.id, login)
    return login.partition(":")[2], n


def disable(store: Store, policy: Policy, caller: Caller, user_id: str, namespace: str) -> int:
    """Take a user's account password at once; returns the journal number.

    A repeated one has its receipt waited for again. NotFoundError where they never had one.
    """
    kind = logins.kind_of(policy, namespace, AccountPassword)
    with store.change(caller.actor) as under_way:
        logins.user_in(under_way.connection, caller.tenant_id, user_id)
        login = logins.login_of(under_way.connection, user_id, namespace)
        if login is None:
            raise NotFoundError(f"{user_id} never had a password in {namespace}")
        end_sessions(under_way, user_id, login)
        return logins.take_back(under_way, login, kind.name, caller.tenant_id)
