"""What an old system's answer is read as, and how it compares with a decision."""

from __future__ import annotations

import dataclasses

import pytest
from tests.doors.verify.test_protocol import decided, granted

from latchgate.core.model import Request
from latchgate.core.network import parse_address
from latchgate.core.reason import Reason
from latchgate.core.shadow import (
    MAX_VALUES,
    Outcome,
    Shadow,
    Told,
    UnansweredError,
    compared,
    doubt,
    passed_upstream,
    question,
    read_answer,
)

SHADOW = Shadow(
    name="p.old",
    url="https://old.example/check",
    timeout=2.0,
    send=("authorization", "cookie"),
    copy=("X-Old-User", "X-Old-Groups"),
    principal=None,
    until=None,
)
SAME = dataclasses.replace(SHADOW, principal=("X-Old-User", "X-Latchgate-User"))
ASKED = Request(
    "PUT",
    "api.example.com",
    "/v1/a?x=1",
    {"authorization": "Bearer x", "x-old-user": "root"},
    client=parse_address("192.0.2.1"),
    tls=True,
)
OURS = {"X-Latchgate-User": "u-1", "X-Latchgate-Tenant": "t-1"}


def told(status: int = 200, *headers: tuple[bytes, bytes], body: bytes = b"") -> Told:
    return read_answer(SAME, status, headers, body)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_two_hundred_and_something_allows(status):
    assert told(status).allowed


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 499])
def test_four_hundred_and_something_refuses(status):
    assert not told(status).allowed


@pytest.mark.parametrize("status", [101, 199, 300, 302, 304, 399, 500, 503, 599, 600, 999])
def test_everything_else_is_no_answer(status):
    with pytest.raises(UnansweredError, match=str(status)):
        told(status)


def test_only_what_was_named_is_copied_and_what_is_missing_is_empty():
    found = told(200, (b"x-old-user", b" ada "), (b"X-Other", b"1"), (b"Set-Cookie", b"a=b"))
    assert found.copied == (("X-Old-User", "ada"), ("X-Old-Groups", ""))
    assert found.principal == "ada"
    assert found.headers == ()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"X-Old-User", b"ada"), (b"x-old-user", b"bob")],
        [(b"X-Old-User", b"ada"), (b"x-old-user", b"ada")],
        [(b"X-Old-Groups", b"a\r\nX-Latchgate-User: root")],
        [(b"X-Other", b"a\x00b")],
        [(b"X-Old-User", b"a" * (MAX_VALUES + 1))],
        [(b"WWW-Authenticate", b"a" * (MAX_VALUES + 1))],
        [(b"Content-Encoding", b"br")],
    ],
)
def test_what_can_not_be_passed_on_is_no_answer(headers):
    for status in (200, 401):
        with pytest.raises(UnansweredError):
            told(status, *headers)


def test_a_refusal_keeps_challenges_and_a_type_for_its_body():
    found = told(
        401,
        (b"WWW-Authenticate", b"Basic"),
        (b"www-authenticate", b"Bearer"),
        (b"Retry-After", b"5"),
        (b"Location", b"https://evil.example"),
        body=b"no",
    )
    assert found.headers == (
        ("WWW-Authenticate", "Basic, Bearer"),
        ("Retry-After", "5"),
        ("Content-Type", "application/octet-stream"),
    )


def test_a_question_repeats_only_the_headers_that_were_named():
    asked = {name.decode().lower(): value.decode() for name, value in question(SHADOW, ASKED)}
    assert asked["authorization"] == "Bearer x"
    assert asked["x-original-url"] == "https://api.example.com/v1/a?x=1"
    assert asked["x-forwarded-for"] == asked["x-real-ip"] == "192.0.2.1"
    assert "x-old-user" not in asked
    assert "cookie" not in asked


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"client": None}, Reason.CLIENT_ADDRESS_INVALID),
        ({"repeated": frozenset({"cookie"})}, Reason.REQUEST_INVALID),
        ({"repeated": frozenset({"x-other"})}, None),
        ({"headers": {"authorization": "a\r\nb"}}, Reason.REQUEST_INVALID),
        ({"headers": {"cookie": "a\x00"}}, Reason.REQUEST_INVALID),
        ({"headers": {"accept": "\u20ac"}}, Reason.REQUEST_INVALID),
        ({"headers": {"x-other": "a\r\nb"}}, None),
        ({"target": "/v1/a\n"}, Reason.REQUEST_INVALID),
        ({"host": "a\r\nb"}, Reason.REQUEST_INVALID),
    ],
)
def test_what_could_be_read_otherwise_is_doubt(change, reason):
    fields = {name: getattr(ASKED, name) for name in ASKED.__struct_fields__}
    asked = Request(**fields | change)
    assert doubt(decided(grant=granted()), asked, SHADOW) is reason


@pytest.mark.parametrize(
    ("ours", "theirs", "shadow", "outcome"),
    [
        (Reason.ALLOWED, told(200), SHADOW, Outcome.SAME),
        (Reason.ALLOWED, told(403), SHADOW, Outcome.LOOSER),
        (Reason.SECRET_WRONG, told(200), SHADOW, Outcome.STRICTER),
        (Reason.SECRET_WRONG, told(404), SHADOW, Outcome.SAME),
        (Reason.ALLOWED, told(200, (b"X-Old-User", b"u-1")), SAME, Outcome.SAME),
        (Reason.ALLOWED, told(200, (b"X-Old-User", b"u-2")), SAME, Outcome.PRINCIPAL),
        (Reason.ALLOWED, told(200), SAME, Outcome.PRINCIPAL),
    ],
)
def test_two_decisions_are_compared(ours, theirs, shadow, outcome):
    identity = OURS if ours is Reason.ALLOWED else {}
    assert compared(decided(ours), theirs, shadow, identity) is outcome


def test_our_identity_is_passed_on_only_where_it_was_proven_the_same():
    found = told(200, (b"X-Old-User", b"u-1"))
    theirs = (("X-Old-User", "u-1"), ("X-Old-Groups", ""))
    assert passed_upstream(found, Outcome.SAME, SAME, OURS) == (*theirs, *OURS.items())
    assert passed_upstream(found, Outcome.SAME, SHADOW, OURS) == theirs
    assert passed_upstream(found, Outcome.PRINCIPAL, SAME, OURS) == theirs
    assert passed_upstream(found, Outcome.STRICTER, SAME, {}) == theirs
