"""From an ASGI scope to a Request, and from a refusal to its bytes."""

from __future__ import annotations

import asyncio

import pytest

from latchgate.core.model import Decision
from latchgate.core.network import Networks, parse_address
from latchgate.core.reason import Reason
from latchgate.doors.asgi import DECISION_HEADER, ExactName, fold, read_request, send_refusal

TRUSTED = Networks.of(["127.0.0.1", "10.0.0.0/8", "::1"])


def scope(*headers, peer=("192.0.2.1", 1234), **how):
    return {
        "type": "http",
        "method": "GET",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"",
        "scheme": "http",
        "client": peer,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        **how,
    }


def read(*headers, **how):
    return read_request(scope(*headers, **how), TRUSTED)


# --- headers


def test_names_are_folded_to_lower_case_and_values_kept():
    assert fold([(b"X-A", b" v "), (b"x-b", b"\xe9")]) == ({"x-a": " v ", "x-b": "é"}, frozenset())


def test_a_name_that_came_more_than_once_is_told_whatever_its_case():
    headers, repeated = fold([(b"X-A", b"1"), (b"x-a", b"2"), (b"X-B", b"3"), (b"X-a", b"4")])
    assert headers == {"x-a": "1, 2, 4", "x-b": "3"}
    assert repeated == {"x-a"}


def test_no_header_is_no_header():
    assert fold([]) == ({}, frozenset())


# --- requests


def test_a_request_is_read_as_it_was_asked():
    request = read(("Host", "a.example"), ("X-A", "1"), method="PUT", query_string=b"b=c%20d")
    assert (request.method, request.host, request.target) == ("PUT", "a.example", "/a?b=c%20d")
    assert request.client == parse_address("192.0.2.1")
    assert (request.tls, request.fault) == (False, None)


def test_the_raw_path_is_what_is_decided_on_never_the_decoded_one():
    # ATTACKS D1.14: what the framework made of the path is not what was sent.
    request = read(path="/a/b", raw_path=b"/a%2Fb")
    assert request.target == "/a%2Fb"
    assert read(path="/é", raw_path=b"/\xc3\xa9").target == "/Ã©"


def test_the_host_header_changes_nothing_but_the_host():
    request = read(("Host", "x/manage/v1/keys?"))
    assert (request.host, request.target) == ("x/manage/v1/keys?", "/a")


def test_without_a_host_the_host_is_empty():
    assert read().host == ""


@pytest.mark.parametrize(("scheme", "tls"), [("https", True), ("http", False), ("wss", False)])
def test_the_scheme_tells_tls(scheme, tls):
    assert read(scheme=scheme).tls is tls


def test_forwarded_headers_of_a_stranger_count_for_nothing():
    request = read(("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https"))
    assert request.client == parse_address("192.0.2.1")
    assert request.tls is False


def forwarded(*protos, peer="127.0.0.1", scheme="http"):
    return read(*[("X-Forwarded-Proto", proto) for proto in protos], peer=(peer, 1), scheme=scheme)


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.9.9.9", "::1", "::ffff:10.1.2.3"])
@pytest.mark.parametrize("own", ["http", "https"])
def test_a_trusted_gateway_tells_whether_its_client_used_tls(peer, own):
    for proto, tls in (("https", True), ("http", False)):
        request = forwarded(proto, peer=peer, scheme=own)
        assert (request.tls, request.fault) == (tls, None)


@pytest.mark.parametrize(("own", "tls"), [("http", False), ("https", True)])
def test_a_trusted_gateway_that_says_nothing_of_tls_leaves_its_own_connection(own, tls):
    assert forwarded(scheme=own).tls is tls


@pytest.mark.parametrize(("own", "tls"), [("http", False), ("https", True)])
@pytest.mark.parametrize("protos", [("https",), ("http",), ("https", "https"), ("nonsense",)])
def test_a_stranger_can_neither_claim_nor_deny_tls_nor_be_refused_for_it(own, tls, protos):
    request = forwarded(*protos, peer="192.0.2.1", scheme=own)
    assert (request.tls, request.fault) == (tls, None)


@pytest.mark.parametrize(
    "protos",
    [
        ("https", "https"),
        ("http", "https"),
        ("https, http",),
        ("https,https",),
        ("",),
        ("HTTPS",),
        ("https ",),
        ("wss",),
        ("on",),
        ("https\x85",),
    ],
)
@pytest.mark.parametrize("own", ["http", "https"])
def test_a_gateway_that_says_anything_else_of_tls_is_refused(protos, own):
    request = forwarded(*protos, scheme=own)
    assert request.tls is False
    assert request.client == parse_address("127.0.0.1")
    assert request.fault is not None
    assert request.fault[0] is Reason.GATEWAY_INCOMPLETE
    assert "x-forwarded-proto" in request.fault[1]


def test_a_client_behind_a_gateway_that_cannot_be_read_has_no_tls_either():
    lines = ("X-Forwarded-For", "a"), ("X-Forwarded-Proto", "https")
    assert read(*lines, peer=("127.0.0.1", 1)).tls is False


def test_a_unix_socket_is_no_trusted_gateway():
    assert read(("X-Forwarded-Proto", "https"), peer=None).tls is False


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("10.9.9.9, 10.1.2.3", "10.9.9.9"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
    ],
)
def test_the_client_is_the_right_most_that_no_trusted_gateway_is(forwarded, client):
    request = read(("X-Forwarded-For", forwarded), peer=("127.0.0.1", 1))
    assert request.client == parse_address(client)


def test_several_lines_are_one_list_in_their_order():
    request = read(
        ("X-Forwarded-For", "203.0.113.9"),
        ("x-forwarded-for", "198.51.100.7"),
        peer=("127.0.0.1", 1),
    )
    assert request.client == parse_address("198.51.100.7")
    assert request.repeated == {"x-forwarded-for"}


@pytest.mark.parametrize(
    "forwarded", ["", "a", "198.51.100.7,", "unknown", "1.2.3", "fe80::1%eth0"]
)
def test_a_client_that_cannot_be_read_is_a_fault_and_never_the_gateway(forwarded):
    # A skipped hop would be a skipped rule: CVE-2024-47070.
    request = read(("X-Forwarded-For", forwarded), peer=("127.0.0.1", 1))
    assert request.client is None
    assert request.fault is not None
    assert request.fault[0] is Reason.CLIENT_ADDRESS_INVALID


def test_a_trusted_peer_that_forwards_nothing_is_the_client_itself():
    assert read(peer=("127.0.0.1", 1)).client == parse_address("127.0.0.1")


def test_a_mapped_peer_is_its_ipv4_address():
    request = read(("X-Forwarded-For", "198.51.100.7"), peer=("::ffff:127.0.0.1", 1))
    assert request.client == parse_address("198.51.100.7")


def test_a_unix_socket_has_no_client():
    request = read(("X-Forwarded-For", "198.51.100.7"), peer=None)
    assert (request.client, request.fault) == (None, None)


# --- refusals


def refuse(method="GET", reason=Reason.CREDENTIAL_MISSING, dialect="problem"):
    decision = Decision(
        id="0123",
        reason=reason,
        area=None,
        rule=None,
        grant=None,
        dialect=dialect,
        policy_version=1,
        journal=1,
        trace=(),
    )
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(send_refusal(decision, "", scope(method=method), send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def test_a_refusal_has_its_id_its_length_and_no_cache_keeps_it():
    status, headers, body = refuse()
    assert status == 401
    assert headers[DECISION_HEADER.lower().encode()] == b"0123"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-type"] == b"application/problem+json"
    assert int(headers[b"content-length"]) == len(body) > 0
    assert b"0123" not in body


def test_a_refusal_speaks_the_dialect_of_its_decision():
    _, headers, body = refuse(dialect="wayscloud")
    assert headers[b"content-type"] == b"application/json"
    assert body == b'{"error":"Invalid or expired API key","code":"AUTH_FAILED"}'


def test_a_refused_head_has_the_length_and_no_body():
    status, headers, body = refuse(method="HEAD")
    assert (status, body) == (401, b"")
    assert int(headers[b"content-length"]) > 0


def test_a_fault_is_a_503():
    assert refuse(reason=Reason.STORE_UNAVAILABLE)[0] == 503


def test_an_exact_name_is_not_lowered_and_is_the_same_bytes():
    name = ExactName(b"X-Subject-Token")
    assert name.lower() is name
    assert bytes(name) == b"X-Subject-Token"
