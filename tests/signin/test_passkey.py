"""Passkeys: an authenticator made of a key, right once and then wrong in each way there is."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.webauthn import Aaguid, AttestedCredentialData

from latchgate.signin import passkey
from latchgate.signin.passkey import Party, PasskeyError

PARTY = Party("https://login.example.com", "login.example.com")
CHALLENGE = b"c" * passkey.CHALLENGE_BYTES
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def spelled(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Authenticator:
    """What a phone does, with every part of it to be altered by a test."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    handle: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    counter: int = 0

    @property
    def public(self) -> bytes:
        cose = ES256.from_cryptography_key(self.key.public_key())
        return bytes(AttestedCredentialData.create(Aaguid.NONE, self.handle, cose))

    def data(self, flags: int, *, party: str = PARTY.id, more: bytes = b"") -> bytes:
        hashed = hashlib.sha256(party.encode()).digest()
        return hashed + bytes([flags]) + self.counter.to_bytes(4, "big") + more

    def create(
        self, *, flags: int = PRESENT | VERIFIED | ATTESTED, party: str = PARTY.id, **told
    ) -> str:
        client = client_data(type="webauthn.create", **told)
        data = self.data(flags, party=party, more=self.public)
        attested = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        return self.answer(clientDataJSON=client, attestationObject=attested)

    def get(
        self,
        *,
        flags: int = PRESENT | VERIFIED,
        party: str = PARTY.id,
        user: bytes = b"u-1",
        key: ec.EllipticCurvePrivateKey | None = None,
        **told,
    ) -> str:
        client = client_data(type=told.pop("type", "webauthn.get"), **told)
        data = self.data(flags, party=party)
        signed = (key or self.key).sign(
            data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256())
        )
        return self.answer(
            clientDataJSON=client, authenticatorData=data, signature=signed, userHandle=user
        )

    def answer(self, **response: bytes) -> str:
        told = {name: spelled(raw) for name, raw in response.items()}
        named = {"id": spelled(self.handle), "rawId": spelled(self.handle), "type": "public-key"}
        return json.dumps(named | {"clientExtensionResults": {}, "response": told})


def client_data(**told) -> bytes:
    usual = {"challenge": spelled(CHALLENGE), "origin": PARTY.origin, "crossOrigin": False}
    return json.dumps(usual | told).encode()


def prove(device: Authenticator, text: str, *, counter: int = 0) -> int:
    told = passkey.answer(text)
    return passkey.proven(PARTY, told, public=device.public, counter=counter, challenge=CHALLENGE)


def test_what_a_browser_made_is_kept_and_signs_in():
    device = Authenticator()
    made = passkey.made(PARTY, device.create(), challenge=CHALLENGE)
    assert (made.handle, made.counter) == (device.handle, 0)
    assert made.public == device.public
    told = passkey.answer(device.get())
    assert (told.handle, told.user_id) == (device.handle, "u-1")
    assert passkey.proven(PARTY, told, public=made.public, counter=0, challenge=CHALLENGE) == 0


WRONG = {
    "of another origin": {"origin": "https://evil.example"},
    "of the origin in the clear": {"origin": "http://login.example.com"},
    "of another port": {"origin": "https://login.example.com:8443"},
    "of a name below": {"origin": "https://a.login.example.com"},
    "of another challenge": {"challenge": spelled(b"d" * 32)},
    "of no challenge": {"challenge": ""},
    "in another site's frame": {"crossOrigin": True},
    "for another party": {"party": "example.com"},
    "by nobody present": {"flags": VERIFIED},
    "by nobody verified": {"flags": PRESENT},
}


@pytest.mark.parametrize("told", WRONG.values(), ids=WRONG)
def test_what_proves_nothing_signs_nobody_in(told):
    device = Authenticator()
    with pytest.raises(PasskeyError):
        prove(device, device.get(**told))


@pytest.mark.parametrize("told", WRONG.values(), ids=WRONG)
def test_what_proves_nothing_is_not_kept(told):
    altered = dict(told)
    if "flags" in altered:
        altered["flags"] |= ATTESTED
    with pytest.raises(PasskeyError):
        passkey.made(PARTY, Authenticator().create(**altered), challenge=CHALLENGE)


def test_another_key_or_another_act_is_refused():
    device = Authenticator()
    with pytest.raises(PasskeyError):
        prove(device, device.get(key=ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(PasskeyError):
        prove(device, device.get(type="webauthn.create"))
    with pytest.raises(PasskeyError):
        passkey.made(PARTY, device.get(), challenge=CHALLENGE)
    with pytest.raises(PasskeyError):
        passkey.answer(device.create())


@pytest.mark.parametrize(
    ("before", "now", "right"),
    [(0, 0, True), (0, 1, True), (5, 6, True), (5, 5, False), (5, 4, False), (5, 0, False)],
)
def test_a_counter_that_does_not_rise_is_of_a_copy(before, now, right):
    device = Authenticator(counter=now)
    if right:
        assert prove(device, device.get(), counter=before) == now
    else:
        with pytest.raises(PasskeyError, match="copy"):
            prove(device, device.get(), counter=before)


def test_a_browser_is_asked_for_a_discoverable_passkey_of_a_verified_user():
    asked = json.loads(
        passkey.creation(
            PARTY, user_id="u-1", login="ann", name="ann", known=[b"one"], challenge=CHALLENGE
        )
    )["publicKey"]
    assert asked["rp"]["id"] == PARTY.id
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert [one["id"] for one in asked["excludeCredentials"]] == [spelled(b"one")]
    told = json.loads(passkey.request(PARTY, challenge=CHALLENGE))["publicKey"]
    assert (told["rpId"], told["userVerification"]) == (PARTY.id, "required")
    assert "allowCredentials" not in told


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"rawId": 1}', "{" * 10_000])
def test_what_is_no_answer_is_refused(text):
    with pytest.raises(PasskeyError):
        passkey.answer(text)
    with pytest.raises(PasskeyError):
        passkey.made(PARTY, text, challenge=CHALLENGE)
