"""Partners' keys: read as GitHub lists them, and nothing else is one."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from latchgate.signin.jwks import FetchError
from latchgate.signin.partners import Partners, Signer, read_keys

KEY = ec.generate_private_key(ec.SECP256R1())
WIDER = ec.generate_private_key(ec.SECP384R1())
URL = "https://partner.example/keys"


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def document(*pairs):
    listed = [{"key_identifier": name, "key": text, "is_current": False} for name, text in pairs]
    return json.dumps({"public_keys": listed, "more": 1}).encode()


def test_keys_on_p256_are_read_and_every_other_is_left_out():
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    others = [
        ("wider", pem(WIDER)),
        ("edwards", pem(ed25519.Ed25519PrivateKey.generate())),
        ("private", private),
        ("text", "no key"),
        ("", ""),
    ]
    read = read_keys(document(("good", pem(KEY)), *others))
    assert [key.id for key in read] == ["good"]


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"public_keys": [1]}', b'{"public_keys": {}}', b"\xff", b"[" * 99_999],
    ids=range(7),
)
def test_what_is_no_list_of_keys_is_refused(text):
    with pytest.raises(ValueError, match="no list"):
        read_keys(text)


class World:
    """A partner at an address whose answer can be changed, and a clock that stands still."""

    def __init__(self):
        self.answer = document(("a", pem(KEY)))
        self.fetched = 0
        self.partners = Partners([Signer("p", URL)], fetch=self.fetch, ticks=lambda: 1_000.0)

    def fetch(self, address):
        assert address == URL
        self.fetched += 1
        if self.answer is None:
            raise FetchError("nobody answers")
        return self.answer

    def asks(self, key_id="a", body=b"x", *, key=KEY, algorithm=None, signature=None):
        made = key.sign(body, ec.ECDSA(algorithm or SHA256()))
        text = base64.b64encode(made).decode() if signature is None else signature
        return asyncio.run(self.partners.signed_by(key_id, text, body))


@pytest.fixture
def partner():
    made = World()
    yield made
    made.partners.close()


def test_keys_are_fetched_once_and_few_times_for_ids_that_are_made_up(partner):
    assert [partner.asks() for _ in range(5)] == ["p"] * 5
    assert partner.fetched == 1
    assert [partner.asks(f"made up {number}") for number in range(20)] == [None] * 20
    assert partner.fetched == 2
    assert partner.asks() == "p"


def test_only_sha256_and_this_very_body_count(partner):
    assert partner.asks(algorithm=SHA384()) is None
    assert partner.asks(key=WIDER) is None
    right = base64.b64encode(KEY.sign(b"x", ec.ECDSA(SHA256()))).decode()
    assert partner.asks(signature=right) == "p"
    assert partner.asks(body=b"y", signature=right) is None
    for wrong in ("", "=", right + "\n", right[:-4], "ü", "A" * 300):
        assert partner.asks(signature=wrong) is None


def test_nobody_is_believed_while_keys_cant_be_had(partner):
    partner.answer = None
    assert partner.asks() is None
