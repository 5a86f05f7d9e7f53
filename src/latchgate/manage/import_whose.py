"""Whose imported credentials are: owners, projects and roles of one tenant, looked up once each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from latchgate.core.scope import NONE, Scopes
from latchgate.manage.administrators import reached, usable
from latchgate.manage.errors import InvalidError
from latchgate.manage.import_lines import LineError
from latchgate.store import schema


@dataclass(frozen=True, slots=True)
class Home:
    """Owner and project of a credential."""

    user_id: str
    project_id: str


class Whose:
    """What is known of one tenant within a transaction; InvalidError when it is suspended."""

    def __init__(self, connection: sa.Connection, tenant_id: str) -> None:
        self.connection = connection
        self._tenant_id = tenant_id
        self._users: dict[str, str | None] = {}
        self._projects: dict[str, str] = {}
        self._homes: dict[tuple[str, str | None], Home] = {}
        self._logins: dict[str, str] = {}
        self._passwords: set[tuple[str, str]] = set()
        self._roles = usable(connection, tenant_id)
        table = schema.tenant
        active = connection.execute(
            sa.select(table.c.active).where(table.c.id == tenant_id)
        ).scalar_one_or_none()
        if not active:
            told = "is suspended: nothing is imported for it" if active is False else "is not there"
            raise InvalidError([("tenant", told)])

    def user(self, name: str) -> str | None:
        """Return the id of a user of the tenant, by id or name."""
        if name not in self._users:
            table = schema.user
            mine = sa.select(table.c.id).where(
                table.c.tenant_id == self._tenant_id, table.c.deleted_at.is_(None)
            )
            self._users[name] = self._first(mine, table, name)
        return self._users[name]

    def project(self, name: str) -> str:
        """Return the id of a project of the tenant, by id or name; LineError."""
        if name not in self._projects:
            table = schema.project
            mine = sa.select(table.c.id).where(table.c.tenant_id == self._tenant_id)
            found = self._first(mine, table, name)
            if found is None:
                raise LineError(f"project: the tenant has none that is {name!r}")
            self._projects[name] = found
        return self._projects[name]

    def _first(self, mine: sa.Select[Any], table: sa.Table, name: str) -> str | None:
        """Return the id of the record that has a name as its id, else as its name."""
        for column in (table.c.id, table.c.name):
            found: str | None = self.connection.execute(
                mine.where(column == name)
            ).scalar_one_or_none()
            if found is not None:
                return found
        return None

    def made(self, name: str, user_id: str, project_id: str) -> None:
        """Remember a user who was just made."""
        self._users[name] = user_id
        self._homes[name, None] = Home(user_id, project_id)

    def home(self, owner: str, project: str | None) -> Home:
        """Return owner and project; LineError when there are none, or not one."""
        key = (owner, project)
        known = self._homes.get(key)
        if known is not None:
            return known
        user_id = self.user(owner)
        if user_id is None:
            raise LineError(f"owner: the tenant has no user {owner!r}")
        if project is not None:
            project_id = self.project(project)
        else:
            table = schema.role_assignment
            held = sa.select(table.c.project_id).where(table.c.user_id == user_id).distinct()
            found = self.connection.execute(held).scalars().all()
            if len(found) != 1:
                raise LineError(f"project: which? {owner!r} holds roles in {len(found)}")
            project_id = found[0]
        home = self._homes[key] = Home(user_id, project_id)
        return home

    def role(self, name: str) -> str:
        """Return the id of a role that the tenant may use, by id or name; LineError."""
        named = (
            [name]
            if name in self._roles
            else [role_id for role_id, row in self._roles.items() if row["name"] == name]
        )
        if len(named) != 1:
            raise LineError(f"roles: the tenant has {len(named)} that are {name!r}")
        return named[0]

    def scopes_of(self, role_ids: Iterable[str]) -> Scopes:
        """Return every scope that roles hold together."""
        scopes = NONE
        for role_id in role_ids:
            scopes |= reached(self._roles, role_id)[0]
        return scopes

    def login(self, login: str) -> str | None:
        """Return whose a login is."""
        if login in self._logins:
            return self._logins[login]
        table = schema.login
        found: str | None = self.connection.execute(
            sa.select(table.c.user_id).where(table.c.id == login)
        ).scalar_one_or_none()
        return found

    def has_password(self, login: str, kind: str) -> bool:
        """Whether a login has a credential of a kind."""
        link = schema.login_credential
        mine = sa.select(link.c.kind).where(link.c.login_id == login, link.c.kind == kind)
        there = self.connection.execute(mine).scalar_one_or_none() is not None
        return there or (login, kind) in self._passwords

    def took(self, login: str, user_id: str, kind: str) -> None:
        """Remember that a login is somebody's, and has a credential of a kind."""
        self._logins[login] = user_id
        self._passwords.add((login, kind))
