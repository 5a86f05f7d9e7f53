"""Consents: a user's own, or those of a tenant's users; withdrawn, nothing of them is left."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.minting import Minting, client, with_issuer
from tests.world import FILES, asking

from latchgate.core.model import Noun
from latchgate.core.reason import Reason
from latchgate.manage import consents
from latchgate.manage.client_terms import DEVICE
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema

POLICY = with_issuer(FILES, 1)
READ = "own:account.read"


@pytest.fixture
def me(world):
    return world.acting(world.admin)


def consent(world, made, user_id, *, at=5.0):
    row = {"id": f"{user_id}:{made.id}", "user_id": user_id, "client_id": made.id, "version": 0}
    row |= {"scopes": '["openid","own:account.read"]', "given_at": at}
    world.change(Noun.CONSENT, row["id"], sa.insert(schema.consent).values(**row))


def test_withdrawn_every_grant_ends_with_its_tokens_and_no_others(world, me):
    made, other = client(world, POLICY), client(world, POLICY)
    minting, engine = Minting(world), world.engine(compile_policy=with_issuer)
    consent(world, made, world.owner.user_id)
    consent(world, other, world.owner.user_id, at=9.0)
    somebody = world.somebody("*", tenant_id=world.owner.tenant_id)
    grants = [minting.grant(made, world.owner, READ) for _ in range(2)]
    kept = [minting.grant(other, world.owner, READ), minting.grant(made, somebody, READ)]
    code = {"digest": b"d", "client_id": made.id, "user_id": world.owner.user_id}
    code |= {"project_id": "p", "redirect_uri": "u", "scopes": "[]", "challenge": "c"}
    code |= {"auth_time": 1.0, "methods": "[]", "expires_at": 9e9}
    with world.store.writing() as connection:
        connection.execute(sa.insert(schema.oauth_code).values(**code))
    tokens = {grant_id: minting.token(grant_id) for grant_id in (*grants, *kept)}

    def ask(grant_id):
        headers = {"authorization": f"Bearer {tokens[grant_id]}"}
        return engine.decide(asking(target="/manage/v1/account", headers=headers)).reason

    assert {ask(one) for one in tokens} == {Reason.ALLOWED}
    listed = consents.listed(world.store, me)
    assert [(one.client_id, one.grants) for one in listed] == [(made.id, 2), (other.id, 1)]
    assert (listed[0].application_name, listed[0].scopes) == ("Photos", ["openid", READ])
    assert sorted(listed[0].grant_ids) == sorted(grants)
    n = consents.withdraw(world.store, me, made.id)
    assert {ask(one) for one in grants} == {Reason.PARENT_GONE}
    assert {ask(one) for one in kept} == {Reason.ALLOWED}
    assert world.all(sa.select(schema.oauth_code)) == []  # or it would become a grant
    assert [one.client_id for one in consents.listed(world.store, me)] == [other.id]
    actions = [row.action for row in world.journal()[-3:]]
    assert actions == ["consent.withdraw", "oauth_grant.revoke", "oauth_grant.revoke"]
    assert consents.withdraw(world.store, me, made.id) == n == world.head()


def test_what_asks_nobody_is_listed_and_withdrawn_all_the_same(world, me):
    made = client(
        world, POLICY, public=True, first_party=True, grant_types=[DEVICE], redirect_uris=[]
    )
    minting = Minting(world)
    minting.grant(made, world.owner, READ, issues=True)
    (found,) = consents.listed(world.store, me)
    assert (found.client_id, found.first_party, found.scopes) == (made.id, True, [READ])
    consents.withdraw(world.store, me, made.id)
    assert consents.listed(world.store, me) == []


def test_an_administrator_sees_and_ends_those_of_their_tenants_users_alone(world, me):
    made = client(world, POLICY)
    near = world.somebody("*", tenant_id=world.owner.tenant_id)
    far = world.somebody("*")
    for owner in (near, far):
        consent(world, made, owner.user_id)
    assert [one.client_id for one in consents.listed(world.store, me, near.user_id)] == [made.id]
    consents.withdraw(world.store, me, made.id, near.user_id)
    assert consents.listed(world.store, me, near.user_id) == []
    for ask in (
        lambda: consents.listed(world.store, me, far.user_id),
        lambda: consents.withdraw(world.store, me, made.id, far.user_id),
        lambda: consents.withdraw(world.store, me, made.id),  # never theirs
        lambda: consents.withdraw(world.store, me, "client-nothing"),
    ):
        with pytest.raises(NotFoundError):
            ask()
    assert len(world.all(sa.select(schema.consent))) == 1
