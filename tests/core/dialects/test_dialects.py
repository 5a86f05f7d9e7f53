"""The laws that every dialect keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.dialects import DIALECTS, Challenge, Public, Reply
from latchgate.core.dialects.table import TABLE

BEARER = Challenge(scheme="Bearer", realm="R", error="invalid_token", scope=None)
BASIC = Challenge(scheme="Basic", realm="R", error="invalid_token", scope=None)
of_every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
FORMS = ["", "*/*", "application/json", "application/xml"]
in_every_form = pytest.mark.parametrize("accept", FORMS)


def told(reply: Reply) -> set[object]:
    """Return every value in a body, however deep it lies and whatever it is written in."""
    if "xml" in dict(reply.headers)["Content-Type"]:
        root = ET.fromstring(reply.body)  # noqa: S314 - our own
        return {element.text or "" for element in root.iter()}
    return set(values(json.loads(reply.body)))


def values(read: object) -> Iterator[object]:
    if isinstance(read, dict):
        for value in read.values():
            yield from values(value)
    else:
        yield read


@of_every_dialect
@in_every_form
@pytest.mark.parametrize("reason", TABLE)
def test_every_refusal_can_be_worded(dialect, accept, reason):
    public = TABLE[reason][dialect]
    reply = DIALECTS[dialect](public, (BEARER, BASIC), accept)
    assert reply.status == public.status
    # TeraCLOUD's own clients go by the status; its bodies carry no other code.
    # A problem document of UpCloud's names its code in the type, and a 401 is none.
    code: object = public.status if dialect == "teracloud" else public.code
    if dialect == "upcloud_problem" and public.status != 401:
        code = f"https://developers.upcloud.com/1.3/errors#ERROR_{code}"
    assert (str(code) if accept == "application/xml" and "upcloud" in dialect else code) in told(
        reply
    )
    assert public.text in told(reply)
    headers = dict(reply.headers)
    assert set(headers) <= {"Content-Type", "Vary", "WWW-Authenticate"}
    assert headers["WWW-Authenticate"] == (
        'Bearer realm="R", error="invalid_token", Basic realm="R", charset="UTF-8"'
    )
    assert "WWW-Authenticate" not in dict(DIALECTS[dialect](public, (), accept).headers)


@of_every_dialect
def test_what_depends_on_accept_says_so_to_caches(dialect):
    public = Public(401, "CODE", "Text.")
    worded = {accept: DIALECTS[dialect](public, (), accept) for accept in ("", "application/xml")}
    if worded[""] != worded["application/xml"]:
        assert all(dict(reply.headers)["Vary"] == "Accept" for reply in worded.values())


@of_every_dialect
@in_every_form
@FUZZ
@given(
    code=st.text(max_size=20),
    text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=40),
)
def test_a_reply_fits_into_header_and_body_whatever_is_worded(dialect, accept, code, text):
    reply = DIALECTS[dialect](Public(401, code, text), (BEARER,), accept)
    assert not re.search(rb"[\r\n\x00]", reply.body)
    if "xml" not in dict(reply.headers)["Content-Type"]:
        assert text in told(reply)
    for name, value in reply.headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[ -~]+", value)
