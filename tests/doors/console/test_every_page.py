"""What holds on every page, by enumeration: who may open it, what it takes, and its headers.

Each rule is asked of all pages at once, so that a new page is held to it without a line here.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlencode

import pytest
from tests import people
from tests.doors.console.declared import declared, path_of
from tests.doors.console.visitor import Visitor
from tests.people import Person
from tests.world import Answer

from latchgate.doors.console.page import Page
from latchgate.manage import logins
from latchgate.signin import session

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PAGES = tuple(declared())
SHOWN = tuple(page for page in PAGES if page.show is not None)
TAKEN = tuple(page for page in PAGES if page.take is not None)
# Behind a sign-in, and not for everybody who did.
CLOSED = tuple(page for page in PAGES if page.scopes)
KEPT_BY_NOBODY = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# What it may be, in the order of the header; nothing inline, nothing evaluated, nobody's frame.
POLICY = re.compile(
    r"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    r" form-action 'self'(?: https?://[a-z0-9.:-]+)*; base-uri 'none'; frame-ancestors 'none'"
)
# Places that a browser, or whoever is next, could take for another origin (ATTACKS D6.55, D2.17).
ELSEWHERE = (
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example/",
    "https:evil.example",
    "/%2F/evil.example",
    "/%5Cevil.example",
    "/\t/evil.example",
    "/overview/..//evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "/overview\r\nSet-Cookie: a=b",
    "@evil.example",
)
# Would be a script in a text, in an attribute, and in a template that is filled in twice.
HOSTILE = "\"'><script>alert(1)</script>{{ 7*'7' }}%(x)s"


@pytest.fixture(scope="module")
def somebody(world) -> Person:
    """Somebody who may do everything."""
    return people.person(world, "*")


@pytest.fixture(scope="module")
def signed_in(server, somebody) -> Visitor:
    """Their browser."""
    return _signed_in(Visitor(server), somebody)


@pytest.fixture(scope="module")
def without_a_role(server, world) -> Visitor:
    """The browser of somebody of the same tenant who holds no role."""
    owner, user = world.owner, world.user(world.owner.tenant_id)
    nobody = Person(user, owner.tenant_id, owner.project_id, "without-a-role", "")
    with world.changing() as change:
        logins.add_login(change, owner.tenant_id, user, "latchgate", nobody.login)
    return _signed_in(Visitor(server), people.replace_password(world, nobody))


def _signed_in(visitor: Visitor, person: Person) -> Visitor:
    visitor.sign_in(person)
    assert visitor.see("/security").status == 200
    return visitor


def _faults(pages: Iterable[Page], fault: Callable[[Page], object]) -> list[str]:
    """Return what is wrong with which page; a rule that is asked of no page proves nothing."""
    asked = [(page.path, fault(page)) for page in pages]
    assert asked
    return [f"{path}: {found}" for path, found in asked if found]


def _status(answer: Answer, wanted: int) -> str:
    return "" if answer.status == wanted else f"{answer.status} instead of {wanted}"


# --- what changes something


def test_every_form_is_refused_without_the_token_of_its_page(signed_in):
    def fault(page):
        return _status(signed_in.ask("POST", path_of(page), {}), 403)

    assert _faults(TAKEN, fault) == []
    assert signed_in.is_signed_in()


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "", "Sec_Fetch_Site": "cross-site"}],
)
def test_every_form_is_refused_from_another_site_even_with_its_token(signed_in, headers):
    def fault(page):
        return _status(signed_in.send(path_of(page), **headers), 403)

    assert _faults(TAKEN, fault) == []
    assert signed_in.is_signed_in()


def test_no_form_takes_a_field_that_is_not_its_own(signed_in):
    def fault(page):
        return _status(signed_in.send(path_of(page), {"tenant_id_": "t-1"}), 400)

    assert _faults(TAKEN, fault) == []
    assert signed_in.is_signed_in()


def test_no_field_comes_twice_but_those_that_may(signed_in):
    def fault(page):
        name = min(page.fields - page.several)
        pairs = [("csrf", signed_in.token), (name, "a"), (name, "b")]
        return _status(signed_in.ask("POST", path_of(page), urlencode(pairs).encode()), 400)

    assert _faults([page for page in TAKEN if page.fields - page.several], fault) == []


# --- who may open what


def test_whoever_is_not_signed_in_is_sent_to_do_that_by_every_page_that_asks_for_it(server):
    stranger = Visitor(server)
    stranger.see("/sign-in")

    def fault(page):
        told = [stranger.ask("GET", path_of(page))] if page.show else []
        told += [stranger.send(path_of(page))] if page.take else []
        return [
            f"{answer.status} to {answer.headers.get('location')}"
            for answer in told
            if answer.status != 303
            or not answer.headers["location"].startswith("/sign-in?next=%2F")
        ]

    assert _faults([page for page in PAGES if page.signed_in], fault) == []
    assert session.COOKIE not in stranger.cookies


def test_no_page_opens_without_its_scope_and_the_menu_has_none_of_them(without_a_role):
    """Of every route: ATTACKS D5.40."""

    def fault(page):
        told = [without_a_role.ask("GET", path_of(page))] if page.show else []
        told += [without_a_role.send(path_of(page))] if page.take else []
        return [answer.status for answer in told if answer.status != 403]

    assert _faults(CLOSED, fault) == []
    without_a_role.see("/security")
    assert [page.path for page in CLOSED if f'href="{page.path}"' in without_a_role.page] == []


def test_a_page_that_shows_or_changes_the_tenants_records_names_the_scopes_for_it():
    """What opens without a scope is one's own, or leads elsewhere: each was looked at."""
    open_to_all = {page.path for page in PAGES if page.signed_in and not page.scopes}
    own = ("/security", "/applications", "/profile", "/oauth/", "/device/", "/settings")
    assert (
        sorted(
            path
            for path in open_to_all - {"/", "/overview", "/project"}
            if not path.startswith(own)
        )
        == []
    )


# --- how it is answered


def _sound(answer: Answer) -> list[str]:
    """Return which of the headers that every answer has are missing."""
    wrong = [
        f"{name}: {answer.headers.get(name)}"
        for name, text in KEPT_BY_NOBODY.items()
        if answer.headers.get(name) != text
    ]
    policy = answer.headers.get("content-security-policy", "")
    wrong += [] if POLICY.fullmatch(policy) else [policy]
    cookies = [text for name, text in answer.pairs if name == "set-cookie"]
    wrong += [text.partition("=")[0] for text in cookies if not text.startswith("__Host-")]
    wrong += [name for name in ("server", "x-powered-by") if name in answer.headers]
    return wrong + ([f"status {answer.status}"] if answer.status >= 500 else [])


def test_every_answer_is_kept_by_nobody_framed_by_nobody_and_runs_nothing_inline(
    server, signed_in, without_a_role
):
    stranger = Visitor(server)

    def fault(page):
        path = path_of(page)
        told = [visitor.ask("GET", path) for visitor in (signed_in, without_a_role, stranger)]
        told += [signed_in.ask("POST", path, {}), stranger.ask("POST", path, {})]
        inline = (b"<style", b" style=", b" onclick=", b"javascript:", b"<script>")
        found = [text.decode() for one in told for text in inline if text in one.body]
        return found + [wrong for one in told for wrong in _sound(one)]

    assert _faults(PAGES, fault) == []


def test_every_page_answers_head_as_it_answers_get_without_a_body(signed_in):
    def fault(page):
        path = path_of(page)
        shown, head = signed_in.ask("GET", path), signed_in.ask("HEAD", path)
        same = shown.status == head.status and shown.headers.keys() == head.headers.keys()
        return "" if same and head.body == b"" else (shown.status, head.status, head.body[:80])

    assert _faults([page for page in SHOWN if not page.entrance], fault) == []


def test_every_page_says_which_methods_it_takes(signed_in):
    def fault(page):
        known = {"GET", "POST", "PUT", "DELETE"} - set(page.methods.split(", "))
        told = [signed_in.ask(method, path_of(page)) for method in sorted(known)]
        wrong = [
            one for one in told if (one.status, one.headers.get("allow")) != (405, page.methods)
        ]
        return [one.status for one in wrong]

    assert _faults(PAGES, fault) == []


def test_no_page_takes_a_query_that_is_not_its_own(signed_in):
    def fault(page):
        return _status(signed_in.ask("GET", f"{path_of(page)}?unknown_=1"), 400)

    asked = [page for page in SHOWN if page.query is not None and not page.entrance]
    assert _faults(asked, fault) == []


# --- what somebody else wrote


def test_no_page_leads_to_another_origin_whatever_it_is_told_to_go_on_with(server, somebody):
    visitor = Visitor(server)
    asked = [page for page in SHOWN if "next" in (page.query or ())]
    assert asked
    found: list[tuple[object, str]] = []
    for where in ELSEWHERE:
        for page in asked:
            visitor.see(f"{path_of(page)}?{urlencode({'next': where})}")
            inside = html.unescape(visitor.page)
            found += [(page.path, where)] if f'name="next" value="{where}"' in inside else []
        fresh = Visitor(server)
        went = fresh.sign_in(somebody, where)
        found += [(went.status, where)] if went.headers.get("location") != "/" else []
    assert found == []


def test_a_form_that_was_sent_without_a_session_goes_on_at_no_address_of_its_referrer(server):
    visitor = Visitor(server)
    visitor.see("/sign-in")
    for page in (page for page in TAKEN if page.signed_in):
        for where in ("https://evil.example/", f"{visitor.origin}//evil.example", "//evil.example"):
            answer = visitor.send(path_of(page), Referer=where)
            assert answer.headers["location"] == "/sign-in?next=%2F", (page.path, where)


def test_nothing_that_was_sent_becomes_part_of_a_page_or_fails_it(server, world):
    person = people.person(world, "*")
    visitor = _signed_in(Visitor(server), person)

    def fault(page):
        path, told = path_of(page), []
        if page.show:
            query = urlencode(dict.fromkeys(page.query or ("state", "error"), HOSTILE))
            told.append(visitor.ask("GET", f"{path}?{query}"))
        if page.take:
            fields = dict.fromkeys(page.fields | page.several, HOSTILE)
            told.append(visitor.send(path, {**fields, "csrf": visitor.token}))
        if session.COOKIE not in visitor.cookies:
            _signed_in(visitor, person)
        wrong = [f"status {one.status}" for one in told if one.status >= 500]
        return wrong + ["unescaped" for one in told if b"<script>alert" in one.body]

    assert _faults(PAGES, fault) == []
    # Nor does what was kept of it, on any page that shows it later.
    pages = [page for page in SHOWN if not page.entrance and "{id}" not in page.path]
    kept = [visitor.ask("GET", path_of(page)).body for page in pages]
    assert [body[:200] for body in kept if b"<script>alert" in body or b"7777777" in body] == []
