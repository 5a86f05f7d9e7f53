from __future__ import annotations

import hashlib
import re
import zlib

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, bearer, entropy, request, service_key

from latchgate.core.kinds.service_key import ENTROPY_BYTES, ServiceKey, foreign_digest
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Presented, Refused
from latchgate.core.reason import Reason
from latchgate.core.redact import MASK, redactor
from latchgate.core.secret import BASE62, CROCKFORD_LOWER, digest

KIND = ServiceKey.configured("w.service_key", {"brand": "wayscloud", "key_header": "X-API-Key"})
BEARER_ONLY = ServiceKey.configured("b.service_key", {"brand": "wayscloud"})
NEW = service_key(KIND).secret.reveal()
MISTYPED = NEW[:-1] + ("0" if NEW[-1] != "0" else "1")
OTHER = service_key(KIND, seed=2).secret.reveal()
DOCUMENTED = "wayscloud_storage_abc123_XyZ789SecretKey"


def parsed(headers, repeated=(), kind=KIND):
    return kind.parse(request(headers=headers, repeated=repeated))


def reason(found):
    return found.reason if isinstance(found, Refused) else found


def test_a_new_key_is_spelled_as_the_provider_documents_it():
    assert re.fullmatch(
        rf"wayscloud_storage_[{CROCKFORD_LOWER}]{{12}}_[0-9A-Za-z]{{26}}[0-9a-f]{{8}}", NEW
    )


def test_its_parts_are_drawn_from_separate_entropy_as_the_format_says():
    def spelled(number: int, alphabet: str, length: int) -> str:
        return "".join(
            alphabet[number // len(alphabet) ** place % len(alphabet)]
            for place in reversed(range(length))
        )

    for seed in range(50):
        drawn = entropy(seed, ENTROPY_BYTES)
        public = spelled(int.from_bytes(drawn[:17], "big") % 32**12, CROCKFORD_LOWER, 12)
        secret = spelled(int.from_bytes(drawn[17:], "big") % 62**26, BASE62, 26)
        body = f"wayscloud_storage_{public}_{secret}"
        issued = KIND.issue(Spec(service="storage"), drawn)
        assert issued.id == public
        assert issued.secret.reveal() == f"{body}{zlib.crc32(body.encode()):08x}"
        assert issued.hint == f"wayscloud_storage_{public}_…"


@pytest.mark.parametrize("service", ["storage", "llm", "database", "dns", "gpu", "a-b-2"])
def test_a_key_of_every_service_is_read_whatever_the_service_is_called(service):
    issued = service_key(KIND, service=service)
    assert f"wayscloud_{service}_" in issued.secret.reveal()
    assert parsed(bearer(issued.secret.reveal())) == (
        Presented(KIND.name, issued.id, issued.digest),
    )


def test_the_service_in_the_text_is_covered_by_the_digest_so_it_cannot_be_swapped():
    body = NEW[:-8].replace("_storage_", "_database_")
    respelled = f"{body}{zlib.crc32(body.encode()):08x}"
    (claimed,) = parsed(bearer(respelled))
    assert claimed.credential_id == service_key(KIND).id
    assert claimed.digest != service_key(KIND).digest


def test_one_wrong_character_of_a_new_key_is_told_without_any_look_up():
    start = NEW.rindex("_") + 1
    for at in range(start, len(NEW)):
        for character in BASE62:
            if character != NEW[at]:
                found = parsed(bearer(NEW[:at] + character + NEW[at + 1 :]))
                assert reason(found) is Reason.CREDENTIAL_MALFORMED, (at, character)
                assert "checksum" in found.detail


@pytest.mark.parametrize(
    ("text", "public_id"),
    [
        (DOCUMENTED, "abc123"),
        ("wayscloud_llm_xyz789_YourSecretKey", "xyz789"),
        ("wayscloud_database_def456_YourSecretKey", "def456"),
        ("wayscloud_storage_abc123_Your_Secret_Key", "abc123"),
        ("wayscloud_storage_abc123__", "abc123"),
        ("wayscloud_storage_abc123_" + "_" * 20, "abc123"),
        ("wayscloud_pat_2xK9mPq4Lz_" + "q" * 56, "2xK9mPq4Lz"),
    ],
)
def test_keys_of_every_documented_shape_are_read(text, public_id):
    others = tuple(
        foreign_digest(name, hashlib.new(name, text.encode()).hexdigest())
        for name in ("sha256", "sha512")
    )
    expected = Presented(KIND.name, public_id, digest("service_key", text), others=others)
    assert parsed(bearer(text)) == (expected,)
    assert parsed({"x-api-key": text}) == (expected,)


def test_d5_35_an_id_ends_at_its_first_underscore_so_none_can_reach_into_the_secret():
    (one,) = parsed(bearer("wayscloud_storage_ab_cd_secret"))
    (other,) = parsed(bearer("wayscloud_storage_ab_cdsecret"))
    assert one.credential_id == other.credential_id == "ab"
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (NEW, "the scheme is missing"),
        (f" {NEW}", "the scheme is missing"),
        (f"bearer {NEW}", "must be spelled Bearer"),
        (f"BEARER {NEW}", "must be spelled Bearer"),
        (f"bEARER {NEW}", "must be spelled Bearer"),
        (f"Bearer  {NEW}", "extra spaces"),
        (f"Bearer\t{NEW}", "exactly one space"),
        (f"Bearer{NEW}", "exactly one space"),
        (f"Bearer {NEW} ", "no key has|extra spaces"),
        (f"Bearer {NEW}\t", "no key has|extra spaces"),
        (f" Bearer {NEW}", "the scheme is missing|extra spaces"),
        (f"Bearer {NEW[:20]} {NEW[20:]}", "no key has|extra spaces"),
        (f"Bearer Bearer {NEW}", "extra spaces"),
        (f"Bearer: {NEW}", "exactly one space"),
        (f"Bearer={NEW}", "exactly one space"),
        (f"Token {NEW}", "the scheme is missing"),
        (f"Basic {NEW}", "the scheme is missing"),
        (f"ApiKey {NEW}", "the scheme is missing"),
        (f'Bearer "{NEW}"', "is written wayscloud_SERVICE_ID_SECRET"),
        (f"Bearer {NEW}, Bearer {OTHER}", "no key has|extra spaces"),
        (f"Bearer {NEW},{OTHER}", "no key has"),
        (f"Bearer -{NEW}", "is written"),
        (f"Bearer {NEW.replace('_storage', '')}", "is written"),
        ("Bearer wayscloud_", "is written"),
        ("Bearer wayscloud_storage", "is written"),
        ("Bearer wayscloud_storage_abc123", "is written"),
        ("Bearer wayscloud_storage_abc123_", "is written"),
        ("Bearer wayscloud__abc123_secret", "is written"),
        ("Bearer wayscloud_storage__secret", "is written"),
        ("Bearer wayscloud_storage_abc123_se cret", "no key has|extra spaces"),
        ("Bearer wayscloud_storage_abc123_secret\u00e9", "no key has"),
        ("Bearer wayscloud_storage_abc123_secret%20", "no key has"),
        ("Bearer wayscloud_storage_abc123_" + "s" * 500, "longer than 512"),
        (" ", "the scheme is missing"),
        (" Basic YTpi", "the scheme is missing"),
        ("Bearer \u00e9bc", "is written"),
        ("Bearer", "exactly one space"),
        ("Bearer ", "is written|extra spaces"),
        ("bearer", "must be spelled Bearer"),
        ("bearer ", "must be spelled Bearer"),
    ],
)
def test_what_is_ours_but_broken_is_refused_with_what_is_wrong(value, told):
    for kind in (KIND, BEARER_ONLY):
        found = parsed({"authorization": value}, kind=kind)
        assert reason(found) is Reason.CREDENTIAL_MALFORMED
        assert re.search(told, found.detail)
        assert NEW[-30:] not in found.detail


def test_a_text_longer_than_any_key_is_refused_whatever_its_shape_and_checksum():
    body = f"wayscloud_{'s' * 600}_{NEW.split('_', 2)[2][:-8]}"
    found = parsed(bearer(f"{body}{zlib.crc32(body.encode()):08x}"))
    assert reason(found) is Reason.CREDENTIAL_MALFORMED


def test_a_text_is_read_up_to_its_longest_and_no_further():
    longest = "wayscloud_storage_abc123_" + "s" * (512 - 25)
    assert isinstance(parsed(bearer(longest)), tuple)
    assert reason(parsed(bearer(f"{longest}s"))) is Reason.CREDENTIAL_MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        "Basic YWRhOnBhc3N3b3Jk",
        "Bearer wayscloud2_storage_abc123_secretsecret",
        "Bearer Wayscloud_storage_abc123_secretsecret",
        "Bearer WAYSCLOUD_STORAGE_ABC123_SECRETSECRET",
        "Bearer wayscloudx_storage_abc123_secretsecret",
        "Bearer wayscloud-storage-abc123-secretsecret",
        "Bearer ways",
        f"Bearer my{NEW}",
        "Bearer ucat_01DQE3AJDEBFEKECFM558TGH2F",
        "Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln",
        "Digest username=ada",
        "Negotiate abc==",
    ],
)
def test_what_is_another_kinds_is_left_to_it(value):
    assert parsed({"authorization": value}) is None


def test_without_any_header_nothing_is_claimed():
    assert parsed({}) is None
    assert parsed({"cookie": f"key={NEW}", "x-auth-token": NEW}) is None


@pytest.mark.parametrize("value", [NEW + " ", " " + NEW, f"Bearer {NEW}", MISTYPED, f"'{NEW}'"])
def test_a_broken_key_in_the_key_header_is_refused(value):
    assert reason(parsed({"x-api-key": value})) is Reason.CREDENTIAL_MALFORMED


@pytest.mark.parametrize("value", ["", " ", "x", "wayscloud2_a_b_c", f"x{NEW}", "Basic YTpi"])
def test_what_else_stands_in_the_key_header_is_left_to_other_kinds(value):
    assert parsed({"x-api-key": value}) is None


def test_a_kind_without_a_key_header_does_not_look_at_one():
    assert parsed({"x-api-key": NEW}, kind=BEARER_ONLY) is None
    alone = parsed(bearer(OTHER), kind=BEARER_ONLY)
    assert parsed({**bearer(OTHER), "x-api-key": NEW}, kind=BEARER_ONLY) == alone


def test_the_same_key_in_both_headers_counts_once_and_two_keys_twice():
    assert parsed({**bearer(NEW), "x-api-key": NEW}) == parsed(bearer(NEW))
    both = parsed({**bearer(NEW), "x-api-key": OTHER})
    assert both == (*parsed(bearer(NEW)), *parsed(bearer(OTHER)))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {NEW}", "x-api-key": MISTYPED},
        {"authorization": f"bearer {NEW}", "x-api-key": NEW},
        {"authorization": f"Bearer {MISTYPED}", "x-api-key": NEW},
    ],
)
def test_one_broken_header_is_not_made_good_by_the_other(headers):
    assert reason(parsed(headers)) is Reason.CREDENTIAL_MALFORMED


def test_another_kinds_bearer_beside_the_key_header_is_left_alone():
    headers = {"authorization": "Bearer ucat_01DQE3AJDEBFEKECFM558TGH2F", "x-api-key": NEW}
    assert parsed(headers) == parsed({"x-api-key": NEW})


@pytest.mark.parametrize("name", ["authorization", "x-api-key"])
def test_d4_33_a_header_that_came_twice_is_refused_even_with_one_value(name):
    headers = {"authorization": f"Bearer {NEW}", "x-api-key": NEW}
    assert reason(parsed(headers, [name])) is Reason.CREDENTIAL_REPEATED


def test_a_repetition_of_other_headers_is_no_concern_of_ours():
    assert parsed(bearer(NEW), ["x-api-key", "accept", "cookie"]) == parsed(bearer(NEW))


@FUZZ
@given(
    service=st.text("abcXYZ09-.~", min_size=1, max_size=8),
    public_id=st.text("abcXYZ09-.~", min_size=1, max_size=8),
    secret=st.text("abcXYZ09_-.~", min_size=6, max_size=40),
)
def test_whatever_is_read_as_a_key_is_masked_wherever_it_leaks(service, public_id, secret):
    text = f"wayscloud_{service}_{public_id}_{secret}"
    assume(isinstance(parsed(bearer(text)), tuple))
    masked = redactor([KIND.pattern])(f"seen: {text}, twice")
    assert masked == f"seen: wayscloud_{service}_{public_id}_{MASK}, twice"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"brand": ""},
        {"brand": "a"},
        {"brand": "Wayscloud"},
        {"brand": "ways_cloud"},
        {"brand": "ways-cloud"},
        {"brand": "9ways"},
        {"brand": "wayscloud "},
        {"brand": "w" * 33},
        {"brand": 5},
        {"brand": "wayscloud\n"},
        {"brand": "wayscloud", "key_header": ""},
        {"brand": "wayscloud", "key_header": "X API Key"},
        {"brand": "wayscloud", "key_header": "X_API_Key"},
        {"brand": "wayscloud", "key_header": "X-API-Key\n"},
        {"brand": "wayscloud", "key_header": "X-API-Key:"},
        {"brand": "wayscloud", "key_header": 1},
        {"brand": "wayscloud", "header": "X-API-Key"},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(msgspec.ValidationError):
        ServiceKey.configured("w.service_key", settings)


def test_the_key_header_may_be_written_in_any_case():
    kind = ServiceKey.configured("w.service_key", {"brand": "wayscloud", "key_header": "x-Api-KEY"})
    assert kind == ServiceKey(
        name="w.service_key", brand="wayscloud", key_header="x-api-key", cross_service=None
    )
    assert parsed({"x-api-key": NEW}, kind=kind) == parsed({"x-api-key": NEW})


def test_it_is_read_from_authorization_and_from_its_key_header_if_it_has_one():
    assert KIND.carriers == ("authorization", "x-api-key")
    assert BEARER_ONLY.carriers == ("authorization",)


def test_it_is_challenged_as_bearer():
    assert KIND.scheme == "Bearer"
