"""Forms: where they come from, and fields that no page has."""

from __future__ import annotations

import asyncio

import pytest

from latchgate.core.model import Request
from latchgate.doors.form import MAX_FORM, FormError, check_origin, read_form, read_pairs

OWN = {"https://login.example.com"}


def request(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method="POST", host="login.example.com", target="/", headers=named, client=None)


def read(body, names=("a", "b"), kind="application/x-www-form-urlencoded", *, cut=False):
    parts = [body[:10], body[10:]]

    async def receive():
        part = parts.pop(0)
        if cut and not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    return asyncio.run(read_form(request(content_type=kind), receive, names))[0]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://login.example.com"},
        {"origin": "https://login.example.com", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
def test_what_its_own_page_sends_is_taken(headers):
    check_origin(request(**headers), OWN)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": "http://login.example.com"},
        {"origin": "https://login.example.com.evil.example"},
        {"origin": ""},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": ""},
        {"origin": "https://login.example.com", "sec_fetch_site": "cross-site"},
    ],
)
def test_what_another_site_sends_is_refused(headers):
    with pytest.raises(FormError) as refused:
        check_origin(request(**headers), OWN)
    assert refused.value.status == 403


def test_fields_are_read_however_the_body_is_cut():
    assert read(b"a=one+two&b=%C3%A9%0D%0A") == {"a": "one two", "b": "\u00e9\r\n"}
    assert read(b"") == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"a=1&a=2", 400),
        (b"c=1", 400),
        (b"a=%FF", 400),
        (b"\xff=1", 400),
        (b"&".join(b"a%d=1" % n for n in range(50)), 400),
        (b"a=" + b"x" * MAX_FORM, 413),
    ],
)
def test_a_form_that_is_none_is_refused(body, status):
    with pytest.raises(FormError) as refused:
        read(body)
    assert refused.value.status == status


def test_another_type_and_a_connection_that_ends_are_refused():
    with pytest.raises(FormError) as other:
        read(b"{}", kind="application/json")
    assert other.value.status == 415
    with pytest.raises(FormError) as cut:
        read(b"a=1&b=2345678", cut=True)
    assert cut.value.status == 400


def test_an_address_may_hold_what_its_handler_reads_but_nothing_twice():
    assert read_pairs(b"x=1&y=", None) == {"x": "1", "y": ""}
    with pytest.raises(FormError):
        read_pairs(b"x=1&x=1", None)
