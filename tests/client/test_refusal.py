"""Which error a refusal is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.refusing import SECRET, Nobody, answer
from tests.client.test_spelling import jwt

from latchgate.client.errors import (
    AuthenticationFailed,
    KeyExpired,
    KeyRevoked,
    PermissionDenied,
    RateLimited,
    Refused,
)
from latchgate.client.refusal import refused, retry_after
from latchgate.client.renewal import Renewal
from latchgate.client.secret import Secret
from latchgate.client.token import Token

DATE = "Sun, 22 Nov 2026 15:00:00 GMT"
NOW = 1_795_359_600


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "INVALID_REQUEST", Refused),
        (401, "AUTH_FAILED", AuthenticationFailed),
        (401, "access_denied", AuthenticationFailed),
        (401, "credential_expired", KeyExpired),
        (401, "credential_superseded", KeyExpired),
        (401, "credential_revoked", KeyRevoked),
        (401, "credential_disabled", AuthenticationFailed),
        (403, "ACTION_FORBIDDEN", PermissionDenied),
        (403, "application_key_revoked", KeyRevoked),
        (403, "SignatureDoesNotMatch", AuthenticationFailed),
        (400, "ExpiredToken", KeyExpired),
        (400, "invalid_grant", AuthenticationFailed),
        (400, "unauthorized_client", PermissionDenied),
        (404, "NOT_FOUND", Refused),
        (429, "credential_revoked", RateLimited),
        (503, "SlowDown", RateLimited),
        (503, "SERVICE_UNAVAILABLE", Refused),
    ],
)
def test_the_status_says_which_error_it_is_and_the_code_may_say_it_better(status, code, kind):
    error = refused(Nobody(), answer(status, {"error": {"code": code, "message": "No."}}))
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.cloud) == (status, code, "No.", "Nobody")


def test_the_scope_that_is_needed_and_the_decision_are_kept():
    error = refused(
        Nobody(),
        answer(
            403,
            {"error": "No.", "code": "INSUFFICIENT_PERMISSIONS"},
            www_authenticate='Bearer realm="x", error="insufficient_scope", scope="storage:write"',
            x_latchgate_decision="0123456789abcdef0123",
        ),
    )
    assert (error.scope, error.decision) == ("storage:write", "0123456789abcdef0123")


def test_an_answer_without_words_is_told_by_its_status():
    assert refused(Nobody(), answer(403)).message == "Forbidden"
    assert refused(Nobody(), answer(499)).message == "refused"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "120"}, 120.0),
        ({"retry_after": " 0 "}, 0.0),
        ({"retry_after": "Sun, 22 Nov 2026 15:01:30 GMT", "date": DATE}, 90.0),
        ({"retry_after": "Sunday, 22-Nov-26 15:01:30 GMT", "date": DATE}, 90.0),
        ({"retry_after": "Sun Nov 22 15:01:30 2026", "date": DATE}, 90.0),
        ({"retry_after": "Sun, 22 Nov 2026 14:00:00 GMT", "date": DATE}, 0.0),
        ({"retry_after": "Sun, 22 Nov 2026 15:01:30 GMT"}, None),
        ({"retry_after": "Sun, 99 Nov 2026 15:01:30 GMT", "date": DATE}, None),
        ({"retry_after": "1.5"}, None),
        ({"retry_after": "-1", "date": DATE}, None),
        ({"retry_after": "9" * 400}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "5, 10", "date": DATE}, None),
        ({}, None),
    ],
)
def test_when_to_come_back_is_seconds_by_the_servers_own_clock(headers, seconds):
    error = refused(Nobody(), answer(429, **headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_the_dates_are_it_is_seconds_to_come_or_nothing(then, now):
    told = retry_after(answer(503, retry_after=then, date=now))
    assert told is None or told >= 0


def test_a_token_whose_own_time_is_over_by_the_servers_clock_has_expired():
    body = {"error": "Invalid or expired API key", "code": "AUTH_FAILED"}
    over = refused(Nobody(jwt({"exp": NOW - 60})), answer(401, body, date=DATE))
    assert type(over) is KeyExpired
    assert over.meaning == "the token's own time was over at 2026-11-22T14:59:00Z"
    for token, headers in ((NOW + 60, {"date": DATE}), (NOW - 60, {})):
        live = refused(Nobody(jwt({"exp": token})), answer(401, body, **headers))
        assert type(live) is AuthenticationFailed


def test_no_field_of_an_error_holds_a_secret_or_a_control_character():
    cloud = Nobody()
    cloud.renewal = Renewal(None)
    cloud.renewal._token = Token.arrived(
        "kcpt_fetched", now=0, lasts=60, chance=0, refresh="refresh-token"
    )
    told = f"{SECRET} kcpt_fetched refresh-token a-device-code \x1b[2J"
    body = {
        "type": f"urn:x#{SECRET}",
        "code": told,
        "detail": told,
        "correlation_id": told,
        "errors": [{"field": told, "detail": told}],
    }
    headers = {"x_latchgate_decision": told, "www_authenticate": f'Bearer scope="{told}"'}
    error = refused(cloud, answer(403, body, **headers), also=[Secret("a-device-code")])
    for text in (str(error), repr(error), repr(vars(error)), repr(error.args)):
        for secret in (SECRET, "kcpt_fetched", "refresh-token", "a-device-code", "\x1b"):
            assert secret not in text
    assert error.code == r"… … … … \x1b[2J"


@settings(deadline=None)
@given(
    st.integers(min_value=400, max_value=599),
    st.binary(max_size=100),
    st.dictionaries(
        st.sampled_from(["WWW-Authenticate", "Retry-After", "Date", "X-Latchgate-Decision"]),
        st.text(max_size=40),
    ),
)
def test_every_answer_is_some_error(status, body, headers):
    error = refused(Nobody(), answer(status, body, **headers))
    assert error.status == status
    assert str(error).isprintable()
