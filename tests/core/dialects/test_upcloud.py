from __future__ import annotations

import json

import pytest

from latchgate.core.dialects.reply import Challenge, Public
from latchgate.core.dialects.table import TABLE
from latchgate.core.dialects.upcloud import render
from latchgate.core.reason import Reason

FAILED = TABLE[Reason.SECRET_WRONG]["upcloud"]
JSON, XML = "application/json; charset=UTF-8", "application/xml; charset=UTF-8"
# As the provider's document prints it, "Error response".
DOCUMENTED = {
    "error": {
        "error_code": "AUTHENTICATION_FAILED",
        "error_message": "Authentication failed using the given username and password.",
    }
}


def kind(accept: str) -> str:
    return dict(render(FAILED, (), accept).headers)["Content-Type"]


def test_the_documented_body_comes_out_with_its_members_in_order():
    reply = render(FAILED, (), "")
    assert reply.status == 401
    assert reply.body == json.dumps(DOCUMENTED, separators=(",", ":")).encode()
    assert reply.headers == (("Content-Type", JSON), ("Vary", "Accept"))


def test_the_same_is_said_in_xml():
    reply = render(FAILED, (), "application/xml")
    assert reply.body == (
        b'<?xml version="1.0" encoding="utf-8"?><error>'
        b"<error_code>AUTHENTICATION_FAILED</error_code><error_message>Authentication failed "
        b"using the given username and password.</error_message></error>"
    )
    assert reply.headers == (("Content-Type", XML), ("Vary", "Accept"))


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "text/html",
        "application/json, application/xml",
        "application/xml;q=0.5, application/json",
        "application/xml;q=0.5, */*",
        "application/xml;q=0.5, application/*;q=0.8",
        "application/xml;q=0",
        "application/xml;q=0, */*",
        "application/xml;q=x",
        "application/xml;q=2",
        "application/xml;q=nan, */*;q=0",
        "application/xml;q=-1",
        "application/xml;q=0.1234",
        "application/xmlx",
        ";;,,;q=1,/",
        "text/xml",
    ],
)
def test_json_is_the_answer_unless_xml_is_wanted_more(accept):
    assert kind(accept) == JSON


@pytest.mark.parametrize(
    "accept",
    [
        "application/xml",
        "APPLICATION/XML",
        "application/xml; charset=utf-8",
        "text/html,application/xml;q=0.9,*/*;q=0.8",
        "application/json;q=0.5, application/xml;q=0.6",
        "application/json; q=0 , application/xml; q=0.001",
        "application/xml;q=1.000, application/json;q=0.999",
        "application/xml, */*",
    ],
)
def test_xml_is_the_answer_where_it_is_wanted_more(accept):
    assert kind(accept) == XML


@pytest.mark.parametrize("reason", TABLE)
@pytest.mark.parametrize("accept", ["", "application/xml", "application/problem+json"])
def test_it_is_never_labelled_as_a_problem_whose_members_it_has_not(reason, accept):
    headers = dict(render(TABLE[reason]["upcloud"], (), accept).headers)
    assert "problem" not in headers["Content-Type"]


def test_text_is_escaped_in_xml_and_holds_nothing_that_xml_may_not():
    body = render(Public(400, "C", 'a <b> & "c"\r\n\x00\x1b\ufffe'), (), "application/xml").body
    assert b"<error_message>a &lt;b&gt; &amp; " in body
    assert not set(body) & set(range(0x20))
    assert "\ufffe".encode() not in body


def test_challenges_become_one_header():
    both = (Challenge("Bearer", "R", None, None), Challenge("Basic", "R", None, None))
    headers = dict(render(FAILED, both, "").headers)
    assert headers["WWW-Authenticate"] == 'Bearer realm="R", Basic realm="R", charset="UTF-8"'
