"""Users and roles that a provider's claims make: no account taken, nobody locked out."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import FILES, compiled

from latchgate.core.identity_provider import Claim, IdentityProvider, RoleClaim
from latchgate.manage import links
from latchgate.manage.actor import Person
from latchgate.manage.provisioning import (
    Admitted,
    Comer,
    MappingError,
    NotAdmittedError,
    admit,
    stands,
)
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor

pytestmark = pytest.mark.both_databases

ISSUER = "https://id.example/realms/r"
POLICY = compiled(FILES, 1)
MAIL = {"email": "ada@example.com", "email_verified": True}


def provider(world: Any, *roles: tuple[str, str, str], **changes: Any) -> IdentityProvider:
    told: dict[str, Any] = {
        "name": "id",
        "title": "Example",
        "issuer": ISSUER,
        "client_id": "c",
        "secret_file": None,
        "scopes": ("openid",),
        "algorithms": ("ES256",),
        "tenant": world.owner.tenant_id,
        "create_users": True,
        "require_verified_email": True,
        "email_domains": frozenset(),
        "mfa_acr": frozenset(),
        "roles": tuple(RoleClaim(Claim(("groups",), one[0]), *one[1:]) for one in roles),
        "required": None,
        "disable_without_required": False,
    }
    return IdentityProvider(**told | changes)


def come(world: Any, through: IdentityProvider, subject: str = "ada", **claims: Any) -> Admitted:
    comer = Comer(through, subject, {"sub": subject, **MAIL, **claims}, "192.0.2.1")
    return admit(world.store, POLICY, comer, now=world.clock(), entropy=secrets.token_bytes)


def held(world: Any, user_id: str) -> set[tuple[str, str]]:
    table = schema.role_assignment
    wanted = sa.select(table).where(table.c.user_id == user_id)
    return {(row.project_id, row.role_id) for row in world.all(wanted)}


def own(world: Any) -> Person:
    who = world.owner
    return Person(Actor("user", who.tenant_id), who.tenant_id, who.user_id)


def link_own(world: Any, subject: str = "ada") -> str:
    return links.link_own(
        world.store, POLICY, own(world), issuer=ISSUER, subject=subject, entropy=secrets.token_bytes
    )


def test_roles_follow_claims_and_others_stay(world):
    tenant, project = world.owner.tenant_id, world.owner.project_id
    mapped, other = (world.role(tenant, ["storage:read"]) for _ in range(2))
    through = provider(world, ("staff", project, mapped), ("boss", project, mapped))
    made = come(world, through, groups=["staff"])
    assert made.n == world.head()
    assert held(world, made.user_id) == {(project, mapped)}
    world.assign(made.user_id, project, other)
    before = world.head()
    assert come(world, through, groups=["boss"]) == Admitted(made.user_id, None)
    assert world.head() == before  # nothing changed, so nothing is written
    assert come(world, through).n == world.head()
    assert held(world, made.user_id) == {(project, other)}


def test_nobody_is_found_by_anything_but_issuer_and_subject(world):
    link_own(world)
    assert come(world, provider(world)).user_id == world.owner.user_id
    assert come(world, provider(world), "Ada").user_id != world.owner.user_id
    elsewhere = provider(world, issuer="https://id.example/realms/R")
    assert come(world, elsewhere).user_id != world.owner.user_id


def test_who_is_not_linked_is_refused_unless_users_are_made(world):
    before = world.head()
    with pytest.raises(NotAdmittedError, match="linked"):
        come(world, provider(world, create_users=False))
    with pytest.raises(NotAdmittedError, match="verified"):
        come(world, provider(world), email_verified=False)
    for wrong in ("ada@other.example", "ada@example.com@other.example"):
        with pytest.raises(NotAdmittedError, match="domain"):
            come(world, provider(world, email_domains=frozenset({"example.com"})), email=wrong)
    assert world.head() == before


def test_a_disabled_user_an_unlinked_one_and_one_of_another_tenant_are_refused(world):
    link = link_own(world)
    other = world.tenant()
    with pytest.raises(NotAdmittedError, match="can't be used"):
        come(world, provider(world, tenant=other))
    disable = sa.update(schema.user).where(schema.user.c.id == world.owner.user_id)
    with world.store.writing() as connection:
        connection.execute(disable.values(active=False))
    with pytest.raises(NotAdmittedError, match="can't be used"):
        come(world, provider(world))
    assert not stands(world.store, provider(world), "ada", world.owner.user_id, world.clock())
    with world.store.writing() as connection:
        connection.execute(disable.values(active=True))
    assert stands(world.store, provider(world), "ada", world.owner.user_id, world.clock())
    links.unlink_own(world.store, own(world), link)
    assert not stands(world.store, provider(world), "ada", world.owner.user_id, world.clock())
    with pytest.raises(NotAdmittedError, match="linked"):
        come(world, provider(world, create_users=False))


def test_the_last_administrator_is_neither_disabled_nor_robbed_of_their_role(world):
    link_own(world)
    admin = (world.owner.project_id, world.role_id)
    with pytest.raises(ConflictError):
        come(world, provider(world, ("staff", *admin)))
    required = {"required": Claim(("groups",), "staff"), "disable_without_required": True}
    with pytest.raises(ConflictError):
        come(world, provider(world, **required))
    assert held(world, world.owner.user_id) == {admin}


def test_a_mapping_of_what_is_not_there_makes_nobody(world):
    foreign = world.project(world.tenant())
    before = world.head()
    for wrong in (("staff", "none", world.role_id), ("staff", world.owner.project_id, "none")):
        with pytest.raises(MappingError, match=r"roles\[0\]"):
            come(world, provider(world, wrong))
    with pytest.raises(MappingError, match="tenant"):
        come(world, provider(world, tenant="none"))
    with pytest.raises(MappingError, match="project"):
        come(world, provider(world, ("staff", foreign, world.role_id)))
    assert world.head() == before


def test_a_subject_is_linked_once_and_unlinking_needs_ones_own(world):
    link = link_own(world)
    with pytest.raises(ConflictError):
        link_own(world)
    (shown,) = links.listed_own(world.store, own(world))
    assert (shown.id, shown.issuer, shown.subject) == (link, ISSUER, "ada")
    row = world.one(sa.select(schema.credential).where(schema.credential.c.id == link))
    assert row.kind == links.SIGN_IN_ONLY  # the policy believes no bearers of it
