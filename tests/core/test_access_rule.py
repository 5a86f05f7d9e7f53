"""Access rules: service, method and path, and what stands for a part of a path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.access_rule import MAX_PATH, permits
from latchgate.core.model import AccessRule


def fits(rule: str, path: str) -> bool:
    return permits([AccessRule("compute", "GET", rule)], "compute", "GET", path)


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        ("/v2.1/servers", "/v2.1/servers", True),
        ("/v2.1/servers", "/v2.1/servers/", False),
        ("/v2.1/servers", "/v2.1/servers/1", False),
        ("/v2.1/servers", "/v2.1/Servers", False),
        ("/v2.1/servers", "/v2x1/servers", False),
        ("/v2.1/servers/*", "/v2.1/servers/1", True),
        ("/v2.1/servers/*", "/v2.1/servers/", False),
        ("/v2.1/servers/*", "/v2.1/servers", False),
        ("/v2.1/servers/*", "/v2.1/servers/1/ips", False),
        ("/v2.1/*/ips", "/v2.1/1/ips", True),
        ("/v2.1/*/ips", "/v2.1/1/2/ips", False),
        ("/v2.1/s*s", "/v2.1/servers", True),
        ("/v2.1/{project}/servers", "/v2.1/p-1/servers", True),
        ("/v2.1/{project}/servers", "/v2.1/a/b/servers", False),
        ("/v2.1/{project}/servers", "/v2.1//servers", False),
        ("/v2.1/**", "/v2.1/", True),
        ("/v2.1/**", "/v2.1/a/b/c", True),
        ("/v2.1/**", "/v2.1", False),
        ("/**/ips", "/a/b/ips", True),
        ("/v2.1/{a/b}", "/v2.1/{a/b}", True),
        ("/v2.1/(a|b)+", "/v2.1/a", False),
        ("/v2.1/(a|b)+", "/v2.1/(a|b)+", True),
        ("/a", "/a\n", False),
        ("/*", "/a\n", True),
    ],
)
def test_wildcards_stand_for_one_segment_or_for_any_number(rule, path, expected):
    assert fits(rule, path) is expected


def test_service_method_and_path_must_all_be_those_of_one_rule():
    rules = [AccessRule("compute", "GET", "/a"), AccessRule("identity", "POST", "/b")]
    assert permits(rules, "compute", "GET", "/a")
    assert permits(rules, "identity", "POST", "/b")
    for service, method, path in (
        ("identity", "GET", "/a"),
        ("compute", "POST", "/a"),
        ("compute", "GET", "/b"),
        ("compute", "HEAD", "/a"),
        ("compute", "get", "/a"),
        (None, "GET", "/a"),
    ):
        assert not permits(rules, service, method, path)


def test_no_rule_permits_nothing():
    assert not permits([], "compute", "GET", "/a")


def by_regex(rule: str) -> re.Pattern[str]:
    """The same, said the short way: right, and as slow as whoever wrote the rule likes."""
    parts, last = [], 0
    for wild in re.finditer(r"\*\*|\*|\{[^/{}]*\}", rule):
        parts += [re.escape(rule[last : wild.start()]), ".*" if wild[0] == "**" else "[^/]+"]
        last = wild.end()
    return re.compile("".join(parts) + re.escape(rule[last:]), re.DOTALL)


PATHS = st.text(alphabet="ab/", max_size=10).map("/".__add__)


@FUZZ
@given(rule=st.text(alphabet="ab/*{}", max_size=8).map("/".__add__), path=PATHS)
def test_it_agrees_with_a_regular_expression(rule, path):
    assert fits(rule, path) == (by_regex(rule).fullmatch(path) is not None)


@FUZZ
@given(rule=st.lists(st.sampled_from(["*", "**", "a", "/", "{x}"]), max_size=7), path=PATHS)
def test_many_wildcards_agree_too(rule, path):
    text = "/" + "".join(rule)
    assert fits(text, path) == (by_regex(text).fullmatch(path) is not None)


@pytest.mark.parametrize("rule", ["/" + "*a" * 112, "/" + "**a" * 74, "/" + "{x}a" * 56])
def test_no_rule_makes_work_that_grows_faster_than_the_path(rule):
    """A regular expression of this many wildcards would not end."""
    assert not fits(rule, "/" + "a" * (MAX_PATH - 2) + "b")


def test_a_very_long_path_is_named_only_as_it_is():
    path = "/" + "a" * MAX_PATH
    assert not fits("/**", path)
    assert fits(path, path)


@FUZZ
@given(text=st.text(alphabet="ab/.+()[]|\\^$?", max_size=12))
def test_without_wildcards_it_names_itself_alone(text):
    path = "/" + text
    assert fits(path, path)
    assert not fits(path, path + "a")
    assert not fits(path, "/a" + path)
