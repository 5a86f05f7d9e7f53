"""Where a URL leads is read as everybody else reads it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.client.message import Response, Target

WORDS = """
https:// http:// HTTPS:// a b.c api.upcloud.com / // \\ ? # @ : :443 :80 :0 :8443 ; % %2F . .. - _ ~
é 1 [::1] ( ) < > ^ ` | { } " ' & = + * ! $ ,
"""
PIECES = st.sampled_from([*WORDS.split(), " ", "\t", "\n", "\r", "\0", "\u200b", "\u2025"])


@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from(["https://", "http://", ""]))
def test_any_url_is_read_as_the_standard_library_reads_it(rest, start):
    url = start + rest
    try:
        parts = urlsplit(url)
        expected = (parts.scheme, parts.hostname, parts.port, parts.path or "/")
    except ValueError:
        expected = ("", None, None, "")
    if expected[0] not in {"http", "https"} or not expected[1]:
        with pytest.raises(ValueError, match=r"."):
            Target.of(url)
        return
    scheme, host, port, path = expected
    usual = {"http": 80, "https": 443}[scheme]
    assert Target.of(url) == (scheme, host, usual if port is None else port, path)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://a.example/x;k=v/y?q=/#?", Target("https", "a.example", 443, "/x;k=v/y")),
        ("https://a.example", Target("https", "a.example", 443, "/")),
        ("https://a.example?x", Target("https", "a.example", 443, "/")),
        ("https://A.Example:8443/X", Target("https", "a.example", 8443, "/X")),
        ("http://127.0.0.1:80/", Target("http", "127.0.0.1", 80, "/")),
        ("https://a.example@evil.example/", Target("https", "evil.example", 443, "/")),
        ("https://evil.example\\@a.example/", Target("https", "a.example", 443, "/")),
        ("https://[::1]/", Target("https", "::1", 443, "/")),
    ],
)
def test_a_url_leads_where_it_says(url, target):
    assert Target.of(url) == target


@pytest.mark.parametrize(
    "url", ["", "a.example/x", "ftp://a.example/", "https:///x", "https://a.example:99999/"]
)
def test_what_leads_nowhere_is_no_target(url):
    with pytest.raises(ValueError, match=r"."):
        Target.of(url)


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        (Target("https", "a.example", 443, "/"), "https://a.example"),
        (Target("http", "a.example", 443, "/"), "http://a.example:443"),
        (Target("https", "::1", 8443, "/"), "https://[::1]:8443"),
    ],
)
def test_an_origin_has_a_port_only_where_it_is_not_the_schemes_own(target, origin):
    assert target.origin == origin


def test_headers_of_one_name_are_joined_whatever_case_they_came_in():
    told = Response.of(200, [("Vary", "a"), ("VARY", "b"), ("X", "1")])
    assert told.headers == {"vary": "a, b", "x": "1"}
