"""A developer's acts: proven first, one key at a time, never more than there may be."""

from __future__ import annotations

import secrets

import pytest
from tests.world import FILES, compiled

from latchgate.core.model import Noun
from latchgate.manage import applications, developers
from latchgate.manage.applications import ApplicationSpec, Verb
from latchgate.manage.developers import Proof
from latchgate.manage.errors import NotFoundError, UnprovenError
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)


@pytest.fixture
def proof(world):
    spec = ApplicationSpec("Sync", "Example", "a@example.com", "Quotas.", "individual")
    made, token = applications.request(
        world.store, spec, address="192.0.2.9", entropy=secrets.token_bytes
    )
    applications.decide(world.store, world.acting(world.admin), made.id, Verb.APPROVE, "fine")
    return Proof(made.id, token.reveal(), "192.0.2.9")


def issue(world, proof, user_id=None, *, replace=None, policy=POLICY):
    return developers.issue_key(
        world.store, policy, proof, user_id, replace=replace, entropy=secrets.token_bytes
    )


def test_a_token_changed_anywhere_proves_nothing(world, proof):
    before = world.head()
    for at in range(0, len(proof.token), 5):
        text = proof.token
        other = "A" if text[at] != "A" else "B"
        changed = Proof(proof.application_id, text[:at] + other + text[at + 1 :], None)
        with pytest.raises(UnprovenError):
            issue(world, changed)
    assert world.head() == before


def test_reissue_revokes_the_old_key_and_notes_both_for_verifiers(world, proof):
    first, _, _ = issue(world, proof)
    with pytest.raises(ConflictError):
        issue(world, proof)
    second, _, n = issue(world, proof, replace=0)
    rows = world.journal()[-2:]
    assert [(row.action, row.record) for row in rows] == [
        ("application_key.revoke", first.id),
        ("application_key.create", second.id),
    ]
    assert {row.noun for row in rows} == {str(Noun.APPLICATION_KEY)}
    assert rows[-1].n == n
    assert rows[-1].actor == f"developer:{proof.application_id}"
    assert rows[-1].address == "192.0.2.9"
    assert [
        key.id for key in developers.standing(world.store, POLICY, proof, now=world.clock()).keys
    ] == [second.id]


def test_with_a_grace_the_old_key_works_on_and_leaves_the_list_at_its_end(world, proof):
    first, _, _ = issue(world, proof)
    second, _, _ = issue(world, proof, replace=3_600)
    row = world.journal()[-2]
    assert (row.action, row.record) == ("application_key.rotate", first.id)
    now = world.clock()
    found = developers.standing(world.store, POLICY, proof, now=now).keys
    assert [(key.id, key.superseded_by, key.revoked_at) for key in found] == [
        (first.id, second.id, None),
        (second.id, None, None),
    ]
    ends = found[0].expires_at
    assert ends is not None
    assert now < ends <= now + 3_600
    later = developers.standing(world.store, POLICY, proof, now=ends).keys
    assert [key.id for key in later] == [second.id]
    third, _, _ = issue(world, proof, replace=60)
    assert len(developers.standing(world.store, POLICY, proof, now=now).keys) == 3
    fourth, _, _ = issue(world, proof, replace=0)
    assert [key.id for key in developers.standing(world.store, POLICY, proof, now=now).keys] == [
        fourth.id
    ]
    assert third.superseded_by is None


def test_there_are_only_so_many_keys(world, proof, monkeypatch):
    monkeypatch.setattr(developers, "MAX_KEYS", 2)
    for _ in range(2):
        issue(world, proof, world.user(world.owner.tenant_id))
    with pytest.raises(ConflictError, match="as many as"):
        issue(world, proof)


def test_a_withdrawal_for_one_user_is_noted_under_that_user(world, proof):
    n = developers.withdraw(world.store, proof, world.owner.user_id)[1]
    row = world.journal()[-1]
    assert (row.n, row.noun, row.record) == (n, str(Noun.USER), world.owner.user_id)
    assert row.tenant_id == world.owner.tenant_id
    assert developers.withdraw(world.store, proof, world.owner.user_id)[1] == n


def test_a_proof_prints_without_its_token(proof):
    assert proof.token not in repr(proof)


def test_without_a_provider_that_has_application_keys_there_are_none(world, proof):
    with pytest.raises(NotFoundError, match="application keys"):
        issue(world, proof, policy=compiled({}, 0))
