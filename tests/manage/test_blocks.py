"""Blocks: one's own and nobody else's, noted under the user whose record verifiers hold."""

from __future__ import annotations

import secrets

import pytest

from latchgate.core.model import Noun
from latchgate.manage import applications, blocks, developers
from latchgate.manage.applications import ApplicationSpec
from latchgate.manage.developers import Proof
from latchgate.manage.errors import NotFoundError

pytestmark = pytest.mark.both_databases


@pytest.fixture
def made(world):
    spec = ApplicationSpec("Sync", "Example", "a@example.com", "Quotas.", "individual")
    return applications.request(world.store, spec, address=None, entropy=secrets.token_bytes)


def test_a_block_is_noted_under_its_user_and_repeats_change_nothing(world, made):
    caller = world.acting(world.admin)
    n = blocks.block(world.store, caller, made[0].id)
    row = world.journal()[-1]
    assert (row.n, row.noun, row.record) == (n, str(Noun.USER), caller.owner.id)
    assert blocks.block(world.store, caller, made[0].id) == n
    assert blocks.unblock(world.store, caller, made[0].id) == (False, n + 1)
    assert blocks.unblock(world.store, caller, made[0].id) == (False, n + 1)
    assert blocks.listed(world.store, caller) == []


def test_a_users_unblock_leaves_the_developers_withdrawal(world, made):
    caller = world.acting(world.admin)
    proof = Proof(made[0].id, made[1].reveal(), None)
    blocks.block(world.store, caller, made[0].id)
    developers.withdraw(world.store, proof, caller.owner.id)
    (listed,) = blocks.listed(world.store, caller)
    assert listed.blocked_by == ["developer", "user"]
    assert blocks.unblock(world.store, caller, made[0].id)[0] is True
    (listed,) = blocks.listed(world.store, caller)
    assert listed.blocked_by == ["developer"]


def test_nobody_sees_anothers_blocks(world, made):
    blocks.block(world.store, world.acting(world.admin), made[0].id)
    other = world.somebody(tenant_id=world.owner.tenant_id)
    assert blocks.listed(world.store, world.acting(world.key("own", owner=other))) == []


def test_what_does_not_exist_is_not_blocked(world):
    with pytest.raises(NotFoundError, match="application"):
        blocks.block(world.store, world.acting(world.admin), "app-nosuch")
