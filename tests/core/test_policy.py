from __future__ import annotations

import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, SHIPPED

from latchgate.core.network import Networks
from latchgate.core.path import Path, read_path
from latchgate.core.policy import Area, Policy, Rule, Service

HOSTS = ("a.example", "b.example", "c.example")
SEGMENTS = st.sampled_from(["v1", "v2", "storage", "storage-admin", "a", "ab", "a%2Fb", "v1.", "%"])
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda parts: "/" + "/".join(parts))
# Long ones too, with few segments and with many: those are not looked through to their end.
MORE = [
    "",
    "/",
    "x",
    "-admin",
    ".",
    "/x/y/z/w",
    "x" * 600,
    "/" + "x" * 600,
    "/x" * 300,
    "/x" * 300 + "/",
]
ASKED = st.tuples(PATHS, st.sampled_from(MORE)).map("".join)


def area(path: str, *, hosts: tuple[str, ...] = (), exact: bool = False, **more: object) -> Area:
    rules = {"GET": Rule(scope=None)}
    fields = {
        "provider": "p",
        "realm": "P",
        "hosts": hosts,
        "path": path,
        "exact": exact,
        "service": None,
        "kinds": (),
        "rules": rules,
        "dialect": "problem",
        "public": True,
        "closed": False,
        "preflight": False,
        "encoded_slash": False,
        "application": None,
        "logins": "p",
        "parameters": False,
        "tls": False,
        "plain": Networks(()),
    }
    return Area(**{**fields, **more})  # type: ignore[arg-type]


def policy(*areas: Area, covers: Mapping[str, str] | None = None) -> Policy:
    return Policy.compiled(version=1, areas=areas, services={}, kinds={}, covers=covers or {})


@st.composite
def policies(draw):
    """A policy without overlaps: no two areas with the same path on the same host."""
    areas: list[Area] = []
    taken: set[tuple[str | None, str]] = set()
    for path in draw(st.lists(PATHS, max_size=8)):
        hosts = tuple(draw(st.sets(st.sampled_from(HOSTS[:2]))))
        places = {(host, path) for host in hosts or (None,)}
        if not places & taken:
            taken |= places
            areas.append(area(path, hosts=hosts, exact=draw(st.booleans())))
    return policy(*areas)


def segments(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")


def reference(areas: tuple[Area, ...], host: str, path: str) -> Area | None:
    """The rule of the policy, word for word: segment-exact, longest wins, host first."""
    for right_host in (lambda hosts: host in hosts, lambda hosts: not hosts):
        found = [
            one
            for one in areas
            if right_host(one.hosts)
            and (
                one.path == path
                if one.exact
                else segments(path)[: len(segments(one.path))] == segments(one.path)
            )
        ]
        if found:
            return max(found, key=lambda one: len(segments(one.path)))
    return None


@FUZZ
@given(found=policies(), host=st.sampled_from((*HOSTS, "")), path=ASKED)
def test_matching_does_what_a_naive_reading_of_the_rule_does(found, host, path):
    assert found.match(host, path) is reference(found.areas, host, path)


@FUZZ
@given(prefixes=st.lists(PATHS, max_size=6, unique=True), path=ASKED)
def test_what_no_area_covers_is_answered_by_the_longest_cover(prefixes, path):
    covers = {prefix: f"dialect {prefix}" for prefix in prefixes}
    under = [one for one in prefixes if segments(path)[: len(segments(one))] == segments(one)]
    longest = max(under, key=lambda one: len(segments(one)), default=None)
    expected = "problem" if longest is None else covers[longest]
    assert policy(covers=covers).dialect(path) == expected


NEAR_MISSES = ["/v1/storage-admin", "/v1/storageX", "/v1/storage.", "/v1/stor", "/v1/Storage"]
NEAR_MISSES += ["/V1/storage", "/v1/storage%2Fx", "/v1/storage;x", "/v1", "/", "", "v1/storage"]
NEAR_MISSES += ["/v1/storage x", "/x/v1/storage"]


@pytest.mark.parametrize(
    "path",
    NEAR_MISSES,
)
def test_d2_19_a_prefix_ends_at_a_segment_border_and_its_case_counts(path):
    assert policy(area("/v1/storage")).match("h", path) is None


@pytest.mark.parametrize(
    "path", ["/v1/storage", "/v1/storage/", "/v1/storage/x", "/v1/storage/x/y/"]
)
def test_what_lies_below_a_prefix_belongs_to_it(path):
    storage = area("/v1/storage")
    assert policy(storage).match("h", path) is storage


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/models/x", "/v1/modelsx", "/v1"])
def test_an_exact_area_covers_its_path_and_nothing_below_it(path):
    models = area("/v1/models", exact=True)
    assert policy(models).match("h", "/v1/models") is models
    assert policy(models).match("h", path) is None


def test_below_an_exact_area_the_next_shorter_prefix_answers():
    wide, models = area("/v1"), area("/v1/models", exact=True)
    found = policy(wide, models)
    assert found.match("h", "/v1/models") is models
    assert found.match("h", "/v1/models/x") is wide


def test_an_area_that_names_the_host_goes_before_a_longer_one_that_does_not():
    named, anywhere = area("/", hosts=("a.example",)), area("/v1/storage")
    found = policy(named, anywhere)
    assert found.match("a.example", "/v1/storage/x") is named
    assert found.match("b.example", "/v1/storage/x") is anywhere
    assert found.match("", "/v1/storage/x") is anywhere


def test_a_named_host_falls_back_to_the_areas_of_every_host():
    named, anywhere = area("/v2", hosts=("a.example",)), area("/v1")
    found = policy(named, anywhere)
    assert found.match("a.example", "/v1/x") is anywhere
    assert found.match("b.example", "/v2/x") is None


def test_an_area_of_several_hosts_answers_on_each_and_on_no_other():
    named = area("/v1", hosts=("a.example", "b.example"))
    found = policy(named)
    assert found.match("a.example", "/v1") is found.match("b.example", "/v1") is named
    assert found.match("c.example", "/v1") is None
    assert found.match("", "/v1") is None


def test_an_area_at_the_root_covers_everything_and_an_exact_one_the_root_alone():
    root = area("/")
    for path in ("/", "/x", "/x/y/z"):
        assert policy(root).match("", path) is root
    root = area("/", exact=True)
    assert policy(root).match("", "/") is root
    assert policy(root).match("", "/x") is None


@pytest.mark.parametrize("path", ["", "x", "v1/storage", "*", "http://h/", "?"])
def test_what_does_not_start_with_a_slash_is_not_even_covered_by_the_root(path):
    assert policy(area("/")).match("h", path) is None
    assert policy(covers={"/v1": "wayscloud"}).dialect(path) == "problem"


def test_an_empty_policy_covers_nothing():
    for path in ("/", "/x", "", "*"):
        assert policy().match("h", path) is None
        assert policy().dialect(path) == "problem"


@pytest.mark.parametrize(
    "path",
    ["/" + "a/" * 32_767, "a" * 65_535, "/" * 65_535, "a/" * 32_767, "/" + "a" * 65_534],
    ids=["segments", "relative", "slashes", "relative segments", "one segment"],
)
def test_a_hostile_path_is_matched_in_linear_time(path):
    found = policy(area("/v1/storage"), covers={"/v1": "wayscloud"})
    began = time.process_time()
    assert found.match("h", path) is None
    assert found.dialect(path) == "problem"
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("rules", "method", "scope"),
    [
        ({"GET": "a:r"}, "GET", "a:r"),
        ({"GET": "a:r"}, "HEAD", None),
        ({"GET": "a:r"}, "get", None),
        ({"GET": "a:r"}, "", None),
        ({"*": "a:m"}, "PROPFIND", "a:m"),
        ({"*": "a:m", "GET": "a:r"}, "GET", "a:r"),
        ({"*": "a:m", "GET": "a:r"}, "DELETE", "a:m"),
        ({}, "GET", None),
    ],
)
def test_a_method_has_its_own_rule_or_that_of_every_other_method(rules, method, scope):
    found = area("/", rules={name: Rule(scope=need) for name, need in rules.items()}).rule(method)
    assert (found.scope if found is not None else None) == scope


def test_methods_are_told_in_order():
    assert area("/", rules={"PUT": Rule(None), "GET": Rule(None)}).methods == ("GET", "PUT")


def test_a_service_has_its_scopes_and_an_unknown_one_has_none():
    found = Policy.compiled(
        version=1,
        areas=(),
        services={"s": Service("s", "S", "p", {"s:r": "Read"})},
        kinds={},
        covers={},
    )
    assert found.scopes_of("s") == frozenset({"s:r"})
    assert found.scopes_of("t") == frozenset()


def decoded_match(found: Policy, path: str) -> Area | None:
    return found.match("api.example.com", path.replace("%2F", "/"))


@pytest.mark.parametrize(
    "target", ["/v1/storage/a%2Fb", "/v1/storage/a%2Fb%2Fc/d", "/v1/dns/a%2Fb"]
)
def test_in_the_shipped_policy_an_encoded_slash_never_changes_which_area_is_chosen(target):
    read = read_path(target)
    assert isinstance(read, Path)
    chosen = SHIPPED.match("api.example.com", read.text)
    assert chosen is not None
    assert chosen is decoded_match(SHIPPED, read.text)


def test_a_scope_that_is_asked_for_has_one_rule_so_that_use_of_it_adds_up():
    policy = SHIPPED
    assert policy.rule_for("storage:read") is policy.rule_for("storage:read")
    assert policy.rule_for("storage:read").scope == "storage:read"
    assert policy.rule_for("nothing:known").price is None
