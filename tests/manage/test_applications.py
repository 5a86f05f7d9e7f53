"""Requests for applications and what the operator decides of them."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.minting import client, with_issuer
from tests.world import FILES

from latchgate.core.secret import checksum
from latchgate.manage import applications, developers
from latchgate.manage.applications import ApplicationSpec, Review, State, Verb
from latchgate.manage.developers import Proof
from latchgate.manage.errors import TooManyError
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

GOOD = {
    "name": "Sync",
    "vendor": "Example",
    "contact": "a@example.com",
    "purpose": "Quotas.\nAnd files.",
    "developer": "corporation",
}


def ask(world):
    spec = msgspec.convert(GOOD, ApplicationSpec)
    return applications.request(world.store, spec, address=None, entropy=secrets.token_bytes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "two\nlines"),
        ("name", "   "),
        ("name", "x" * 121),
        ("vendor", "\x1b[31m"),
        ("contact", "nobody"),
        ("contact", "a@b@example.com"),
        ("contact", "a@example.com,b@example.com"),
        ("contact", "a b@example.com"),
        ("contact", "a@example.com\n"),
        ("purpose", ""),
        ("purpose", "x" * 2_001),
        ("purpose", "a\0b"),
        ("developer", "somebody"),
    ],
)
def test_what_can_not_be_taken_is_refused_by_field(field, value):
    with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
        msgspec.convert(GOOD | {field: value}, ApplicationSpec)


def test_a_token_is_random_checksummed_and_stored_as_a_digest_only(world):
    (one, first), (_, second) = ask(world), ask(world)
    text = first.reveal()
    assert text != second.reveal()
    assert text[-8:] == checksum(text[:-8])
    assert text not in repr(one) + repr(first)
    assert text not in "".join(row.detail for row in world.journal())
    assert "owner_digest" not in world.journal()[-1].detail


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", State)
def test_a_decision_leads_only_where_the_table_says(world, state, verb):
    import sqlalchemy as sa

    from latchgate.core.model import Noun
    from latchgate.store import schema

    made, _ = ask(world)
    table = schema.application
    world.change(
        Noun.APPLICATION,
        made.id,
        sa.update(table).where(table.c.id == made.id).values(state=str(state)),
    )
    caller = world.acting(world.admin)
    before_states, after = applications._MOVES[verb]
    before = world.head()
    if state == after:
        found, n = applications.decide(world.store, caller, made.id, verb, "again")
        assert (found.reason, n) == ("", before)
    elif state in before_states:
        found, n = applications.decide(world.store, caller, made.id, verb, "why")
        assert (found.state, found.reason, n) == (after, "why", before + 1)
        assert world.journal()[-1].action == f"application.{verb}"
    else:
        with pytest.raises(ConflictError):
            applications.decide(world.store, caller, made.id, verb, "why")
        assert world.head() == before


def test_more_requests_than_anybody_reads_are_not_kept(world, monkeypatch):
    monkeypatch.setattr(applications, "MAX_UNDECIDED", 2)
    made = [ask(world)[0] for _ in range(2)]
    with pytest.raises(TooManyError):
        ask(world)
    caller = world.acting(world.admin)
    applications.decide(world.store, caller, made[0].id, Verb.REFUSE, "no")
    ask(world)


def test_a_reason_is_needed():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"reason": ""}, Review)


def test_what_can_be_decided_follows_from_the_state():
    told = {state: set(applications.decidable(state)) for state in State}
    assert told == {
        State.REQUESTED: {Verb.APPROVE, Verb.REFUSE},
        State.REFUSED: {Verb.APPROVE},
        State.APPROVED: {Verb.SUSPEND},
        State.SUSPENDED: {Verb.REINSTATE},
        State.WITHDRAWN: set(),
    }


def test_the_operator_sees_the_keys_that_stand_but_no_secret_of_a_client(world):
    policy = with_issuer(FILES, 1)
    made, token = ask(world)
    applications.decide(world.store, world.acting(world.admin), made.id, Verb.APPROVE, "yes")
    client(world, policy, application_id=made.id)
    proof = Proof(made.id, token.reveal(), None)
    entropy = secrets.token_bytes
    developers.issue_key(world.store, policy, proof, None, replace=None, entropy=entropy)
    key, _, _ = developers.issue_key(world.store, policy, proof, None, replace=0, entropy=entropy)
    now = world.clock()
    assert applications.keys(world.store, policy, made.id, now=now) == [key]
