"""Signing keys in the store: one for each purpose, journaled, never in the clear."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.manage.journals import Journal
from tests.world import ACTOR

from latchgate.keyring.signing import Purpose, unseal
from latchgate.manage import signing_keys
from latchgate.store import schema


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    yield made
    made.close()


def stored(journal):
    with journal.store.reading() as connection:
        return connection.execute(sa.select(schema.signing_key)).all()


def test_a_purpose_gets_one_key_and_keeps_it(journal):
    again = signing_keys.ensure(journal.store, ACTOR, journal.master, entropy=secrets.token_bytes)
    assert again == []
    assert [row.purpose for row in stored(journal)] == [str(one) for one in Purpose]


def test_the_journal_has_the_public_half_only(journal):
    key = signing_keys.current(journal.store, Purpose.AUDIT)
    raw = journal.master.open(key.private, _about(key))
    everything = journal.database.read_bytes()
    everything += journal.database.with_name("latchgate.db-wal").read_bytes()
    assert raw not in everything
    rows = [one for one in _rows(journal) if one.action == "signing_key.create"]
    assert len(rows) == len(Purpose)
    assert key.id in {row.record for row in rows}
    assert all('"public":' in row.detail and "private" not in row.detail for row in rows)


def test_a_replaced_key_is_retired_known_and_no_longer_signs(journal):
    before = [signing_keys.current(journal.store, one) for one in Purpose]
    made = signing_keys.replace(journal.store, ACTOR, journal.master, entropy=secrets.token_bytes)
    assert [signing_keys.current(journal.store, one) for one in Purpose] == made
    assert not {key.id for key in before} & {key.id for key in made}
    retired = {row.id: row.retired_at is not None for row in signing_keys.listed(journal.store)}
    assert retired == {key.id: key in before for key in (*before, *made)}
    assert all(unseal(key, journal.master).public == key.public for key in made)
    actions = [row.action for row in _rows(journal)][-2 * len(made) :]
    assert actions == ["signing_key.retire"] * len(made) + ["signing_key.create"] * len(made)


def test_listed_keys_hold_no_private_half(journal):
    assert "private" not in signing_keys.listed(journal.store)[0]._fields


def _rows(journal):
    with journal.store.reading() as connection:
        return connection.execute(sa.select(schema.journal).order_by(schema.journal.c.n)).all()


def _about(key):
    from latchgate.keyring import signing

    return signing._about(key.id, key.purpose)
