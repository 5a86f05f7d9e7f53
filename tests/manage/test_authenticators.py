"""What people sign in with besides a password: bounded, each proof once, told in the journal."""

from __future__ import annotations

import base64
import secrets
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest
from tests.world import World

from latchgate.core.secret import Secret
from latchgate.keyring.master import MasterKey
from latchgate.manage import authenticators
from latchgate.manage.actor import Person
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor

pytestmark = pytest.mark.both_databases

NOW = 1_800_000_000.0
KEY = MasterKey(b"k" * 32)
SECRET = Secret(base64.b32encode(b"12345678901234567890").decode())


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


def person(world) -> Person:
    who = world.somebody()
    actor = Actor(f"user:{who.user_id} session:ses-1", who.tenant_id, None, "192.0.2.1")
    return Person(actor, who.tenant_id, who.user_id, "ses-1")


def add_app(world, who, *, name="phone", step=0) -> str:
    sealed = authenticators.seal(KEY, who.user_id, SECRET, secrets.token_bytes)
    return authenticators.add_app(
        world.store, who, name=name, sealed=sealed, step=step, entropy=secrets.token_bytes
    )


def add_passkey(world, who, handle: bytes, counter: int = 0) -> str:
    return authenticators.add_passkey(
        world.store,
        who,
        name="laptop",
        handle=handle,
        public=b"public",
        counter=counter,
        entropy=secrets.token_bytes,
    )


def test_a_secret_opens_for_its_user_alone():
    sealed = authenticators.seal(KEY, "u-1", SECRET, secrets.token_bytes)
    assert authenticators.unseal(KEY, "u-1", sealed).reveal() == SECRET.reveal()
    assert SECRET.reveal().encode() not in sealed
    with pytest.raises(ValueError, match="altered"):
        authenticators.unseal(KEY, "u-2", sealed)


def test_of_many_who_bring_the_same_code_one_is_let_in(world):
    who = person(world)
    add_app(world, who)
    code = pyotp.TOTP(SECRET.reveal()).at(NOW)
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(authenticators.use_app, world.store, KEY, who.user_id, code, now=NOW)
            for _ in range(8)
        ]
        assert sum(call.result() for call in calls) == 1


def test_of_many_who_bring_the_same_recovery_code_one_is_let_in(world):
    who = person(world)
    add_app(world, who)
    code = authenticators.new_codes(world.store, who, entropy=secrets.token_bytes)[0].reveal()
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(
                authenticators.use_code,
                world.store,
                who.user_id,
                who.tenant_id,
                code,
                address=None,
            )
            for _ in range(8)
        ]
        assert sum(call.result() for call in calls) == 1
    assert authenticators.factors(world.store, who.user_id).codes == 9


def test_a_code_is_no_other_users(world):
    who, other = person(world), person(world)
    add_app(world, who)
    add_app(world, other)
    codes = authenticators.new_codes(world.store, who, entropy=secrets.token_bytes)
    assert not authenticators.use_code(
        world.store, other.user_id, other.tenant_id, codes[0].reveal(), address=None
    )


def test_another_master_key_lets_no_code_in(world):
    who = person(world)
    add_app(world, who)
    code = pyotp.TOTP(SECRET.reveal()).at(NOW)
    other = MasterKey(b"o" * 32)
    assert not authenticators.use_app(world.store, other, who.user_id, code, now=NOW)


def test_a_passkey_is_of_one_user_and_its_counter_is_kept_once(world):
    who, other = person(world), person(world)
    add_passkey(world, who, b"one", 3)
    with pytest.raises(ConflictError):
        add_passkey(world, other, b"one")
    held = authenticators.passkey(world.store, b"one")
    assert held is not None
    assert (held.user_id, held.counter) == (who.user_id, 3)
    assert authenticators.use_passkey(world.store, held, counter=4, now=NOW)
    assert not authenticators.use_passkey(world.store, held, counter=4, now=NOW)
    assert authenticators.passkey(world.store, b"two") is None
    assert authenticators.passkey_handles(world.store, who.user_id) == [b"one"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "two\nlines", "nul\x00"])
def test_a_name_is_one_line(world, name):
    with pytest.raises(InvalidError, match="name"):
        add_app(world, person(world), name=name)


def test_there_are_so_many_at_most(world):
    who = person(world)
    for _ in range(authenticators.MAX_APPS):
        add_app(world, who)
    with pytest.raises(InvalidError, match="the most"):
        add_app(world, who)


def test_one_is_removed_by_its_user_alone(world):
    who, other = person(world), person(world)
    made = add_app(world, who)
    with pytest.raises(NotFoundError):
        authenticators.remove(world.store, other, made)
    assert authenticators.remove(world.store, who, made).name == "phone"
    assert authenticators.listed(world.store, who.user_id) == []


def test_the_journal_tells_what_was_added_and_by_whom_but_no_secret(world):
    who = person(world)
    made = add_app(world, who)
    codes = authenticators.new_codes(world.store, who, entropy=secrets.token_bytes)
    rows = [row for row in world.journal() if row.noun == "authenticator"]
    assert [(row.action, row.record) for row in rows] == [
        ("authenticator.create", made),
        ("recovery.create", who.user_id),
    ]
    assert {row.actor for row in rows} == {who.actor.name}
    assert {row.address for row in rows} == {"192.0.2.1"}
    told = repr([tuple(row) for row in rows])
    assert SECRET.reveal() not in told
    assert codes[0].reveal() not in told
