"""What comes in: queries and conditions, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest

from latchgate.doors.lists import read_query
from latchgate.doors.manage.reading import read_match, read_once
from latchgate.manage import keys
from latchgate.manage.errors import InvalidError
from latchgate.manage.listing import Query
from latchgate.manage.records import ANY

PARAMETERS = set(keys.LISTING.parameters())


def query(*items):
    return read_query(list(items), keys.LISTING)


def test_a_page_holds_100_unless_told():
    assert query() == Query(limit=100, after=None, q=None, sort=(), filters={})


def test_a_query_is_read():
    told = query(
        ("limit", "7"), ("after", "k-1"), ("q", "x"), ("sort", "name,-created_at"), ("state", "a")
    )
    assert told == Query(7, "k-1", "x", ("name", "-created_at"), {"state": "a"})
    assert query(("limit", "1")).limit == 1
    assert query(("limit", "1000")).limit == 1_000


@given(st.one_of(st.text(max_size=40), st.from_regex(r"0*[0-9]{1,30}", fullmatch=True)))
def test_a_limit_is_between_1_and_1000_or_refused(text):
    try:
        limit = query(("limit", text)).limit
    except InvalidError as error:
        (named,) = [field for field, _ in error.faults]
        assert named == "limit"
    else:
        assert 1 <= limit <= 1_000
        assert limit == int(text)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["limit", "after", "q", "sort", "name", "other", ""]), st.just("5")
        )
    )
)
def test_only_what_is_declared_is_taken_and_only_once(items):
    names = [name for name, _ in items]
    good = set(names) <= PARAMETERS and len(set(names)) == len(names)
    try:
        query(*items)
    except InvalidError:
        assert not good
    else:
        assert good


def sent(*headers, method="PATCH", path="/manage/v1/keys"):
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    scope |= {"query_string": b"", "server": ("127.0.0.1", 1), "scheme": "http"}
    return HttpRequest(scope)


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ('"7"', {7}),
        ('"7", "8"', {7, 8}),
        ('"7","8"\t', {7, 8}),
        ('"another servers tag"', None),
        ('"abc"', set()),
        ('""', set()),
        ('"' + "9" * 30 + '"', set()),
        ('"\xb2"', None),
    ],
)
def test_if_match_names_versions(text, versions):
    if versions is None:
        with pytest.raises(HTTPException):
            read_match(sent(("If-Match", text)))
    else:
        assert read_match(sent(("If-Match", text))).versions == versions


def test_no_if_match_and_a_star_allow_any_version():
    assert read_match(sent()) == read_match(sent(("If-Match", " * "))) == ANY


def test_if_match_may_stand_on_two_lines():
    wanted = frozenset({1, 2})
    assert read_match(sent(("If-Match", '"1"'), ("If-Match", '"2"'))).versions == wanted


@pytest.mark.parametrize("text", ['W/"7"', "7", '"7', '"7" "8"', '*, "7"', '"7",', ",", "", " "])
def test_a_weak_or_malformed_if_match_is_refused(text):
    with pytest.raises(HTTPException) as refused:
        read_match(sent(("If-Match", text)))
    assert refused.value.status_code == 400


def test_an_idempotency_key_binds_method_path_and_body():
    one = read_once(sent(("Idempotency-Key", "k")), {"a": 1})
    assert one is not None
    assert one.key == "k"
    assert one == read_once(sent(("Idempotency-Key", "k")), {"a": 1})
    others = [
        read_once(sent(("Idempotency-Key", "k")), {"a": 2}),
        read_once(sent(("Idempotency-Key", "k"), method="POST"), {"a": 1}),
        read_once(sent(("Idempotency-Key", "k"), path="/manage/v1/users"), {"a": 1}),
    ]
    assert len({one.request, *(other.request for other in others if other is not None)}) == 4
    assert read_once(sent(), {}) is None


@pytest.mark.parametrize("text", ["", "a b", "\xe9", "x" * 256, "a\tb", "\x7f"])
def test_an_idempotency_key_is_visible_ascii(text):
    with pytest.raises(InvalidError) as refused:
        read_once(sent(("Idempotency-Key", text)), {})
    assert [field for field, _ in refused.value.faults] == ["Idempotency-Key"]


def test_two_idempotency_keys_are_refused():
    with pytest.raises(InvalidError):
        read_once(sent(("Idempotency-Key", "a"), ("Idempotency-Key", "a")), {})
