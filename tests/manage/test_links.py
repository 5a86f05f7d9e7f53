"""Links: one subject one user, made by who holds all of it, in one change and in the journal."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.world import FILES, compiled

from latchgate.core.assertion import NAMESPACE, identity_digest
from latchgate.core.model import Noun
from latchgate.core.scope import Scopes
from latchgate.manage import links
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.idempotency import Once
from latchgate.manage.links import LinkSpec
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

URL = "https://id.example.com/realms/r"
BELIEVED = FILES["wayscloud.toml"] + (
    f'\n[kinds.oidc_bearer]\nissuer = "{URL}"\njwks_uri = "{URL}/certs"\naudience = "a"\n'
)
POLICY = compiled({**FILES, "wayscloud.toml": BELIEVED}, 1)


def link(world, caller, user_id, subject="ada", *, issuer=URL, once=None, policy=POLICY, **more):
    return links.link(
        world.store,
        policy,
        caller,
        user_id,
        spec=LinkSpec(issuer=issuer, subject=subject, **more),
        now=world.clock(),
        entropy=secrets.token_bytes,
        once=once,
    )


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def test_a_link_is_a_credential_of_its_user_found_by_issuer_and_subject(world, admin):
    owner = world.somebody("storage:read", tenant_id=admin.tenant_id)
    made, new = link(world, admin, owner.user_id)
    assert new
    assert (made.issuer, made.subject, made.user_id) == (URL, "ada", owner.user_id)
    assert made.project_id == owner.project_id
    rows = world.journal()[-2:]
    assert [(row.noun, row.action, row.record) for row in rows] == [
        (str(Noun.CREDENTIAL), "user.link", made.id),
        (str(Noun.LOGIN), "login.create", f"{NAMESPACE}:{URL}#ada"),
    ]
    told = msgspec.json.decode(rows[0].detail)["after"]
    assert (told["owner_id"], told["kind"]) == (owner.user_id, "wayscloud.oidc_bearer")
    assert identity_digest(URL, "ada").hex() not in rows[0].detail
    assert links.listed(world.store, admin, owner.user_id) == [made]


def test_d6_59_a_subject_is_one_users_alone_and_may_be_given_on_when_unlinked(world, admin):
    first, second = (world.somebody(tenant_id=admin.tenant_id) for _ in range(2))
    made, _ = link(world, admin, first.user_id)
    for user_id in (first.user_id, second.user_id):
        before = world.head()
        with pytest.raises(ConflictError):
            link(world, admin, user_id)
        assert world.head() == before
    gone, n = links.unlink(world.store, admin, first.user_id, made.id)
    assert gone.revoked_at is not None
    assert n == world.head()
    assert [row.action for row in world.journal()[-2:]] == ["user.unlink", "login.delete"]
    assert links.listed(world.store, admin, first.user_id) == []
    again, _ = links.unlink(world.store, admin, first.user_id, made.id)
    assert again == gone
    assert world.head() == n
    link(world, admin, second.user_id)


def test_subjects_that_differ_in_case_alone_are_two(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    link(world, admin, owner.user_id, "Ada")
    link(world, admin, owner.user_id, "ada")
    found = links.listed(world.store, admin, owner.user_id)
    assert {one.subject for one in found} == {"Ada", "ada"}


def test_d5_38_nobody_links_a_user_who_may_do_more_than_they_hold(world, admin):
    owner = world.somebody("storage:read", tenant_id=admin.tenant_id)
    before = world.head()
    narrow = world.acting(world.admin, Scopes.of(["manage:users.write"]))
    with pytest.raises(ForbiddenError, match="storage:read"):
        link(world, narrow, owner.user_id)
    with pytest.raises(ForbiddenError):
        link(world, narrow, admin.owner.id)
    assert world.head() == before
    wide = world.acting(world.admin, Scopes.of(["manage:users.write", "storage:read"]))
    made, _ = link(world, wide, owner.user_id)
    told = [row for row in world.journal() if row.record == made.id]
    assert msgspec.json.decode(told[0].detail)["after"]["scopes"] == ["storage:read"]


def test_d5_49_users_of_another_tenant_are_not_there(world, admin):
    foreign = world.somebody()
    with pytest.raises(NotFoundError):
        link(world, admin, foreign.user_id)
    with pytest.raises(NotFoundError):
        links.listed(world.store, admin, foreign.user_id)
    own = world.somebody(tenant_id=admin.tenant_id)
    made, _ = link(world, admin, own.user_id)
    for user_id, link_id in ((admin.owner.id, made.id), (own.user_id, "link-none")):
        with pytest.raises(NotFoundError):
            links.unlink(world.store, admin, user_id, link_id)
    with pytest.raises(NotFoundError):
        links.unlink(world.store, admin, admin.owner.id, admin.credential.id)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"issuer": f"{URL}/"}, "issuer"),
        ({"issuer": "https://other.example"}, "issuer"),
        ({"subject": " ada"}, "subject"),
        ({"subject": "é"}, "subject"),
        ({"project_id": "p-none"}, "project_id"),
    ],
)
def test_what_can_not_be_linked_is_named(world, admin, told, field):
    owner = world.somebody(tenant_id=admin.tenant_id)
    before = world.head()
    with pytest.raises(InvalidError) as raised:
        link(world, admin, owner.user_id, **{"subject": "ada", **told})
    assert [name for name, _ in raised.value.faults] == [field]
    assert world.head() == before


def test_a_policy_that_believes_nobody_says_what_it_needs(world, admin):
    with pytest.raises(InvalidError, match=r"kinds\.oidc_bearer"):
        link(world, admin, admin.owner.id, policy=compiled(FILES, 1))


def test_a_repeat_with_the_same_key_makes_one_link(world, admin):
    once = Once.of("k", "POST /x", "body")
    made, new = link(world, admin, admin.owner.id, once=once)
    again, newer = link(world, admin, admin.owner.id, once=once)
    assert (new, newer) == (True, False)
    assert again == made


def test_an_issuer_that_people_sign_in_through_can_be_linked_without_a_policy_for_its_bearers(
    world, admin
):
    owner, other = world.somebody(tenant_id=admin.tenant_id), "https://other.example"
    spec = LinkSpec(issuer=other, subject="ada")
    with pytest.raises(InvalidError, match="issuer"):
        link(world, admin, owner.user_id, issuer=other)
    made, new = links.link(
        world.store,
        POLICY,
        admin,
        owner.user_id,
        spec=spec,
        now=world.clock(),
        entropy=secrets.token_bytes,
        issuers={other},
    )
    assert new
    assert links.listed(world.store, admin, owner.user_id) == [made]
    with world.store.reading() as connection:
        found = links.linked_user(connection, other, "ada", now=world.clock())
    assert found == owner.user_id
