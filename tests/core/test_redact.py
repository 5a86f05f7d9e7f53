from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, LATCHGATE, SHIPPED, WAYSCLOUD, service_key

from latchgate.core.redact import MASK, redactor

MASKED = redactor(SHIPPED.patterns())
NEW = service_key(WAYSCLOUD).secret.reveal()
OWN = service_key(LATCHGATE, service="manage").secret.reveal()
HUSH = "hunter2hunter2"


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer {}",
        "authorization: bearer {}",
        "AUTHORIZATION: Basic {}",
        "Proxy-Authorization: Basic {}",
        "'Authorization': 'Bearer {}'",
        '"authorization": "Bearer {}"',
        "(b'authorization', b'Bearer {}')",
        "[('authorization', 'Basic {}')]",
        "curl -H 'Authorization: Bearer {}' https://h/",
        "sent Bearer {} to h",
        "X-API-Key: {}",
        "x-api-key={}",
        "'X-API-Key': '{}'",
        '{{"x-api-key": "{}"}}',
        "(b'x-api-key', b'{}')",
        "X-Auth-Token: {}",
        "X-Subject-Token: {}",
        "X-TeraCLOUD-API-KEY: {}",
        "GET /v2/api/x;api_key={} HTTP/1.1",
        "GET /v2/api/x;api_key={}/y?z",
        "GET /v2/api/x%3Bapi_key={} HTTP/1.1",
        "GET /v2/api/x;API_KEY={};b=c",
        "password={}&user=ada",
        "user=ada&password={}",
        'password = "{}"',
        '{{"password": "{}"}}',
        '{{"password":"{}"}}',
        "{{'password': '{}'}}",
        "password: {}",
        "secret={}",
        "client_secret={}&grant_type=x",
        "access_token={}",
        '{{"refresh_token": "{}"}}',
        "Token: {}",
    ],
)
def test_what_any_http_program_may_carry_is_masked_even_if_no_kind_knows_it(line):
    assert HUSH in line.format(HUSH)
    masked = MASKED(line.format(HUSH))
    assert HUSH not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "member", ["password", "secret", "token", "x-api-key", "authorization", "x-auth-token"]
)
def test_json_within_a_line_of_json_is_masked_too(member):
    inner = json.dumps({member: f"Bearer {HUSH}" if member == "authorization" else HUSH})
    assert HUSH not in MASKED(json.dumps({"event": inner}))


@pytest.mark.parametrize(
    "line",
    [
        '{"password": "correct horse, battery}"}',
        "{'password': 'correct horse, battery}'}",
        '{"password": "correct \\"horse\\" battery"}',
        'password="correct horse; battery"',
    ],
)
def test_a_quoted_password_is_masked_to_its_closing_quote(line):
    masked = MASKED(line)
    for part in ("correct", "horse", "battery"):
        assert part not in masked


@pytest.mark.parametrize(
    "line",
    [
        "GET /v1/storage/my-bucket/file.txt HTTP/1.1",
        "Authorization is required",
        "the token endpoint answered 200",
        "wayscloud_storage_ is how a key begins",
        "wayscloud_storage_42edag8eqe29_… was revoked",
        "no secret here",
        "x-api-key was missing",
        "password reset asked for by ada",
        "",
    ],
)
def test_lines_without_a_secret_stay_as_they_are(line):
    assert MASKED(line) == line


@pytest.mark.parametrize("text", [NEW, OWN, "wayscloud_storage_abc123_XyZ789_Secret_Key"])
def test_the_keys_of_every_published_kind_are_masked_wherever_they_stand(text):
    head, _, secret = text.partition("_storage_" if "_storage_" in text else "_manage_")
    for line in (text, f"[{text}]", f"<{text}>", f"{head}: {text}.", f"a={text}&b={text}"):
        assert secret.split("_", 1)[1] not in MASKED(line)


@pytest.mark.parametrize("secret", ["ab+/" * 11, "ab-_" * 11, "ab%2B%2f" * 11])
def test_a_webhooks_secret_is_masked_however_its_base64_is_spelled(secret):
    for line in (
        f"whsec_{secret}=",
        f"GET /x?a=whsec_{secret}%3D HTTP/1.1",
        f'{{"s":"whsec_{secret}"}}',
    ):
        assert MASKED(line).count("ab") == 0, line


def test_several_secrets_in_one_line_are_all_masked():
    masked = MASKED(f"{NEW} {OWN} Authorization: Basic {HUSH} password={HUSH}x;api_key={HUSH}")
    for secret in (NEW, OWN, HUSH):
        assert secret not in masked
    assert masked.count(MASK) >= 5


def test_new_patterns_are_learnt_and_old_ones_never_forgotten():
    latchgate, wayscloud = LATCHGATE.pattern, WAYSCLOUD.pattern
    assert latchgate is not None
    assert wayscloud is not None
    mask = redactor([latchgate])
    assert OWN[-20:] not in mask(OWN)
    assert NEW[-20:] in mask(NEW)
    mask.learn([wayscloud, wayscloud])
    mask.learn([latchgate])
    mask.learn([])
    for text in (OWN, NEW):
        assert mask(text).count(MASK) == 1
        assert text[-20:] not in mask(text)


def test_without_patterns_common_sense_still_masks():
    assert HUSH not in redactor()(f"Authorization: Bearer {HUSH}")


@FUZZ
@given(
    before=st.text(max_size=20),
    after=st.sampled_from(["", " ", "\n", '"', "'", ",", ";", ")", "&x=1", "\x00", "…"]),
)
def test_a_key_is_masked_after_any_text(before, after):
    masked = MASKED(f"{before}{NEW}{after}")
    assert NEW[-20:] not in masked


@FUZZ
@given(text=st.text(max_size=200))
def test_any_text_can_be_masked_and_masking_again_changes_nothing(text):
    once = MASKED(text)
    assert MASKED(once) == once


FILLERS = ["a", "=", " ", "bearer ", "wayscloud_", "password=", "authorization", "'\"", "Bearer\t"]
FILLERS += [
    "\\",
    '\\"',
    'password="',
    "secret='\\",
    "x-api-key: b",
    "_storage_a_",
    "wayscloud_a_b_",
]


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("start", ["", 'password="', "x-api-key: '", "wayscloud_a_b_"])
def test_a_long_text_is_masked_in_linear_time(start, filler):
    began = time.process_time()
    MASKED(start + filler * (200_000 // len(filler)))
    assert time.process_time() - began < 2
