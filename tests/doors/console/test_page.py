"""One page: what answers which method, who may open it, and where one goes on after a sign-in."""

from types import SimpleNamespace
from typing import Any

import pytest

from latchgate.doors.console.page import Page, _check_rights, _later, _status
from latchgate.doors.form import FormError
from latchgate.manage.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StaleError,
    UnprovenError,
)
from latchgate.oauth.sent import UnanswerableError
from latchgate.store.errors import ConflictError

POLICY: Any = object()


async def show(_browser: Any) -> Any: ...


async def take(_browser: Any) -> Any: ...


@pytest.mark.parametrize(
    ("page", "methods", "post"),
    [
        (Page("/a", show=show), "GET, HEAD", None),
        (Page("/a", take=take), "POST", take),
        (Page("/a", show=show, take=take), "GET, HEAD, POST", take),
        (Page("/a", show=show, entrance=True), "GET, HEAD, POST", show),
    ],
)
def test_a_page_takes_what_it_has_a_handler_for(page, methods, post):
    assert page.methods == methods
    assert page.handler("POST") is post
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", ""):
        assert page.handler(method) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("x"), 404),
        (ForbiddenError("x"), 403),
        (UnprovenError("x"), 403),
        (InvalidError([("a", "b")]), 422),
        (StaleError(3), 409),
        (ConflictError("x"), 409),
        (UnanswerableError("x"), 400),
    ],
)
def test_what_the_rules_refuse_has_its_status(error, status):
    assert _status(error) == status


def browser(*, outside: bool = False, holds: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(
        standing=SimpleNamespace(outside=outside),
        policy=POLICY,
        may=lambda *scopes: bool(set(scopes) & set(holds)),
    )


def refused(asked: Any, page: Page) -> int:
    try:
        _check_rights(asked, page)
    except FormError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("asked", "page", "status"),
    [
        (browser(), Page("/a"), 200),
        (browser(), Page("/a", scopes=("a:b",)), 403),
        (browser(holds=("a:c",)), Page("/a", scopes=("a:b",)), 403),
        (browser(holds=("a:c",)), Page("/a", scopes=("a:b", "a:c")), 200),
        (browser(outside=True, holds=("a:b",)), Page("/a", scopes=("a:b",)), 403),
        (browser(outside=True), Page("/a"), 403),
        (browser(holds=("a:b",)), Page("/a", scopes=("a:b",), offered=lambda _: False), 404),
        (browser(), Page("/a", offered=lambda policy: policy is POLICY), 200),
    ],
)
def test_a_page_opens_to_who_holds_any_of_its_scopes_where_they_may_be(asked, page, status):
    assert refused(asked, page) == status


def sent(method: str, target: str, **headers: str) -> Any:
    asked = SimpleNamespace(method=method, target=target, headers=headers)
    path = target.partition("?")[0]
    return SimpleNamespace(asked=asked, path=path, origin="https://login.example.com")


@pytest.mark.parametrize(
    ("request_", "following"),
    [
        (sent("GET", "/keys?q=a"), "/keys?q=a"),
        (sent("GET", "/keys"), "/keys"),
        # A form is not sent again: the page that it stood on is opened.
        (sent("POST", "/keys/new", referer="https://login.example.com/keys?q=a"), "/keys?q=a"),
        (sent("POST", "/keys/new"), "/"),
        (sent("POST", "/keys/new", referer="https://evil.example/keys"), "/"),
        (sent("POST", "/keys/new", referer="https://login.example.com.evil.example/"), "/"),
        (sent("POST", "/keys/new", referer="https://login.example.com//evil.example"), "/"),
        (sent("POST", "/keys/new", referer="https://login.example.com@evil.example"), "/"),
    ],
)
def test_after_a_sign_in_one_goes_on_where_one_was_and_nowhere_else(request_, following):
    assert _later(request_) == following
