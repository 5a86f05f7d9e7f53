"""Where what checks signatures is not installed, no token is taken for signed."""

from __future__ import annotations

import secrets
import sys

import pytest

from latchgate.core.model import SigningKey
from latchgate.keyring.jwt import unseal_jwt
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, draw, read
from latchgate.verify.signature import is_signed

MASTER = MasterKey(bytes(range(32)))
SEALED = draw(Purpose.OAUTH, MASTER, secrets.token_bytes)
TEXT = unseal_jwt(SEALED, MASTER).sign({"sub": "u"}, typ="at+jwt")
MESSAGE, _, MARK = TEXT.rpartition(".")
KEY = SigningKey(SEALED.id, str(Purpose.OAUTH), SEALED.public, None)


def test_what_was_signed_is():
    assert is_signed(KEY, MESSAGE.encode(), read(MARK, 64))
    assert not is_signed(KEY, MESSAGE.encode() + b"x", read(MARK, 64))


@pytest.mark.parametrize("purpose", [Purpose.TOKEN, Purpose.AUDIT])
def test_d6_51_a_key_for_something_else_signs_no_access_token(purpose):
    other = SigningKey(SEALED.id, str(purpose), SEALED.public, None)
    assert not is_signed(other, MESSAGE.encode(), read(MARK, 64))


@pytest.mark.parametrize("module", ["latchgate.keyring.jwt", "latchgate.keyring.signing"])
def test_d6_51_without_the_library_nothing_is_signed(module, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, module, None)
    assert not is_signed(KEY, MESSAGE.encode(), read(MARK, 64))
    assert "install latchgate[server]" in caplog.text
