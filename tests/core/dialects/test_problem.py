from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from latchgate.core.dialects.problem import render
from latchgate.core.dialects.reply import Challenge, Public


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 503])
def test_a_problem_has_the_members_of_rfc_9457_and_a_stable_code(status):
    reply = render(Public(status, "some_code", "Some text."), (), "")
    assert reply.status == status
    assert reply.headers == (("Content-Type", "application/problem+json"),)
    assert json.loads(reply.body) == {
        "type": "urn:latchgate:problem:some_code",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": "Some text.",
        "code": "some_code",
    }
    assert b"\n" not in reply.body


def test_a_challenge_becomes_a_header_and_not_part_of_the_body():
    challenge = Challenge(scheme="Bearer", realm="R", error=None, scope=None)
    with_one = render(Public(401, "c", "T"), (challenge,), "")
    assert with_one.body == render(Public(401, "c", "T"), (), "").body
    assert with_one.headers[-1] == ("WWW-Authenticate", 'Bearer realm="R"')
