"""Deleted tokens: noted with what they were minted from, by themselves, once."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
import sqlalchemy as sa

from latchgate.manage import project_tokens
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema

pytestmark = pytest.mark.both_databases

TABLE = schema.credential


@pytest.fixture
def key(world):
    return world.key()


def minted(world, key, name="A" * 22):
    """A token's credential: what its deletion looks at."""
    source = world.acting(key).credential
    now = time.time()
    return msgspec.structs.replace(
        source,
        id=name,
        parent_id=key.id,
        created_at=now,
        expires_at=now + 3_600,
        minted=True,
    )


def denied(world, key):
    row = world.one(sa.select(TABLE.c.denied_tokens).where(TABLE.c.id == key.id))
    return json.loads(row.denied_tokens) if row.denied_tokens else {}


def test_what_is_noted_is_the_one_token_and_its_end(world, key):
    token = minted(world, key)
    n = project_tokens.delete(world.store, world.acting(key), token)
    assert denied(world, key) == {token.id: token.expires_at}
    row = world.journal()[-1]
    assert (row.n, row.action, row.noun, row.record) == (
        n,
        "project_token.delete",
        "credential",
        key.id,
    )
    assert json.loads(row.detail) == {"after": {"token": token.id, "expires_at": token.expires_at}}
    version = world.one(sa.select(TABLE.c.version).where(TABLE.c.id == key.id)).version
    assert version == n


def test_a_repeated_deletion_changes_nothing_and_has_a_number_to_wait_for(world, key):
    token = minted(world, key)
    n = project_tokens.delete(world.store, world.acting(key), token)
    assert project_tokens.delete(world.store, world.acting(key), token) == n
    assert world.head() == n


def test_a_token_whose_source_is_gone_is_not_found(world, key):
    token = msgspec.structs.replace(minted(world, key), parent_id="gone")
    with pytest.raises(NotFoundError):
        project_tokens.delete(world.store, world.acting(key), token)
