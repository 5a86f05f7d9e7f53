"""Whom an external provider's sign-in makes of somebody: the user, made or linked, and their roles.

Rule of this file: a user is found by issuer and subject alone, never by an e-mail address or a
name (ATTACKS D6.59). The roles that a mapping names are the provider's to give and take, at each
sign-in; every other stays as it is. Each change is journaled as the provider's; what can't be done
as configured is done not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from latchgate.core.identity_provider import IdentityProvider, is_of, verified_email
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.secret import CROCKFORD_LOWER, draw
from latchgate.manage import links, roles, users
from latchgate.manage.administrators import kept
from latchgate.manage.errors import ManageError
from latchgate.manage.links import LinkSpec
from latchgate.manage.records import new_id
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor, Store

_MAX_NAME = 200
Pair = tuple[str, str]  # ids of a project and a role


class NotAdmittedError(ManageError):
    """Somebody whom a provider signed in may not come in; says why, to them."""


class MappingError(Exception):
    """The configuration names what is not there, or not once; says what."""


@dataclass(frozen=True, slots=True)
class Comer:
    """Whom a provider signed in: their subject and claims, and where they are."""

    provider: IdentityProvider
    subject: str
    claims: Mapping[str, Any]
    address: str | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The user that somebody signs in as; `n` is the number that verifiers must reach, if any."""

    user_id: str
    n: int | None


def admit(
    store: Store, policy: Policy, comer: Comer, *, now: float, entropy: Callable[[int], bytes]
) -> Admitted:
    """Return the user whom somebody signs in as, with the roles that their claims give.

    NotAdmittedError where they may not come in, MappingError where the configuration is wrong.
    """
    try:
        return _admit(store, policy, comer, now, entropy)
    except ConflictError:
        # Of two first sign-ins at once one makes the user, and the other finds them.
        with store.reading() as connection:
            lost = links.is_linked(connection, comer.provider.issuer, comer.subject)
        if not lost:
            raise
        return _admit(store, policy, comer, now, entropy)


def stands(
    store: Store, provider: IdentityProvider, subject: str, user_id: str, now: float
) -> bool:
    """Whether a subject still signs in as a user."""
    with store.reading() as connection:
        found = links.linked_user(connection, provider.issuer, subject, now=now)
        return found == user_id and _active(connection, user_id) is not None


def _admit(
    store: Store, policy: Policy, comer: Comer, now: float, entropy: Callable[[int], bytes]
) -> Admitted:
    provider, claims = comer.provider, comer.claims
    with store.reading() as connection:
        user_id = links.linked_user(connection, provider.issuer, comer.subject, now=now)
        linked = links.is_linked(connection, provider.issuer, comer.subject)
        found = _active(connection, user_id) if user_id is not None else None
        tenant_id = _tenant(connection, provider)
    if linked and (found is None or tenant_id not in {None, found.tenant_id}):
        raise NotAdmittedError("This account can't be used at present.")
    _check_email(provider, claims)
    if provider.required is not None and not provider.required.holds(claims):
        if user_id is not None and found is not None and provider.disable_without_required:
            _disable(store, comer, user_id, found.tenant_id)
        raise NotAdmittedError(f"{provider.title} does not give you access here.")
    if user_id is None or found is None:
        return _create(store, policy, comer, tenant_id, entropy)
    return Admitted(user_id, _settle(store, comer, user_id, found.tenant_id))


def _check_email(provider: IdentityProvider, claims: Mapping[str, Any]) -> None:
    if provider.email_domains:
        email = verified_email(claims)
        if email is None or not is_of(email, provider.email_domains):
            raise NotAdmittedError(
                "This takes a verified e-mail address of a domain that is let in here."
            )


def _create(
    store: Store,
    policy: Policy,
    comer: Comer,
    tenant_id: str | None,
    entropy: Callable[[int], bytes],
) -> Admitted:
    provider, email = comer.provider, verified_email(comer.claims)
    if not provider.create_users or tenant_id is None:
        raise NotAdmittedError(
            f"Nobody here is linked with your account at {provider.title}. An administrator can"
            f" link its subject, {comer.subject}; or sign in another way, and link it yourself."
        )
    if provider.require_verified_email and email is None:
        raise NotAdmittedError(
            f"{provider.title} has not verified your e-mail address, which a new account takes."
        )
    user_id = new_id("u", entropy)
    with store.change(_actor(comer, tenant_id)) as change:
        if links.is_linked(change.connection, provider.issuer, comer.subject):
            raise ConflictError("somebody else was quicker")
        name = _free_name(change.connection, comer, tenant_id, entropy)
        users.add(change, user_id, tenant_id, name, "sub", email=email)
        mapped = _mapped(change.connection, provider, tenant_id)
        for project_id, role_id in sorted(_given(mapped, comer)):
            roles.assign(change, tenant_id, user_id, project_id, role_id)
        owner = (tenant_id, links.home_of(change.connection, tenant_id, user_id), user_id)
        spec = LinkSpec(issuer=provider.issuer, subject=comer.subject)
        links.add(change, policy, spec, owner=owner, entropy=entropy)
        n = change.n
    return Admitted(user_id, n)


def _settle(store: Store, comer: Comer, user_id: str, tenant_id: str) -> int | None:
    """Give and take the roles that a mapping names; the number of the last change, if any."""
    provider = comer.provider
    if not provider.roles:
        return None
    with store.reading() as connection:
        mapped = _mapped(connection, provider, tenant_id)
        if not _differing(connection, mapped, comer, user_id):
            return None
    with store.change(_actor(comer, tenant_id)) as change, kept(change, tenant_id):
        for project_id, role_id in sorted(_differing(change.connection, mapped, comer, user_id)):
            if (project_id, role_id) in _given(mapped, comer):
                held = _held(change.connection, user_id)
                if len(held) >= roles.MAX_HELD:
                    raise ConflictError(f"a user holds at most {roles.MAX_HELD} roles")
                roles.assign(change, tenant_id, user_id, project_id, role_id)
            else:
                roles.withdraw(change, tenant_id, user_id, project_id, role_id)
        return change.n


def _differing(
    connection: sa.Connection, mapped: Mapping[Pair, tuple[int, ...]], comer: Comer, user_id: str
) -> set[Pair]:
    """Return the roles of a mapping that a user holds and shall not, or shall and doesn't."""
    held = _held(connection, user_id)
    return _given(mapped, comer) ^ (held & set(mapped))


def _disable(store: Store, comer: Comer, user_id: str, tenant_id: str) -> None:
    with store.change(_actor(comer, tenant_id)) as change, kept(change, tenant_id):
        row = {"id": user_id, "active": True}
        told = {"active": False}
        change.alter("user.disable", Noun.USER, users.TABLE, row, told, tenant_id=tenant_id)
        session.end_all_in(change, user_id, why="user-disable")


def _mapped(
    connection: sa.Connection, provider: IdentityProvider, tenant_id: str
) -> dict[Pair, tuple[int, ...]]:
    """Return the roles of a mapping, each with the places of the claims that give it."""
    project, role = schema.project, schema.role
    usable = sa.or_(role.c.tenant_id == tenant_id, role.c.tenant_id.is_(None))
    found: dict[Pair, tuple[int, ...]] = {}
    for at, one in enumerate(provider.roles):
        where = f"sign_in.providers: {provider.name}: roles[{at}]"
        of_tenant = project.c.tenant_id == tenant_id
        pair = (
            _named(connection, project, one.project, of_tenant, f"{where}.project"),
            _named(connection, role, one.role, usable, f"{where}.role"),
        )
        found[pair] = (*found.get(pair, ()), at)
    return found


def _given(mapped: Mapping[Pair, tuple[int, ...]], comer: Comer) -> set[Pair]:
    """Return the roles that somebody's claims give."""
    listed = comer.provider.roles
    return {
        pair
        for pair, places in mapped.items()
        if any(listed[at].claim.holds(comer.claims) for at in places)
    }


def _held(connection: sa.Connection, user_id: str) -> set[Pair]:
    table = schema.role_assignment
    wanted = sa.select(table.c.project_id, table.c.role_id).where(table.c.user_id == user_id)
    return {(row.project_id, row.role_id) for row in connection.execute(wanted)}


def _tenant(connection: sa.Connection, provider: IdentityProvider) -> str | None:
    """Return the id of the tenant that a provider is for."""
    if provider.tenant is None:
        return None
    where = f"sign_in.providers: {provider.name}: tenant"
    return _named(connection, schema.tenant, provider.tenant, schema.tenant.c.active, where)


def _named(
    connection: sa.Connection,
    table: sa.Table,
    text: str,
    within: sa.ColumnElement[bool],
    where: str,
) -> str:
    """Return the id of the one record that goes by an id or a name; MappingError."""
    called = sa.or_(table.c.id == text, table.c.name == text)
    found = connection.execute(sa.select(table.c.id).where(within, called)).scalars().all()
    if len(found) != 1:
        many = "none" if not found else f"{len(found)}"
        raise MappingError(f"{where}: there is {many} of id or name {text!r}, not one")
    one: str = found[0]
    return one


def _active(connection: sa.Connection, user_id: str) -> sa.Row[Any] | None:
    user, tenant = schema.user, schema.tenant
    wanted = (
        sa.select(user.c.tenant_id)
        .join(tenant, tenant.c.id == user.c.tenant_id)
        .where(user.c.id == user_id)
        .where(user.c.active, user.c.deleted_at.is_(None), tenant.c.active)
    )
    return connection.execute(wanted).one_or_none()


def _free_name(
    connection: sa.Connection, comer: Comer, tenant_id: str, entropy: Callable[[int], bytes]
) -> str:
    """Return a name for a new user: what the provider calls them, told apart where it is taken."""
    told = comer.claims
    wanted = next(
        (
            text.strip()[:_MAX_NAME]
            for text in (told.get("preferred_username"), told.get("name"), comer.subject)
            if isinstance(text, str) and text.strip() and text.isprintable()
        ),
        comer.subject,
    )
    table = schema.user
    drawn = draw(entropy(13), CROCKFORD_LOWER, 6)
    for name in (wanted, f"{wanted} ({comer.provider.name})"):
        taken = sa.select(table.c.id).where(table.c.tenant_id == tenant_id, table.c.name == name)
        if connection.execute(taken).one_or_none() is None:
            return name
    return f"{wanted} ({comer.provider.name} {drawn})"


def _actor(comer: Comer, tenant_id: str) -> Actor:
    """Return how the journal names the provider."""
    return Actor(f"provider:{comer.provider.name}", tenant_id, None, comer.address)
