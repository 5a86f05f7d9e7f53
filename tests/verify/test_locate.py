"""Where a request leads: matrix parameters, memory, TLS (ATTACKS D2.16; the rest are vectors)."""

from __future__ import annotations

import json
from itertools import count, product

import msgspec
import pytest
from tests.core.makers import MAKERS
from tests.core.worlds import NOW, OWNER, decide, entropy, request, shipped, world

from latchgate.core.explain import record, worded
from latchgate.core.kinds.spec import Spec
from latchgate.core.path import last_parameters, without_parameters
from latchgate.core.reason import Reason
from latchgate.core.redact import redactor
from latchgate.verify import locate

KEY = "0123456789ABCDEF0123456789ABCDEF"


@pytest.mark.parametrize(
    ("target", "plain", "told"),
    [
        ("/a/b", "/a/b", []),
        ("/a/b;k=v", "/a/b", [("k", "v")]),
        ("/a/b;k=v;l", "/a/b", [("k", "v"), ("l", "")]),
        ("/a/b%3Bk=v%3bl=w", "/a/b", [("k", "v"), ("l", "w")]),
        ("/a/b;k=v?x;y=z", "/a/b", [("k", "v")]),
        ("/a;k=v/b", "/a;k=v/b", []),
        ("/a;k=v/b;l=w", "/a;k=v/b", [("l", "w")]),
        ("/a/;k=v", "/a/", [("k", "v")]),
        ("/a/b;k=v=w", "/a/b", [("k", "v=w")]),
        ("/a/b;k=%41", "/a/b", [("k", "%41")]),
        ("/a/b%253Bk=v", "/a/b%253Bk=v", []),
        ("", "", []),
        (";k=v", "", [("k", "v")]),
    ],
)
def test_the_last_segments_parameters_are_read_as_sent_and_no_others(target, plain, told):
    assert without_parameters(target) == plain
    assert last_parameters(target) == told


@pytest.mark.parametrize(
    "target",
    [
        f"/v2/api/x;api_key={KEY}",
        f"/v2/api/x%3Bapi_key={KEY}",
        f"/v2/api/..;api_key={KEY}",
        f"/v2/api;api_key={KEY}/x",
        f"/v2/api/x;api_key={KEY.lower()}",
        f"/v2/api/x;api_key={KEY[:20]}",
        f"/dav/x;api_key={KEY}",
        f"/nowhere;api_key={KEY}",
    ],
)
def test_d7_60_a_key_in_a_target_is_remembered_nowhere_and_written_nowhere(target):
    policy = shipped()
    users = MAKERS["app_password"].issue(1)
    for sent in ({}, MAKERS["app_password"].sent(users.secret.reveal())):
        for tls in (True, False):
            asked = request("GET", target, sent, tls=tls)
            decide(asked, world(), policy=policy)
            decision = decide(asked, world(), policy=policy)
            kept = record(decision, asked, NOW, redactor(policy.patterns()))
            written = json.dumps([kept, worded(kept)])
            for text in (KEY, KEY.lower(), KEY[:20]):
                assert text not in written
    assert "0123456789" not in str([*policy.located])


def test_places_without_parameters_are_remembered_and_decided_the_same_from_memory():
    policy = shipped()
    asked = request("GET", "/v1/storage/a")
    first = decide(asked, world(), policy=policy)
    assert list(policy.located) == [("GET", "api.example.com", "/v1/storage/a")]
    assert decide(asked, world(), policy=policy) == first


METHODS = ("GET", "PATCH", "OPTIONS", "PROPFIND", "COPY", "get", "X" * 40)
HOSTS = ("api.example.com", "API.example.com:443", "", "a b", "[::1]")
TARGETS = (
    *("/v1/storage", "/v1/storage/", "/v1/storage/a?b=/../c", "/v1/storage/.a", "/v1/storage/..a"),
    *(
        "/v1/storage/../a",
        "/v1/storage//a",
        "/v1/storage/a%2Fb",
        "/v1/storage/%C3%BC",
        "/v1/models",
    ),
    *(
        "/v1/models/",
        "/v1/models/x",
        "/v1/storage-admin",
        "/",
        "",
        "*",
        "/v1/storage/a;b=c",
        "/dav/a",
    ),
    *(
        "/v2/api/x",
        "/v2/api/x?api_key=1",
        "/nothing",
        "/v1/nothing/.",
        "/v1/storage/\u00fc",
        "/1.3/x",
    ),
    *(f"/v1/storage/{'a' * 600}", f"/v1/storage/{'a' * 17_000}", f"/v1/storage?{'a' * 17_000}"),
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
def test_what_reads_as_it_stands_is_found_as_a_whole_search_finds_it(target, monkeypatch):
    """Asked once, from memory, and from memory of the same place under another query."""
    searching, knowing = shipped(), shipped()
    for method, host in product(METHODS, HOSTS):
        asked = [request(method, told, host=host) for told in (target, target, f"{target}?more")]
        known = [decide(one, world(), policy=knowing) for one in asked]
        with monkeypatch.context() as patched:
            patched.setattr(locate, "find", lambda *_: locate._UNKNOWN)
            searched = [decide(one, world(), policy=searching) for one in asked]
        assert [told(one) for one in known] == [told(one) for one in searched]


def told(decision):
    """Return what a decision says: areas of two compilations are alike, not the same."""
    whole = msgspec.structs.asdict(decision)
    return {name: repr(value) for name, value in whole.items()}


def test_a_remembered_place_still_asks_for_tls_each_time():
    policy, hosts = shipped(), count(1)
    for _ in range(2):
        for tls, reason in (
            (True, Reason.CREDENTIAL_MISSING),
            (False, Reason.TLS_REQUIRED),
            (True, Reason.CREDENTIAL_MISSING),
        ):
            asked = request("GET", "/dav/a", tls=tls, client=f"192.0.2.{next(hosts)}")
            found = decide(asked, world(), policy=policy)
            assert found.reason is reason
            assert [told for step, _, told in found.trace if step == "tls"] == [(tls, asked.client)]


def test_an_application_key_is_looked_up_only_when_the_user_is_known():
    policy = shipped()
    kind = policy.issued("teracloud.application_key")
    issued = kind.issue(Spec(service=""), entropy(1, kind.entropy_bytes))
    needed: list[object] = []
    asked = request(
        "GET", "/v2/api/x", {"x-teracloud-api-key": issued.secret.reveal()}, client="127.0.0.1"
    )
    found = decide(asked, world(OWNER), policy=policy, needed=needed)  # type: ignore[arg-type]
    assert found.reason is Reason.CREDENTIAL_MISSING
    assert needed == []
