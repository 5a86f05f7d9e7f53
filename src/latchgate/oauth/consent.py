"""Consent: what a person is asked before a client acts for them, and that they said yes.

Rule of this file: a person is asked again for what is new only, and told everything each time. That
they consented is journaled; it is withdrawn in `manage.consents`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.manage import grants
from latchgate.oauth.clients import Client
from latchgate.oauth.scopes import OPENID_SCOPES
from latchgate.oauth.server import AuthorizationServer
from latchgate.signin.session import Session
from latchgate.store import schema
from latchgate.store.journal import stored

_TABLE = schema.consent
# What a client is told, and for how long; everything else the policy has words for.
_OPENID = {
    "openid": "Know that it is you: the id of your account",
    "profile": "Know your name",
    "email": "Know your e-mail address",
    "offline_access": "Go on while you are away, until you withdraw it",
}


@dataclass(frozen=True, slots=True)
class Named:
    """A record by its id and its name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """One scope in words; `new` where the person was not asked for it before."""

    scope: str
    words: str
    new: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The scopes of one service, under its title."""

    title: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked: which program, whose, in which tenant, to do what.

    `projects` are those in which it may act, `project_id` the one where that is known; `asked` is
    whether consent is needed, `blocked` that the person keeps the program out.
    """

    client: Client
    vendor: str
    contact: str
    tenant: str
    projects: tuple[Named, ...]
    project_id: str | None
    groups: tuple[Group, ...]
    asked: bool
    blocked: bool

    def chosen(self, project_id: str | None) -> str | None:
        """Return the project that was chosen, the only one where there is no choice, or None."""
        if project_id is None and len(self.projects) == 1:
            return self.projects[0].id
        return project_id if any(one.id == project_id for one in self.projects) else None


def question(
    server: AuthorizationServer, client: Client, session: Session, scopes: tuple[str, ...]
) -> Question:
    """Return what a person has to be asked about a client; StoreError."""
    application, tenant = schema.application, schema.tenant
    with server.store.reading() as connection:
        about = connection.execute(
            sa.select(application.c.vendor, application.c.contact).where(
                application.c.id == client.application_id
            )
        ).one()
        named = sa.select(tenant.c.name).where(tenant.c.id == session.tenant_id)
        tenant_name: str = connection.execute(named).scalar_one()
        projects = _projects(connection, session)
        given = _given(connection, client, session)
        blocked = _blocked(connection, client, session)
        before = _project_before(connection, client, session)
    known = {one.id for one in projects}
    only = projects[0].id if len(projects) == 1 else None
    return Question(
        client=client,
        vendor=about.vendor,
        contact=about.contact,
        tenant=tenant_name,
        projects=projects,
        project_id=before if before in known else only,
        groups=in_words(server.engine.policy, scopes, given),
        asked=not client.first_party and not set(scopes) <= given,
        blocked=blocked,
    )


def in_words(
    policy: Policy, scopes: tuple[str, ...], given: frozenset[str] = frozenset()
) -> tuple[Group, ...]:
    """Return scopes in words, by service; one that no service has any more by its name.

    Those beside `given`, where anything was, are new.
    """
    found: dict[str, list[Word]] = {}
    for scope in scopes:
        title, words = "Other", scope
        if scope in OPENID_SCOPES:
            title, words = "About you", _OPENID[scope]
        for service in policy.services.values():
            if scope in service.scopes:
                title, words = service.title, service.scopes[scope]
        new = bool(given) and scope not in given
        found.setdefault(title, []).append(Word(scope, words, new))
    return tuple(Group(title, tuple(words)) for title, words in found.items())


def remember(
    server: AuthorizationServer,
    client: Client,
    session: Session,
    scopes: Iterable[str],
    *,
    address: str | None,
) -> None:
    """Note that a person consented, beside what they consented to before.

    Of Latchgate's own programs nothing is noted: what they may do shows in their grants.
    """
    if client.first_party:
        return
    record = f"{session.user_id}:{client.id}"
    with server.store.change(session.actor(address)) as change:
        found = change.execute(sa.select(_TABLE).where(_TABLE.c.id == record)).mappings().first()
        before = stored(found) if found is not None else None
        held = before["scopes"] if before is not None else []
        row: dict[str, Any] = {"scopes": sorted({*held, *scopes}), "given_at": change.at}
        if before is None:
            whole = {"id": record, "user_id": session.user_id, "client_id": client.id, **row}
            change.add("consent.give", Noun.CONSENT, _TABLE, whole, tenant_id=session.tenant_id)
        elif row["scopes"] != held:
            change.alter(
                "consent.give", Noun.CONSENT, _TABLE, before, row, tenant_id=session.tenant_id
            )


def _projects(connection: sa.Connection, session: Session) -> tuple[Named, ...]:
    """Return the projects in which a user has a role."""
    table, held = schema.project, schema.role_assignment
    wanted = (
        sa.select(table.c.id, table.c.name)
        .join(held, held.c.project_id == table.c.id)
        .where(held.c.user_id == session.user_id, table.c.tenant_id == session.tenant_id)
        .where(table.c.active)
        .distinct()
        .order_by(table.c.name, table.c.id)
    )
    return tuple(Named(row.id, row.name) for row in connection.execute(wanted))


def _given(connection: sa.Connection, client: Client, session: Session) -> frozenset[str]:
    wanted = sa.select(_TABLE).where(_TABLE.c.id == f"{session.user_id}:{client.id}")
    row = connection.execute(wanted).mappings().one_or_none()
    return frozenset(stored(row)["scopes"]) if row is not None else frozenset()


def _blocked(connection: sa.Connection, client: Client, session: Session) -> bool:
    table = schema.application_block
    wanted = sa.select(table.c.user_id).where(
        table.c.user_id == session.user_id, table.c.application_id == client.application_id
    )
    return connection.execute(wanted).first() is not None


def _project_before(connection: sa.Connection, client: Client, session: Session) -> str | None:
    """Return the project of the newest grant that a user gave a client and that stands."""
    table = grants.TABLE
    wanted = (
        sa.select(table.c.project_id)
        .where(table.c.application_id == client.application_id, table.c.external_id == client.id)
        .where(table.c.owner_id == session.user_id, grants.ALIVE)
        .order_by(table.c.created_at.desc(), table.c.id)
        .limit(1)
    )
    found: str | None = connection.execute(wanted).scalar_one_or_none()
    return found
