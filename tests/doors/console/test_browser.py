"""What holds for every page: its headers, where its forms come from, and where it is."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.doors.console.visitor import Visitor
from tests.world import http_request

from latchgate.signin import ceremony, session

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SESSION, BROWSER = session.COOKIE, ceremony.COOKIE


def test_a_page_allows_no_script_or_style_but_files_of_this_origin_and_no_frame(visitor):
    page = visitor.see("/sign-in")
    policy = {
        name: value
        for name, _, value in (
            one.partition(" ") for one in page.headers["content-security-policy"].split("; ")
        )
    }
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    for inline in ("<style", " style=", "onclick", "javascript:"):
        assert inline not in visitor.page
    assert '<html lang="en" dir="ltr">' in visitor.page


def test_what_a_page_loads_is_kept_by_a_name_that_changes_with_it(visitor):
    page = visitor.see("/sign-in")
    path = page.body.decode().partition('rel="stylesheet" href="')[2].partition('"')[0]
    found = visitor.ask("GET", path)
    assert found.status == 200
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in found.headers["cache-control"]
    assert "set-cookie" not in found.headers
    assert visitor.ask("POST", path).status == 405
    assert visitor.ask("GET", "/assets/../frame.py").status == 404


def test_head_answers_like_get_without_a_body(visitor):
    head = visitor.ask("HEAD", "/sign-in")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 500


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "", "Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused_whatever_it_holds(visitor, person, headers):
    visitor.sign_in(person)
    visitor.see("/security")
    assert visitor.send("/sign-out", **headers).status == 403
    assert visitor.is_signed_in()


def test_a_form_without_the_token_of_its_page_is_refused(visitor, person):
    stranger = Visitor(visitor.server)
    stranger.see("/sign-in")
    visitor.sign_in(person)
    visitor.see("/security")
    own = visitor.token
    for token in ("", "0" * 64, stranger.token, own[:-1], own + "0", "é"):
        visitor.token = token
        refused = visitor.send("/sign-out")
        assert refused.status == 403, token
        assert SESSION in visitor.cookies
    visitor.token = own
    assert visitor.send("/sign-out").status == 303
    assert not visitor.is_signed_in()


def test_a_login_form_carries_a_token_too_so_nobody_is_signed_in_as_another(visitor, person):
    stranger = Visitor(visitor.server)
    stranger.see("/sign-in")
    visitor.see("/sign-in")
    visitor.token = stranger.token
    form = {"login": person.login, "password": person.password, "next": "/"}
    assert visitor.send("/sign-in", form).status == 403
    assert SESSION not in visitor.cookies


def test_a_browser_without_cookies_is_told_what_they_need(visitor):
    visitor.see("/sign-in")
    visitor.cookies.clear()
    answer = visitor.send("/sign-in", {"login": "a", "password": "b", "next": "/"})
    assert answer.status == 403
    assert b"cookies" in answer.body


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"csrf=a&csrf=b", "application/x-www-form-urlencoded", 400),
        (b"unknown=1", "application/x-www-form-urlencoded", 400),
        (b"login=%FF", "application/x-www-form-urlencoded", 400),
        (b"login=" + b"x" * 40_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
    ],
)
def test_a_form_that_is_none_is_refused(visitor, body, kind, status):
    visitor.see("/sign-in")
    assert visitor.ask("POST", "/sign-in", body, Content_Type=kind).status == status


@pytest.mark.parametrize("query", ["next=/a&next=/b", "unknown=1", "next=%FF"])
def test_an_address_that_holds_more_than_the_page_takes_is_refused(visitor, query):
    assert visitor.ask("GET", f"/sign-in?{query}").status == 400


def test_a_page_under_another_name_says_where_the_console_is(visitor):
    for host in ("evil.example", "127.0.0.1:1", "localhost", "127.0.0.1:x", "a@127.0.0.1", ""):
        headers = {"Host": host}
        answer = http_request("GET", f"{visitor.origin}/sign-in", headers=headers)
        assert answer.status in {400, 421}, host
        assert "set-cookie" not in answer.headers
        if answer.status == 421:
            assert visitor.origin in answer.body.decode()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/sign-in", "GET, HEAD, POST"),
        ("GET", "/sign-out", "POST"),
        ("POST", "/security", "GET, HEAD"),
    ],
)
def test_other_methods_are_refused(visitor, method, path, allowed):
    answer = visitor.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/security", "/security/app", "/security/password", "/"])
def test_whoever_is_not_signed_in_is_sent_to_do_that_and_back_again(visitor, path):
    answer = visitor.see(path)
    assert answer.status == 303
    assert answer.headers["location"] == f"/sign-in?next={path.replace('/', '%2F')}"


def test_a_store_that_fails_is_told_as_a_page(visitor, world, person):
    visitor.sign_in(person)
    with world.changing() as change:
        change.execute(sa.text("ALTER TABLE authenticator RENAME TO gone"))
    try:
        answer = visitor.ask("GET", "/security")
        assert answer.status == 503
        assert b"Try again later" in answer.body
    finally:
        with world.changing() as change:
            change.execute(sa.text("ALTER TABLE gone RENAME TO authenticator"))
    assert visitor.is_signed_in()
