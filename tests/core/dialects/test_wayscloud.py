from __future__ import annotations

import json

from latchgate.core.dialects.reply import Challenge, Public
from latchgate.core.dialects.wayscloud import render

# As the provider's document prints them, "Authentication Errors".
DOCUMENTED_401 = """
{
"error": "Invalid or expired API key",
"code": "AUTH_FAILED"
}
"""
DOCUMENTED_403 = """
{
"error": "API key does not have permission for this service",
"code": "INSUFFICIENT_PERMISSIONS"
}
"""


def test_both_documented_bodies_come_out_with_their_members_in_order():
    for documented, status in ((DOCUMENTED_401, 401), (DOCUMENTED_403, 403)):
        told = json.loads(documented)
        reply = render(Public(status, told["code"], told["error"]), (), "")
        assert reply.status == status
        assert list(json.loads(reply.body).items()) == list(told.items())
        assert reply.headers == (("Content-Type", "application/json"),)


def test_a_challenge_becomes_a_header_and_not_part_of_the_body():
    challenge = Challenge(scheme="Bearer", realm="R", error="invalid_token", scope=None)
    with_one = render(Public(401, "C", "T"), (challenge,), "")
    without = render(Public(401, "C", "T"), (), "")
    assert with_one.body == without.body
    assert with_one.headers[-1] == ("WWW-Authenticate", 'Bearer realm="R", error="invalid_token"')


def test_the_body_is_one_line_of_json_whatever_the_text():
    body = render(Public(400, "C", 'a "quoted"\nline é \u2028'), (), "").body
    assert b"\n" not in body
    assert json.loads(body)["error"] == 'a "quoted"\nline é \u2028'
