"""Every shape in which a server says what was wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.refusing import answer

from latchgate.client.said import Said, said

UPCLOUD = {
    "error": {"error_code": "SERVER_INVALID", "error_message": "The server UUID is invalid."}
}
SHAPES = {
    "upcloud": (UPCLOUD, Said("SERVER_INVALID", "The server UUID is invalid.")),
    "upcloud problem": (
        {
            "type": "https://developers.upcloud.com/1.3/errors#ERROR_INVALID_REQUEST",
            "title": "Validation error.",
            "invalid_params": [{"name": "powered", "reason": "must be a boolean"}],
            "correlation_id": "01HNJ19JGFAB2V9G9HFXH30041",
            "status": 400,
        },
        Said(
            "INVALID_REQUEST",
            "Validation error.",
            (("powered", "must be a boolean"),),
            "01HNJ19JGFAB2V9G9HFXH30041",
        ),
    ),
    "a problem whose type is no address": (
        {"type": "RESOURCE_NOT_FOUND", "title": "Service not found.", "status": 404},
        Said("RESOURCE_NOT_FOUND", "Service not found."),
    ),
    "a problem of no type": (
        {"type": "about:blank", "title": "Forbidden", "detail": "Not from there."},
        Said(None, "Not from there."),
    ),
    "keystone": (
        {"error": {"code": 401, "message": "Requires authentication.", "title": "Unauthorized"}},
        Said("Unauthorized", "Requires authentication."),
    ),
    "keystone without error": (
        {"message": "The method is not allowed for the requested URL."},
        Said(None, "The method is not allowed for the requested URL."),
    ),
    "wayscloud": (
        {"error": "Invalid or expired API key", "code": "AUTH_FAILED"},
        Said("AUTH_FAILED", "Invalid or expired API key"),
    ),
    "wayscloud nested": (
        {
            "error": {
                "code": "INVALID_PARAMETER",
                "message": "Bad parameter",
                "details": {"field": "size", "provided": "x", "expected": "a number"},
            }
        },
        Said("INVALID_PARAMETER", "Bad parameter", (("size", "expected a number"),)),
    ),
    "wayscloud detail": ({"detail": "Not enough credit"}, Said(None, "Not enough credit")),
    "wayscloud detail object": (
        {"detail": {"error": "Zone exists", "code": "CONFLICT"}},
        Said("CONFLICT", "Zone exists"),
    ),
    "wayscloud detail list": (
        {"detail": [{"loc": ["body", "name"], "msg": "field required", "type": "missing"}]},
        Said(None, None, (("body.name", "field required"),)),
    ),
    "teracloud": (
        {"result": 403, "message": "The API key is missing or not valid."},
        Said("result 403", "The API key is missing or not valid."),
    ),
    "latchgate": (
        {
            "type": "urn:latchgate:problem:invalid",
            "title": "Invalid",
            "status": 422,
            "detail": "The request holds what can't be taken.",
            "code": "invalid",
            "errors": [{"field": "services", "detail": "there is no service gpus"}],
        },
        Said(
            "invalid",
            "The request holds what can't be taken.",
            (("services", "there is no service gpus"),),
        ),
    ),
    "oauth2": (
        {"error": "invalid_grant", "error_description": "The code was used."},
        Said("invalid_grant", "The code was used."),
    ),
    "oauth2 without a description": ({"error": "invalid_client"}, Said("invalid_client")),
    "a language model's": (
        {"error": {"message": "No such model", "type": "invalid_request_error", "code": None}},
        Said("invalid_request_error", "No such model"),
    ),
    "text alone": ("Not here", Said(None, "Not here")),
}
XML = '<?xml version="1.0" encoding="utf-8"?>'


@pytest.mark.parametrize(("body", "expected"), SHAPES.values(), ids=SHAPES)
def test_each_shape_is_read(body, expected):
    assert said(answer(400, body, content_type="application/json")) == expected


def test_a_shape_is_known_by_its_members_and_not_by_its_label():
    for kind in ("application/problem+json", "text/html", "application/json; charset=UTF-8", ""):
        assert said(answer(401, UPCLOUD, content_type=kind)) == SHAPES["upcloud"][1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            (
                f"{XML}<error><error_code>ACTION_FORBIDDEN</error_code>"
                "<error_message>Not &lt;allowed&gt;.</error_message></error>"
            ),
            Said("ACTION_FORBIDDEN", "Not <allowed>."),
        ),
        (
            (
                f'{XML}<problem xmlns="urn:ietf:rfc:7807"><type>https://x/1.3/errors#ERROR_NOT_FOUND'
                "</type><title>Gone.</title><correlation_id>01HN</correlation_id><invalid_params>"
                "<name>a</name><reason>b</reason></invalid_params></problem>"
            ),
            Said("NOT_FOUND", "Gone.", (("a", "b"),), "01HN"),
        ),
        (
            (
                f"{XML}<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message>"
                "<RequestId>4442587FB7D0A2F9</RequestId></Error>"
            ),
            Said("SignatureDoesNotMatch", "No.", (), "4442587FB7D0A2F9"),
        ),
        (
            (
                f'{XML}<ErrorResponse xmlns="https://iam/"><Error><Code>AccessDenied</Code>'
                "<Message>No.</Message></Error><RequestId>7</RequestId></ErrorResponse>"
            ),
            Said("AccessDenied", "No.", (), "7"),
        ),
        (
            "<html><head><title>502 Bad Gateway</title></head><body><br>nginx</body></html>",
            Said(None, "502 Bad Gateway"),
        ),
        ("<!DOCTYPE html><TITLE lang=en>Sign in &amp; go</TITLE>", Said(None, "Sign in & go")),
    ],
)
def test_xml_and_pages_are_read(body, expected):
    assert said(answer(403, body.encode())) == expected


def test_text_is_taken_where_it_is_text_and_nothing_where_it_is_not():
    assert said(answer(403, b"Access denied\n", content_type="text/plain")).message == (
        "Access denied"
    )
    assert said(answer(403, b"Access denied")).message == "Access denied"
    assert said(answer(403, b"PK\3\4", content_type="application/zip")) == Said()
    assert said(answer(403, b"PK\0\4")) == Said()
    assert said(answer(403)) == Said()


def test_the_challenge_says_what_the_body_does_not():
    challenge = 'Basic realm="x", Bearer realm="x", error="insufficient_scope", scope="dns:read"'
    told = said(answer(403, www_authenticate=challenge))
    assert (told.code, told.scope) == ("insufficient_scope", "dns:read")
    body = {"error": "Not permitted", "code": "INSUFFICIENT_PERMISSIONS"}
    told = said(answer(403, body, www_authenticate=challenge))
    assert (told.code, told.scope) == ("INSUFFICIENT_PERMISSIONS", "dns:read")


def test_a_result_that_is_the_status_is_no_code():
    body = {"result": 403, "message": "The API key is not valid."}
    assert said(answer(403, body)) == Said(None, "The API key is not valid.")


def test_what_support_asks_for_is_taken_from_headers_too():
    assert said(answer(500, x_openstack_request_id="req-1")).request_id == "req-1"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"error":' * 100_000,
        b'{"detail":' * 400 + b"1" + b"}" * 400,
        b"<a>" * 50_000,
        b'{"error": ' + b"9" * 200_000 + b"}",
        b'{"error": {"code": {"code": []}}, "type": [], "detail": {"detail": {"detail": 1}}}',
        b'{"message": "\\ud800"}',
        b"\xff\xfe\x00\x00",
        b"[[], {}]",
        b'{"detail": [{"msg": "x", "loc": [' + b"[" * 900 + b"]" * 900 + b"]}]}",
        b'"' + b"x" * 10**6 + b'"',
    ],
    ids=lambda body: body[:12],
)
def test_hostile_bodies_say_little_and_never_raise(body):
    told = said(answer(400, body))
    assert len(told.faults) <= 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error", "code", "message", "detail", "type", "title", "result", "errors",
                    "invalid_params", "name", "reason", "loc", "msg", "error_code", "details",
                    "correlation_id", "error_description", "field", "expected",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(JSON, st.text(max_size=60))
def test_whatever_is_sent_is_text_or_nothing(body, header):
    told = said(answer(400, json.dumps(body).encode(), www_authenticate=header))
    for one in (told.code, told.message, told.request_id, told.scope):
        assert one is None or (one and one.strip() == one)
    assert all(isinstance(text, str) for fault in told.faults for text in fault)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["", "text/plain", "application/xml"]))
def test_whatever_bytes_are_sent_are_text_or_nothing(body, kind):
    for before in (b"", b"<", b"{", b"<?xml version='1.0'?><a>"):
        told = said(answer(500, before + body, content_type=kind))
        for one in (told.code, told.message):
            assert one is None or (one and one.strip() == one)
