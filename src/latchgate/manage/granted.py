"""What an access key is given, out of what its maker stands for: roles of a project, requests.

Rule of this file: roles are more than the scopes they hold, as services elsewhere read their names;
so only what stands for all of its owner, or for roles itself, gives any (ATTACKS D5.38).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.policy import Policy
from latchgate.core.scope import NONE, Scopes
from latchgate.core.standing import MAX_PARENTS
from latchgate.manage import access_rules
from latchgate.manage.access_rules import RuleSpec, StoredRule
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import Roles, reached, usable
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.gate import check_depth, sourced
from latchgate.manage.profile import HeldRole, held_role
from latchgate.store import schema
from latchgate.store.journal import Change


class RoleUnknownError(InvalidError):
    """There is no such role in the tenant."""

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__([("roles", f"there is no role {role[:64]!r}")])


class RoleNotHeldError(ForbiddenError):
    """The owner does not hold the role in the project, or came with something without it."""

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(f"you don't hold the role {role[:64]!r} there, so you can't hand it out")


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes a key, with the life and the networks of what their token was minted from.

    `parent_id` is the access key that a token is of; its requests alone are in `access_rules`.
    """

    caller: Caller
    parent_id: str | None
    access_rules: frozenset[tuple[str, str, str]] | None

    @classmethod
    def of(cls, connection: sa.Connection, policy: Policy, caller: Caller) -> Maker:
        """Find what bounds a caller; ForbiddenError where the source of their token is gone."""
        credential = caller.credential
        rules = None
        if credential.access_rules is not None:
            rules = frozenset(
                (one.service, one.method, one.path) for one in credential.access_rules
            )
        if not credential.minted:
            return cls(caller, None, rules)
        bounded = sourced(connection, caller)
        table = schema.credential
        kind = sa.select(table.c.kind).where(table.c.id == credential.source_id)
        parent_id: str | None = None
        if isinstance(policy.kinds.get(connection.execute(kind).scalar_one()), AccessKey):
            parent_id = credential.source_id
            # One fewer: the tokens of the new key stand below it.
            check_depth(connection, parent_id, MAX_PARENTS - 1)
        return cls(bounded, parent_id, rules)


@dataclass(frozen=True, slots=True)
class Granted:
    """The project of a new key, the ids of its roles, and every scope that they hold."""

    project_id: str
    roles: list[str]
    scopes: Scopes

    @classmethod
    def of(
        cls,
        connection: sa.Connection,
        maker: Maker,
        project_id: str | None,
        asked: Iterable[str] | None,
    ) -> Granted:
        """Choose roles by id or name; all that the maker stands for in the project unless told.

        InvalidError names the field, ForbiddenError what the maker does not stand for.
        """
        caller = maker.caller
        where = _project(caller, project_id)
        known = usable(connection, caller.tenant_id)
        effective = _effective(connection, caller, where, known)
        if asked is None:
            roles = sorted(effective)
        else:
            roles = list(dict.fromkeys(_chosen(text, effective, known) for text in asked))
        scopes = NONE
        for role_id in roles:
            scopes |= reached(known, role_id)[0]
        return cls(where, roles, scopes)


def offered(connection: sa.Connection, caller: Caller) -> list[HeldRole]:
    """Return the roles that a key which a caller makes in their project can have, by name.

    Those whose scopes they may hand out; InvalidError, ForbiddenError where there can be none.
    """
    known = usable(connection, caller.tenant_id)
    effective = _effective(connection, caller, _project(caller, None), known)
    roles = [held_role(known, role_id) for role_id in effective]
    fitting = [one for one in roles if not caller.rights.lacking(Scopes.of(one.scopes))]
    return sorted(fitting, key=lambda one: (one.name, one.id))


def given_rules(
    change: Change,
    maker: Maker,
    asked: list[RuleSpec] | None,
    *,
    entropy: Callable[[int], bytes],
) -> list[StoredRule] | None:
    """Return the rules of a new key: those asked for, or those of what it is made with.

    None stands for every request. ForbiddenError for one that the maker may not make itself.
    """
    limit = maker.access_rules
    if asked is None:
        if limit is None:
            return None
        asked = [access_rules.naming(request) for request in sorted(limit)]
    rules = access_rules.kept(change, maker.caller.owner.id, asked, entropy=entropy)
    check_rules(maker, rules)
    return rules


def check_rules(maker: Maker, rules: list[StoredRule] | None) -> None:
    """Refuse requests that the maker may not make itself; None is every one (ForbiddenError)."""
    limit = maker.access_rules
    if limit is None:
        return
    if rules is None:
        raise ForbiddenError("the access rules you came with don't name every request")
    for rule in rules:
        if rule.request not in limit:
            service, method, path = rule.request
            msg = f"the access rules you came with don't name {method} {service} {path}"
            raise ForbiddenError(msg)


def _project(caller: Caller, wanted: str | None) -> str:
    credential = caller.credential
    if credential.roles is None and not credential.scopes.every:
        msg = (
            "a credential of certain scopes makes no key of roles; come with one of all you may do"
        )
        raise ForbiddenError(msg)
    if credential.roles is not None and not credential.project_id:
        raise InvalidError([("project_id", "your token is of no project; take one that is")])
    if credential.roles is not None and wanted not in {None, credential.project_id}:
        raise ForbiddenError("a token of one project makes keys for that project only")
    return wanted if wanted is not None else credential.project_id


def _effective(
    connection: sa.Connection, caller: Caller, project_id: str, known: Roles
) -> frozenset[str]:
    """Return every role that the owner has in a project, implied ones included.

    For somebody who came with a token, those that it stands for.
    """
    user, project, held = schema.user, schema.project, schema.role_assignment
    mine = (
        sa.select(held.c.role_id)
        .join(project, project.c.id == held.c.project_id)
        .join(user, user.c.id == held.c.user_id)
        .where(held.c.user_id == caller.owner.id, held.c.project_id == project_id)
        .where(project.c.tenant_id == caller.tenant_id, user.c.tenant_id == caller.tenant_id)
    )
    found = set[str]()
    for role_id in connection.execute(mine).scalars():
        if role_id in known:
            found |= {role_id, *reached(known, role_id)[1]}
    if not found:
        raise InvalidError([("project_id", f"you hold no role in a project {project_id[:64]!r}")])
    if caller.credential.roles is not None:
        found &= caller.grant.roles
    if not found:
        raise ForbiddenError("nothing is left of the roles that your token stands for")
    return frozenset(found)


def _chosen(text: str, effective: frozenset[str], known: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the id of a role that was named by its id or its name."""
    if text in known:
        matches = [text]
    else:
        matches = [role_id for role_id, row in known.items() if row["name"] == text]
    if not matches:
        raise RoleUnknownError(text)
    fitting = [role_id for role_id in matches if role_id in effective]
    if not fitting:
        raise RoleNotHeldError(text)
    if len(fitting) > 1:
        ids = ", ".join(sorted(fitting))
        raise InvalidError([("roles", f"{text[:64]!r} names several of yours: {ids}")])
    return fitting[0]
