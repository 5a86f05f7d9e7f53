"""What comes in: pages and described requests, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.core.network import parse_address
from latchgate.core.path import read_path
from latchgate.doors.manage.reading import read_described, read_page
from latchgate.doors.manage.shapes import ExplainRequest
from latchgate.manage.errors import InvalidError


def test_a_page_holds_100_unless_told():
    assert read_page([]) == (100, None)


def test_a_page_is_read():
    assert read_page([("limit", "7"), ("after", "k-1")]) == (7, "k-1")
    assert read_page([("limit", "1")]) == (1, None)
    assert read_page([("limit", "1000")]) == (1_000, None)


@given(st.one_of(st.text(max_size=40), st.from_regex(r"0*[0-9]{1,30}", fullmatch=True)))
def test_a_limit_is_between_1_and_1000_or_refused(text):
    try:
        limit, _ = read_page([("limit", text)])
    except InvalidError as error:
        (named,) = [field for field, _ in error.faults]
        assert named == "limit"
    else:
        assert 1 <= limit <= 1_000
        assert limit == int(text)


@given(st.lists(st.tuples(st.sampled_from(["limit", "after", "other", ""]), st.just("5"))))
def test_only_what_is_known_is_taken_and_only_once(items):
    names = [name for name, _ in items]
    good = set(names) <= {"limit", "after"} and len(set(names)) == len(names)
    try:
        read_page(items)
    except InvalidError:
        assert not good
    else:
        assert good


def described(url, **how):
    return read_described(ExplainRequest(method="GET", url=url, **how))


@pytest.mark.parametrize(
    ("url", "host", "target", "tls"),
    [
        ("https://a.example/b?c=d", "a.example", "/b?c=d", True),
        ("http://a.example:8080/b", "a.example:8080", "/b", False),
        ("http://[::1]:8080/b", "[::1]:8080", "/b", False),
        ("https://user:pw@a.example/b", "a.example", "/b", True),
        ("https://a.example", "a.example", "/", True),
        ("HTTPS://A.example/B", "A.example", "/B", True),
        ("/b?c=https://d/e", "", "/b?c=https://d/e", False),
        ("/b%2Fc/%2e%2e", "", "/b%2Fc/%2e%2e", False),
        ("https://a.example/b//c", "a.example", "/b//c", True),
        ("https://a.example//b", "a.example", "//b", True),
        ("//b/c", "", "//b/c", False),
    ],
)
def test_a_url_keeps_its_path_as_it_was_written(url, host, target, tls):
    request = described(url)
    assert (request.host, request.target, request.tls) == (host, target, tls)


def test_the_host_header_goes_before_the_host_in_the_url():
    request = described("https://a.example/b", headers={"Host": "c.example", "X-A": "1"})
    assert request.host == "c.example"
    assert request.headers == {"host": "c.example", "x-a": "1"}


def test_a_client_is_read():
    assert described("/b", client="192.0.2.1").client == parse_address("192.0.2.1")
    assert described("/b").client is None


@given(st.text(max_size=60))
def test_any_url_becomes_a_request_or_is_refused_by_name(url):
    try:
        request = described(url)
    except InvalidError as error:
        (named,) = [field for field, _ in error.faults]
        assert named == "url"
    else:
        read_path(request.target)


@given(st.text(max_size=30))
def test_any_client_becomes_an_address_or_is_refused_by_name(client):
    try:
        described("/b", client=client)
    except InvalidError as error:
        (named,) = [field for field, _ in error.faults]
        assert named == "client"
