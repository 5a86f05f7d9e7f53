"""Signing keys in the store: one for each purpose, journaled, never in the clear."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.manage.journals import Journal
from tests.world import ACTOR

from latchgate.keyring.jwt import unseal_jwt
from latchgate.keyring.master import MasterKey, create
from latchgate.keyring.signing import Purpose, unseal
from latchgate.manage import signing_keys
from latchgate.store import schema

pytestmark = pytest.mark.both_databases


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
    # And of those whose signatures others check, the one that will sign next.
    wanted = [*(str(one) for one in Purpose), "oauth"]
    assert sorted(row.purpose for row in stored(journal)) == sorted(wanted)
    assert sorted(row.purpose for row in stored(journal) if row.begins_at is None) == ["oauth"]


def test_the_journal_has_the_public_half_only(journal):
    key = signing_keys.current(journal.store, Purpose.AUDIT)
    raw = journal.master.open(key.private, _about(key))
    everything = journal.database.read_bytes()
    everything += journal.database.with_name("latchgate.db-wal").read_bytes()
    assert raw not in everything
    rows = [one for one in _rows(journal) if one.action == "signing_key.create"]
    assert len(rows) == len(Purpose) + 1
    assert key.id in {row.record for row in rows}
    assert all('"public":' in row.detail and "private" not in row.detail for row in rows)


def test_a_replaced_key_is_retired_known_and_no_longer_signs(journal):
    before = {one: signing_keys.current(journal.store, one) for one in Purpose}
    ids = {row.id for row in stored(journal)}
    made = signing_keys.replace(journal.store, ACTOR, journal.master, entropy=secrets.token_bytes)
    now = {one: signing_keys.current(journal.store, one) for one in Purpose}
    assert not {key.id for key in before.values()} & {key.id for key in now.values()}
    assert not ids & {key.id for key in made}
    assert [key.purpose for key in made] == list(Purpose)
    for one in (Purpose.AUDIT, Purpose.TOKEN):
        assert now[one] in made
        assert unseal(now[one], journal.master).public == now[one].public
    retired = {row.id for row in signing_keys.listed(journal.store) if row.retired_at is not None}
    assert retired == {key.id for key in before.values()}


def test_a_key_for_tokens_that_others_check_is_published_before_it_signs(journal):
    store, entropy = journal.store, secrets.token_bytes
    signs = signing_keys.current(store, Purpose.OAUTH)
    published = [key_id for key_id, _ in signing_keys.published(store, Purpose.OAUTH, since=0.0)]
    assert len(published) == 2
    (following,) = set(published) - {signs.id}
    signing_keys.replace(store, ACTOR, journal.master, entropy=entropy)
    assert signing_keys.current(store, Purpose.OAUTH).id == following
    assert unseal_jwt(signing_keys.current(store, Purpose.OAUTH), journal.master).id == following
    later = [key_id for key_id, _ in signing_keys.published(store, Purpose.OAUTH, since=0.0)]
    assert set(published) < set(later)  # what was signed just before can still be checked
    assert len(later) == 3
    far = {one for one, _ in signing_keys.published(store, Purpose.OAUTH, since=float("inf"))}
    assert far == set(later) - {signs.id}


def test_a_next_key_under_a_master_key_that_was_lost_never_signs(journal):
    store, other = journal.store, MasterKey(secrets.token_bytes(32))
    before = {key_id for key_id, _ in signing_keys.published(store, Purpose.OAUTH, since=0.0)}
    signing_keys.replace(store, ACTOR, other, entropy=secrets.token_bytes)
    current = signing_keys.current(store, Purpose.OAUTH)
    assert current.id not in before
    assert unseal_jwt(current, other).id == current.id
    left = {
        key_id for key_id, _ in signing_keys.published(store, Purpose.OAUTH, since=float("inf"))
    }
    assert not left & before


def test_listed_keys_hold_no_private_half(journal):
    assert "private" not in signing_keys.listed(journal.store)[0]._fields


def _rows(journal):
    with journal.store.reading() as connection:
        return connection.execute(sa.select(schema.journal).order_by(schema.journal.c.n)).all()


def _about(key):
    from latchgate.keyring import signing

    return signing._about(key.id, key.purpose)


def test_a_master_key_that_fits_what_is_stored_is_told_from_others(journal):
    file = journal.master_file
    assert signing_keys.unusable(journal.store, file) is None
    file.unlink()
    assert "is not there" in signing_keys.unusable(journal.store, file)
    create(file, secrets.token_bytes)  # as on a node that made one of its own
    assert "does not open the signing key" in signing_keys.unusable(journal.store, file)
