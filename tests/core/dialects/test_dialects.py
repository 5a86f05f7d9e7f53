"""The laws that every dialect keeps."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.dialects import DIALECTS, Challenge, Public
from latchgate.core.dialects.table import TABLE

CHALLENGE = Challenge(scheme="Bearer", realm="R", error="invalid_token", scope=None)
of_every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@of_every_dialect
@pytest.mark.parametrize("reason", TABLE)
def test_every_refusal_can_be_worded(dialect, reason):
    public = TABLE[reason][dialect]
    reply = DIALECTS[dialect](public, CHALLENGE)
    assert reply.status == public.status
    told = json.loads(reply.body)
    assert public.code in told.values()
    assert public.text in told.values()
    names = [name for name, _ in reply.headers]
    assert names == ["Content-Type", "WWW-Authenticate"]


@of_every_dialect
@FUZZ
@given(code=st.text(max_size=20), text=st.text(max_size=40))
def test_a_reply_fits_into_header_and_body_whatever_is_worded(dialect, code, text):
    reply = DIALECTS[dialect](Public(401, code, text), CHALLENGE)
    assert not re.search(rb"[\r\n\x00]", reply.body)
    assert text in json.loads(reply.body).values()
    for name, value in reply.headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[ -~]+", value)
