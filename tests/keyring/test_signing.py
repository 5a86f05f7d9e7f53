"""Ed25519 keys: known vectors, sealed and opened, and every way to alter one."""

from __future__ import annotations

import dataclasses
import pickle
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from latchgate.keyring.errors import KeyringError
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import (
    Purpose,
    SealedKey,
    Signer,
    draw,
    read,
    signed,
    spell,
    thumbprint,
    unseal,
)

MASTER = MasterKey(bytes(range(32)))
# RFC 8032 §7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def drawn() -> SealedKey:
    return draw(Purpose.AUDIT, MASTER, secrets.token_bytes)


def test_signatures_are_those_of_rfc_8032():
    signer = Signer("x", Ed25519PrivateKey.from_private_bytes(SEED))
    assert signer.public == PUBLIC
    assert signer.sign(b"\x72") == SIGNATURE
    assert signed(PUBLIC, b"\x72", SIGNATURE)


def test_a_thumbprint_is_that_of_rfc_8037():
    public = read("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", 32)
    assert thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_drawn_key_opens_and_signs():
    key = drawn()
    signer = unseal(key, MASTER)
    assert (
        (signer.id, signer.public) == (key.id, key.public) == (thumbprint(key.public), key.public)
    )
    assert signed(key.public, b"message", signer.sign(b"message"))


def test_no_other_message_signature_or_key_holds():
    signer = unseal(drawn(), MASTER)
    signature = signer.sign(b"message")
    assert not signed(signer.public, b"messagf", signature)
    assert not signed(drawn().public, b"message", signature)
    assert not signed(b"short", b"message", signature)
    assert not signed(signer.public, b"message", signature[:-1])
    for at in range(len(signature)):
        broken = bytearray(signature)
        broken[at] ^= 1
        assert not signed(signer.public, b"message", bytes(broken))


def test_another_master_key_opens_nothing_and_says_what_goes_on():
    with pytest.raises(KeyringError, match=r"it is another one .* decided as before"):
        unseal(drawn(), MasterKey(bytes(32)))


@pytest.mark.parametrize("field", ["id", "public", "private"])
def test_a_stored_key_with_another_ones_column_is_refused(field):
    altered = dataclasses.replace(drawn(), **{field: getattr(drawn(), field)})
    with pytest.raises(KeyringError, match="altered"):
        unseal(altered, MASTER)


def test_no_private_half_is_printed_or_pickled():
    key = drawn()
    signer = unseal(key, MASTER)
    assert repr(signer) == f"Signer({key.id})"
    with pytest.raises(TypeError):
        pickle.dumps(signer)


def test_base64url_has_one_spelling():
    assert read(spell(b"\xfb\xff" * 16), 32) == b"\xfb\xff" * 16
    for text in ("", "A" * 42, "A" * 44, "A" * 43 + "=", "A" * 42 + "B", "+" * 43, "ä" * 43, "A\n"):
        with pytest.raises(ValueError, match="base64url"):
            read(text, 32)
