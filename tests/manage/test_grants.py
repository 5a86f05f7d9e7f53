"""What a client holds: counted by tenant, of nothing that was taken away."""

from __future__ import annotations

import pytest
from tests.minting import Minting, client, with_issuer
from tests.world import FILES

from latchgate.manage import grants
from latchgate.manage.grants import Held

pytestmark = pytest.mark.both_databases


def test_what_a_client_holds_is_counted_by_tenant_without_what_was_taken_away(world):
    made, other = (client(world, with_issuer(FILES, 1)) for _ in range(2))
    minting, somebody = Minting(world), world.somebody()
    colleague = world.somebody(tenant_id=somebody.tenant_id)
    assert grants.held(world.store, made.application_id, made.id) == []
    minting.grant(made, world.owner, "storage:read")
    for owner in (somebody, colleague):
        minting.grant(made, owner, "storage:read")
    newest = minting.row(minting.grant(made, somebody, "storage:read"))
    gone = minting.row(minting.grant(made, colleague, "storage:read"))
    minting.grant(other, somebody, "storage:read")
    with world.changing() as change:
        grants.revoke(change, [gone])
    most, least = grants.held(world.store, made.application_id, made.id)
    assert isinstance(most, Held)
    assert (most.tenant_id, most.grants, most.users) == (somebody.tenant_id, 3, 2)
    assert most.newest_at == newest["created_at"]
    assert (least.tenant_id, least.grants, least.users) == (world.owner.tenant_id, 1, 1)
