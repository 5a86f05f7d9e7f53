"""Project tokens: one spelling of each, and every other text is refused or another token."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, NOW, request

from latchgate.core.kinds.project_token import MAX_LENGTH, ProjectToken, payload_of
from latchgate.core.model import Presented, Refused, Token
from latchgate.core.reason import Reason

KIND = ProjectToken.configured("kakaocloud.project_token", {"prefix": "kcpt"})
TOKEN = Token(
    id="0b5cXq3Jk1mP8vT2yWz4dA",
    credential_id="5f0c2b9d7e1a34680bd2c1f79a3e4d55",
    project_id="p-web",
    roles=("r-admin", "r-member"),
    issues=True,
    issued_at=NOW,
    expires_at=NOW + 43_200,
)
PAYLOAD, MESSAGE = payload_of(TOKEN)
KEY_ID, SIGNATURE = bytes(range(32)), bytes(64)
TEXT = KIND.spell(KEY_ID, SIGNATURE, PAYLOAD)


def claimed(text: str = TEXT) -> Presented:
    found = KIND.claim(text)
    assert isinstance(found, tuple)
    (presented,) = found
    return presented


def spelled(raw: bytes) -> str:
    return "kcpt_" + urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_what_is_spelled_is_read_back_unchanged():
    presented = claimed()
    assert presented.signed is not None
    assert presented.signed.token == TOKEN
    assert presented.signed.message == MESSAGE
    assert presented.signed.signature == SIGNATURE
    assert presented.credential_id == TOKEN.id
    assert len(presented.digest) == 32
    assert presented.password is None
    assert TEXT not in repr(presented)


def test_what_is_signed_is_of_its_own_domain():
    assert MESSAGE.endswith(PAYLOAD)
    assert MESSAGE.startswith(b"latchgate:project-token:1\0")


@FUZZ
@given(at=st.integers(0, len(TEXT) - 1), letter=st.sampled_from("Az09-_=+/ .é\u200b"))
def test_one_changed_character_is_refused_or_another_digest(at, letter):
    other = TEXT[:at] + letter + TEXT[at + 1 :]
    found = KIND.claim(other)
    if other == TEXT:
        return
    assert isinstance(found, Refused) or found[0].digest != claimed().digest


@FUZZ
@given(cut=st.integers(0, len(TEXT) - 1))
def test_cut_anywhere_it_is_refused(cut):
    found = KIND.claim(TEXT[:cut])
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_MALFORMED
    assert TEXT[5:25] not in found.detail


@pytest.mark.parametrize("more", ["A", "AAAA", "=", "==", "\n", " ", ".", "\0", "_"])
def test_extended_by_anything_it_is_refused(more):
    assert isinstance(KIND.claim(TEXT + more), Refused)


@pytest.mark.parametrize("size", range(3))
def test_base64_has_one_spelling(size):
    """The last character holds spare bits: another one there is the same bytes."""
    token = msgspec.structs.replace(TOKEN, project_id="p" * (size + 1))
    text = KIND.spell(KEY_ID, SIGNATURE, payload_of(token)[0])
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    digests = {claimed(text).digest}
    for letter in alphabet.replace(text[-1], ""):
        found = KIND.claim(text[:-1] + letter)
        if isinstance(found, tuple):
            assert found[0].signed != claimed(text).signed
            assert found[0].digest not in digests
            digests.add(found[0].digest)


def test_a_payload_that_says_the_same_in_other_bytes_is_refused():
    """MessagePack has several forms of a number and of a text."""
    fields = list(msgspec.msgpack.decode(PAYLOAD))
    assert msgspec.msgpack.encode(fields) == PAYLOAD
    longer = PAYLOAD.replace(b"\xb6" + TOKEN.id.encode(), b"\xd9\x16" + TOKEN.id.encode())
    assert longer != PAYLOAD
    assert msgspec.msgpack.decode(longer) == fields
    assert isinstance(KIND.claim(spelled(KEY_ID + SIGNATURE + longer)), Refused)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc0",
        msgspec.msgpack.encode({"id": "x"}),
        msgspec.msgpack.encode([*msgspec.msgpack.decode(PAYLOAD), "more"]),
        msgspec.msgpack.encode(msgspec.msgpack.decode(PAYLOAD)[:-1]),
        msgspec.msgpack.encode([1, *msgspec.msgpack.decode(PAYLOAD)[1:]]),
        PAYLOAD + b"\xc0",
        b"\x91" * 1_000,
    ],
)
def test_another_payload_is_refused(payload):
    assert isinstance(KIND.claim(spelled(KEY_ID + SIGNATURE + payload)), Refused)


@pytest.mark.parametrize("raw", [b"", KEY_ID, KEY_ID + SIGNATURE, (KEY_ID + SIGNATURE)[:-1]])
def test_too_short_is_refused(raw):
    assert isinstance(KIND.claim(spelled(raw)), Refused)


def test_too_long_is_refused_before_it_is_read():
    token = msgspec.structs.replace(TOKEN, roles=tuple(f"r-{n:08}" for n in range(400)))
    text = KIND.spell(KEY_ID, SIGNATURE, payload_of(token)[0])
    assert len(text) > MAX_LENGTH
    assert isinstance(KIND.claim(text), Refused)


def test_another_prefix_is_not_ours_and_ours_broken_is():
    def parse(text: str, **more):
        return KIND.parse(request(headers={"x-auth-token": text}, **more))

    assert parse(TEXT) == (claimed(),)
    for other in ("gAAAAABk" + TEXT, TEXT.upper(), "", "Bearer " + TEXT):
        assert parse(other) is None
    assert KIND.parse(request(headers={"authorization": f"Bearer {TEXT}"})) is None
    broken = parse("kcpt" + TEXT[5:])
    assert isinstance(broken, Refused)
    twice = parse(TEXT, repeated=["x-auth-token"])
    assert isinstance(twice, Refused)
    assert twice.reason is Reason.CREDENTIAL_REPEATED
    assert isinstance(parse(f"{TEXT}, {TEXT}"), Refused)


def test_a_leaked_one_is_masked_but_for_its_prefix():
    found = re.search(KIND.pattern, f"X-Auth-Token: {TEXT}\r\n")
    assert found is not None
    assert (found[0], found[1]) == (TEXT, "kcpt_")


def test_its_settings_have_defaults():
    assert (KIND.lifetime, KIND.identity_url, KIND.region) == (43_200, None, "kr-central-2")
    told = {"lifetime": "30m", "identity_url": "https://iam.example/identity/v3", "region": "r1"}
    other = ProjectToken.configured("x.project_token", {"prefix": "xy", **told})
    assert (other.lifetime, other.identity_url, other.region) == (
        1_800,
        "https://iam.example/identity/v3",
        "r1",
    )


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, "prefix"),
        ({"prefix": "K"}, "prefix"),
        ({"prefix": "kcpt", "lifetime": "soon"}, "lifetime"),
        ({"prefix": "kcpt", "lifetime": "8d"}, "lifetime"),
        ({"prefix": "kcpt", "identity_url": "iam.example"}, "identity_url"),
        ({"prefix": "kcpt", "identity_url": "https://iam.example/v3/"}, "identity_url"),
        ({"prefix": "kcpt", "region": "a b"}, "region"),
        ({"prefix": "kcpt", "colour": 1}, "colour"),
    ],
)
def test_a_wrong_setting_is_named(settings, where):
    with pytest.raises(msgspec.ValidationError, match=where):
        ProjectToken.configured("x.project_token", settings)
