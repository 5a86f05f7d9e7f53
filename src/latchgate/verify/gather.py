"""What is known of those who ask: from memory, or from the store by way of the shell."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from latchgate.core import assertion
from latchgate.core.model import (
    Application,
    ApplicationFacts,
    ApplicationKey,
    Credential,
    Facts,
    Key,
    Login,
    Noun,
    Presented,
    Project,
    Record,
    Role,
    Tenant,
    User,
)
from latchgate.core.scope import NONE
from latchgate.core.standing import MAX_PARENTS, assemble, rights_of
from latchgate.verify.cache import Missing
from latchgate.verify.walk import Need, Told, Walk

_Get = Callable[[Key], Record | None]
_Found = TypeVar("_Found")


def gather(walk: Walk, presented: Presented) -> Generator[Need, Told, Facts | None]:
    """Find a credential, its owner, tenant, project, roles and parents; None when unknown."""
    known = _recalled(walk, presented)
    if known is not None:
        return known

    def build(get: _Get) -> Facts | None:
        credential_id = presented.credential_id
        if presented.login is not None:
            login = get((Noun.LOGIN, account(walk, presented)))
            if not isinstance(login, Login) or presented.kind not in login.credentials:
                return None
            credential_id = login.credentials[presented.kind]
        record = get((Noun.CREDENTIAL, credential_id))
        return _assemble(record, get, MAX_PARENTS) if isinstance(record, Credential) else None

    facts = yield from _fetch(walk, build)
    if facts is not None:
        walk.cache.derive(facts)
    return facts


def _recalled(walk: Walk, presented: Presented) -> Facts | None:
    credential_id = presented.credential_id
    if presented.login is not None:
        login = walk.cache.recall((Noun.LOGIN, account(walk, presented)))
        if not isinstance(login, Login):
            return None
        credential_id = login.credentials.get(presented.kind, "")
    return walk.cache.facts.get(credential_id)


def account(walk: Walk, presented: Presented) -> str:
    """Return the id of a login: the area says in which namespace its name is looked up.

    Whom an identity provider names has a namespace of its own, the same in every area.
    """
    namespace = walk.area.logins if walk.area is not None else ""
    if presented.assertion is not None:
        namespace = assertion.NAMESPACE
    return f"{namespace}:{presented.login}"


def gather_application(
    walk: Walk, presented: Presented
) -> Generator[Need, Told, ApplicationFacts | None]:
    """Find an application's key and the application; None when the key is unknown."""

    def build(get: _Get) -> ApplicationFacts | None:
        key = get((Noun.APPLICATION_KEY, presented.credential_id))
        if not isinstance(key, ApplicationKey) or key.kind != presented.kind:
            return None
        application = get((Noun.APPLICATION, key.application_id))
        return ApplicationFacts(key, application if isinstance(application, Application) else None)

    return (yield from _fetch(walk, build))


def _fetch(walk: Walk, build: Callable[[_Get], _Found]) -> Generator[Need, Told, _Found]:
    """Run `build` again and again until all it looked for was known or had been read."""
    known: dict[Key, Record | None] = {}
    while True:
        lacking: list[Key] = []

        def get(key: Key, lacking: list[Key] = lacking) -> Record | None:
            found = known[key] if key in known else walk.cache.recall(key)
            if isinstance(found, Missing):
                lacking.append(key)
                return None
            return found

        built = build(get)
        if not lacking:
            return built
        told = yield Need(tuple(dict.fromkeys(lacking)))
        if isinstance(told, dict):
            known.update(told)


def _assemble(credential: Credential, get: _Get, parents_left: int) -> Facts:
    owner = get((Noun.USER, credential.owner_id))
    tenant = get((Noun.TENANT, credential.tenant_id))
    project = get((Noun.PROJECT, credential.project_id))
    owner_rights = NONE
    if isinstance(owner, User):
        held = [
            role_id for project_id, role_id in owner.roles if project_id == credential.project_id
        ]
        owner_rights = rights_of(held, credential.tenant_id, _roles(get))
    parent = None
    if credential.parent_id is not None and parents_left:
        above = get((Noun.CREDENTIAL, credential.parent_id))
        if isinstance(above, Credential):
            parent = _assemble(above, get, parents_left - 1)
    return assemble(
        credential,
        owner=owner if isinstance(owner, User) else None,
        tenant=tenant if isinstance(tenant, Tenant) else None,
        project=project if isinstance(project, Project) else None,
        owner_rights=owner_rights,
        parent=parent,
    )


def _roles(get: _Get) -> Callable[[str], Role | None]:
    def find(role_id: str) -> Role | None:
        role = get((Noun.ROLE, role_id))
        return role if isinstance(role, Role) else None

    return find
