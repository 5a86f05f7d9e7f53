from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from latchgate.core.dialects.keystone import render
from latchgate.core.dialects.table import TABLE
from latchgate.core.reason import Reason


def test_a_401_is_worded_as_keystone_words_it():
    told = json.loads(render(TABLE[Reason.CREDENTIAL_MISSING]["keystone"], (), "").body)
    assert told == {
        "error": {
            "code": 401,
            "message": "The request you have made requires authentication.",
            "title": "Unauthorized",
        }
    }


@pytest.mark.parametrize("reason", TABLE)
def test_the_title_is_the_status_in_words_and_the_code_its_number(reason):
    public = TABLE[reason]["keystone"]
    reply = render(public, (), "")
    told = json.loads(reply.body)["error"]
    assert told["code"] == reply.status == public.status
    assert told["title"] == HTTPStatus(public.status).phrase
    assert dict(reply.headers)["Vary"] == "X-Auth-Token"
