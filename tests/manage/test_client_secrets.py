"""Secrets of clients: rotated with a grace, revoked by name, never those of another client."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.minting import client, with_issuer
from tests.world import FILES

from latchgate.core.model import Noun
from latchgate.manage import client_secrets, oauth_clients
from latchgate.manage.client_secrets import SecretSpec
from latchgate.manage.client_terms import DEVICE
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.idempotency import Once
from latchgate.store import schema
from latchgate.store.errors import ConflictError

POLICY = with_issuer(FILES, 1)


@pytest.fixture
def operator(world):
    return world.acting(world.admin)


def renew(world, operator, client_id, grace=None, once=None):
    return client_secrets.renew(
        world.store,
        POLICY,
        operator,
        client_id,
        SecretSpec(grace),
        entropy=secrets.token_bytes,
        once=once,
    )


def standing(world, client_id, *, now=None):
    at = world.clock() if now is None else now
    return oauth_clients.shown(world.store, POLICY, client_id, now=at).secrets


def test_a_new_secret_ends_the_old_one_at_once_or_after_its_grace(world, operator):
    made = client(world, POLICY)
    second, issued, n = renew(world, operator, made.id, "7d")
    old, new = standing(world, made.id)
    assert (old.id, old.superseded_by, new.id) == (made.secrets[0].id, second.id, second.id)
    assert old.expires_at is not None
    assert [one.id for one in standing(world, made.id, now=old.expires_at)] == [second.id]
    assert n == world.head()
    assert world.journal()[-1].noun == str(Noun.APPLICATION_KEY)
    assert issued.secret.reveal() not in "".join(row.detail for row in world.journal())
    third, _, _ = renew(world, operator, made.id)
    assert [one.id for one in standing(world, made.id)] == [third.id]


def test_only_so_many_are_in_their_grace(world, operator):
    made = client(world, POLICY)
    for _ in range(client_secrets.MAX_SECRETS - 1):
        renew(world, operator, made.id, "7d")
    with pytest.raises(ConflictError, match="as many as"):
        renew(world, operator, made.id, "7d")
    renew(world, operator, made.id)
    assert len(standing(world, made.id)) == 1


def test_a_revoked_secret_is_revoked_once_and_leaves_the_list(world, operator):
    made = client(world, POLICY)
    secret_id = made.secrets[0].id
    gone, n = client_secrets.revoke(world.store, POLICY, operator, made.id, secret_id)
    assert gone.revoked_at is not None
    assert standing(world, made.id) == []
    again = client_secrets.revoke(world.store, POLICY, operator, made.id, secret_id)
    assert again == (gone, n)
    first, _, _ = renew(world, operator, made.id)  # one can be made where none stands
    assert [one.id for one in standing(world, made.id)] == [first.id]


def test_a_secret_of_another_client_or_a_key_of_its_application_is_none(world, operator):
    made, other = client(world, POLICY), client(world, POLICY)
    row: dict[str, object] = {"id": "ak-1", "kind": "teracloud.application_key", "digest": b"x"}
    row["created_by"] = "t"
    row |= {"application_id": made.application_id, "created_at": 1.0}
    add = sa.insert(schema.application_key).values(**row)
    world.change(Noun.APPLICATION_KEY, "ak-1", add)
    for secret_id in (other.secrets[0].id, "ak-1", "cs-nothing"):
        with pytest.raises(NotFoundError):
            client_secrets.revoke(world.store, POLICY, operator, made.id, secret_id)


def test_who_can_keep_no_secret_gets_none(world, operator):
    public = client(world, POLICY, public=True, grant_types=[DEVICE], redirect_uris=[])
    with pytest.raises(ConflictError, match="public"):
        renew(world, operator, public.id)
    gone = client(world, POLICY)
    oauth_clients.withdraw(world.store, POLICY, operator, gone.id)
    with pytest.raises(ConflictError, match="for good"):
        renew(world, operator, gone.id)


@pytest.mark.parametrize("grace", ["91d", "soon", "-1d"])
def test_a_grace_that_is_none_changes_nothing(world, operator, grace):
    made = client(world, POLICY)
    head = world.head()
    with pytest.raises(InvalidError):
        renew(world, operator, made.id, grace)
    assert world.head() == head


def test_a_secret_that_is_asked_for_twice_is_made_once_and_shown_once(world, operator):
    made = client(world, POLICY)
    once = Once.of("k", "/secret", SecretSpec("7d"))
    first, issued, n = renew(world, operator, made.id, "7d", once=once)
    assert issued is not None
    assert renew(world, operator, made.id, "7d", once=once) == (first, None, n)
    assert [one.id for one in standing(world, made.id)] == [made.secrets[0].id, first.id]
    with pytest.raises(InvalidError, match="another request"):
        renew(world, operator, made.id, None, once=Once.of("k", "/secret", SecretSpec()))
