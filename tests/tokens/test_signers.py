"""The opened signing key: opened once, and again only when it may have been replaced."""

from __future__ import annotations

import secrets

import pytest

from latchgate.keyring.errors import KeyringError
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, draw
from latchgate.tokens.signers import Signers

MASTER = MasterKey(bytes(32))


class Kept:
    """A store of one key, the journal's position, and how often either was asked for."""

    def __init__(self):
        self.key = draw(Purpose.TOKEN, MASTER, secrets.token_bytes)
        self.position = 1
        self.read = 0
        self.opened = 0
        self.signers = Signers(
            current=self._current, load=self._load, position=lambda: self.position
        )

    def _current(self):
        self.read += 1
        return self.key

    def _load(self):
        self.opened += 1
        return MASTER


def test_while_nothing_changes_the_key_is_neither_read_nor_opened_again():
    kept = Kept()
    assert kept.signers.ready() is None
    first = kept.signers.signer()
    assert kept.signers.ready() is first
    assert kept.signers.signer() is first
    assert (kept.read, kept.opened) == (1, 1)


def test_after_a_change_it_is_looked_for_anew_and_opened_only_if_it_is_another():
    kept = Kept()
    first = kept.signers.signer()
    kept.position = 2
    assert kept.signers.ready() is None
    assert kept.signers.signer() is first
    assert (kept.read, kept.opened) == (2, 1)
    kept.position, kept.key = 3, draw(Purpose.TOKEN, MASTER, secrets.token_bytes)
    assert kept.signers.signer().id == kept.key.id != first.id
    assert (kept.read, kept.opened) == (3, 2)


def test_a_key_that_another_master_key_sealed_is_not_opened():
    kept = Kept()
    kept.key = draw(Purpose.TOKEN, MasterKey(bytes(31) + b"x"), secrets.token_bytes)
    with pytest.raises(KeyringError):
        kept.signers.signer()
    assert kept.signers.ready() is None
