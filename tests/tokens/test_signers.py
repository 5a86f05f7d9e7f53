"""The opened signing key: opened once, followed when it is replaced, refused when there is none."""

from __future__ import annotations

import secrets
import threading

import pytest

from latchgate.keyring.errors import KeyringError
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, draw, unseal
from latchgate.tokens.signers import Signers

MASTER = MasterKey(bytes(range(32)))


class Keys:
    """What a store and a keyring would answer, and how often they were asked."""

    def __init__(self):
        self.key = draw(Purpose.TOKEN, MASTER, secrets.token_bytes)
        self.gone = False
        self.master = MASTER
        self.position = 1
        self.read = self.opened = 0

    def current(self):
        self.read += 1
        if self.gone:
            raise KeyringError("there is no signing key")
        return self.key

    def load(self):
        self.opened += 1
        return self.master

    def signers(self):
        return Signers(
            current=self.current, load=self.load, unseal=unseal, position=lambda: self.position
        )


def test_a_key_is_read_and_opened_once_while_nothing_changes():
    keys = Keys()
    signers = keys.signers()
    assert {signers.signer().id for _ in range(5)} == {keys.key.id}
    assert (keys.read, keys.opened) == (1, 1)


def test_after_any_change_it_is_read_again_and_opened_only_where_it_is_another():
    keys = Keys()
    signers = keys.signers()
    assert signers.ready() is None
    first = signers.signer()
    assert signers.ready() is first
    keys.position = 2
    assert signers.ready() is None
    assert signers.signer() is first
    assert (keys.read, keys.opened) == (2, 1)
    keys.key, keys.position = draw(Purpose.TOKEN, MASTER, secrets.token_bytes), 3
    assert signers.signer().id == keys.key.id
    assert (keys.read, keys.opened) == (3, 2)


def test_it_is_ready_without_reading_until_something_changes():
    keys = Keys()
    signers = keys.signers()
    assert signers.ready() is None
    first = signers.signer()
    assert signers.ready() is first
    keys.position = 2
    assert signers.ready() is None
    assert keys.read == 1


def test_without_a_key_or_with_another_master_key_nothing_is_signed():
    keys = Keys()
    signers = keys.signers()
    keys.master = MasterKey(bytes(32))
    with pytest.raises(KeyringError, match="master key"):
        signers.signer()
    keys.master = MASTER
    assert signers.signer().id == keys.key.id
    keys.gone, keys.position = True, 2
    with pytest.raises(KeyringError, match="no signing key"):
        signers.signer()


def test_many_threads_open_it_once():
    keys = Keys()
    signers = keys.signers()
    together, told = threading.Barrier(8), []

    def ask():
        together.wait(30)
        told.append(signers.signer())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(told) == 8
    assert len({id(one) for one in told}) == 1
    assert keys.opened == 1
