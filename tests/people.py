"""People who sign in at the console, for whoever tests something behind that."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, replace

from tests.world import FILES, Owner, World, compiled

from latchgate.core.kinds.spec import Spec
from latchgate.core.scope import ALL
from latchgate.manage import logins
from latchgate.signin.password import _derive

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """Somebody with a login name and a password."""

    id: str
    tenant_id: str
    project_id: str
    login: str
    password: str


def person(world: World, *scopes: str) -> Person:
    """Make a user of the first tenant with a password whose hash costs next to nothing."""
    return _with_login(world, world.somebody(*scopes, tenant_id=world.owner.tenant_id))


def owner(world: World) -> Person:
    """Make a tenant whose first user may do everything in it, and nothing of the operator's."""
    services = compiled(FILES, 0).services.values()
    scopes = {scope for one in services for scope in one.scopes if one.id != "operator"}
    return _with_login(world, world.somebody(*sorted(scopes)))


def colleague(world: World, of: Person, *scopes: str) -> Person:
    """Make another user of somebody's tenant, with these scopes in a project of their own."""
    return _with_login(world, world.somebody(*scopes, tenant_id=of.tenant_id))


def _with_login(world: World, who: Owner) -> Person:
    made = Person(who.user_id, who.tenant_id, who.project_id, f"person{next(_numbers)}", "")
    with world.changing() as change:
        logins.add_login(change, who.tenant_id, who.user_id, "latchgate", made.login)
    return replace_password(world, made)


def replace_password(world: World, person: Person) -> Person:
    """Give somebody another password, beside every rule; returns them with it."""
    kind = compiled({}, 0).issued("latchgate.account_password")
    issued = kind.issue(Spec(service=""), secrets.token_bytes(kind.entropy_bytes))
    password = issued.secret.reveal()
    hashed = _derive(password, secrets.token_bytes(16), 32, 1, 1, 32).encode()
    with world.changing() as change:
        logins.give(
            change,
            kind=kind.name,
            issued=replace(issued, digest=hashed),
            login=f"latchgate:{person.login}",
            scopes=ALL,
            networks=None,
            owner=(person.tenant_id, person.project_id, person.id),
            issues=True,
        )
    return replace(person, password=password)
