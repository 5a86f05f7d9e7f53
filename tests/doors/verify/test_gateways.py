"""What each family reads, and that it reads nothing else."""

from __future__ import annotations

import itertools

import pytest

from latchgate.core.model import Request
from latchgate.core.network import Networks, parse_address
from latchgate.core.reason import Reason
from latchgate.doors.verify.gateways import FAMILIES, envoy, forwarded, nginx

TRUSTED = Networks.of(["127.0.0.1", "10.0.0.0/8"])
NONE: frozenset[str] = frozenset()
NGINX = {
    "x-original-method": "PUT",
    "x-original-uri": "/v1/storage/b?x=1",
    "x-original-host": "api.example.com",
    "x-original-scheme": "https",
    "x-real-ip": "192.0.2.1",
}
FORWARDED = {
    "x-forwarded-method": "PUT",
    "x-forwarded-uri": "/v1/storage/b?x=1",
    "x-forwarded-host": "api.example.com",
    "x-forwarded-proto": "https",
    "x-forwarded-for": "192.0.2.1",
}
ENVOY = {"host": "api.example.com", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
READERS = [
    ("GET", "/nginx", nginx, NGINX),
    ("GET", "/forwarded", forwarded, FORWARDED),
    ("PUT", "/envoy/v1/storage/b?x=1", envoy, ENVOY),
]
ids = ["nginx", "forwarded", "envoy"]


@pytest.mark.parametrize(("method", "url", "family", "told"), READERS, ids=ids)
def test_it_reads_the_original_request(method, url, family, told):
    headers = told | {"authorization": "Bearer x", "x-api-key": "y"}
    assert family(method, url, headers, NONE, TRUSTED) == Request(
        method="PUT",
        host="api.example.com",
        target="/v1/storage/b?x=1",
        headers=headers,
        repeated=NONE,
        client=parse_address("192.0.2.1"),
        tls=True,
        fault=None,
    )


@pytest.mark.parametrize(("method", "url", "family", "told"), READERS, ids=ids)
def test_plain_http_is_not_tls(method, url, family, told):
    for scheme in ("http", "HTTPS", "https, http", "x"):
        name = "x-original-scheme" if family is nginx else "x-forwarded-proto"
        read = family(method, url, told | {name: scheme}, NONE, TRUSTED)
        assert not read.tls


@pytest.mark.parametrize(("method", "url", "family", "told"), READERS, ids=ids)
def test_each_of_its_headers_is_needed(method, url, family, told):
    for name in told:
        for broken in (
            {other: value for other, value in told.items() if other != name},
            told | {name: ""},
        ):
            read = family(method, url, broken, NONE, TRUSTED)
            assert read.fault == (Reason.GATEWAY_INCOMPLETE, f"the gateway did not send {name}")
            assert read.client is None


@pytest.mark.parametrize(("method", "url", "family", "told"), READERS, ids=ids)
def test_each_of_its_headers_comes_once(method, url, family, told):
    for name in told:
        read = family(method, url, told, frozenset({name}), TRUSTED)
        if name == "x-forwarded-for":
            assert read.fault is None
        else:
            assert read.fault == (Reason.GATEWAY_INCOMPLETE, f"{name} arrived more than once")


@pytest.mark.parametrize(("method", "url", "family", "told"), READERS, ids=ids)
def test_what_others_say_changes_nothing(method, url, family, told):
    plain = family(method, url, told, NONE, TRUSTED)
    lies = {
        name: "evil"
        for name in (
            *NGINX, *FORWARDED, "x-forwarded-prefix", "x-forwarded-port", "forwarded",
            "x-original-url", "x-rewrite-url", "x-http-method-override", "x-envoy-external-address",
        )
        if name not in told
    }  # fmt: skip
    read = family(method, url, lies | told, frozenset(lies), TRUSTED)
    wanted = (plain.method, plain.host, plain.target, plain.client, plain.tls, plain.fault)
    assert (read.method, read.host, read.target, read.client, read.tls, read.fault) == wanted


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(READERS, 2)))
def test_no_family_is_content_with_anothers_headers(one, other):
    method, url, family, _ = one
    told = {name: value for name, value in other[3].items() if name != "host"}
    if family is envoy:
        told = {name: value for name, value in told.items() if name in NGINX}
    assert family(method, url, told, NONE, TRUSTED).fault is not None


@pytest.mark.parametrize("family", [forwarded, envoy])
@pytest.mark.parametrize(
    ("hops", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.1, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.1.2.3, 127.0.0.1", "192.0.2.1"),
        ("198.51.100.1, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        ("10.0.0.1, 127.0.0.1", "10.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("192.0.2.1:443", "192.0.2.1"),
        ("::ffff:10.0.0.1, 192.0.2.1, ::ffff:127.0.0.1", "192.0.2.1"),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_not_ours(family, hops, client):
    told = (FORWARDED | ENVOY) | {"x-forwarded-for": hops}
    read = family("GET", "/envoy/x", told, NONE, TRUSTED)
    assert (read.fault, read.client) == (None, parse_address(client))


@pytest.mark.parametrize("family", [nginx, forwarded, envoy])
@pytest.mark.parametrize("address", ["a", "192.0.2.1, ", "192.0.2.256", "fe80::1%eth0", "unix:"])
def test_an_address_that_is_none_is_a_fault(family, address):
    told = (NGINX | FORWARDED | ENVOY) | {"x-forwarded-for": address, "x-real-ip": address}
    read = family("GET", "/envoy/x", told, NONE, TRUSTED)
    assert read.fault is not None
    assert read.fault[0] is Reason.CLIENT_ADDRESS_INVALID
    assert read.client is None


def test_nginx_tells_one_address_and_no_list():
    read = nginx("GET", "/nginx", NGINX | {"x-real-ip": "192.0.2.1, 127.0.0.1"}, NONE, TRUSTED)
    assert read.fault is not None


def test_envoys_path_is_what_follows_its_prefix():
    for url, target in (
        ("/envoy/", "/"),
        ("/envoy//x", "//x"),
        ("/envoy/envoy/x", "/envoy/x"),
        ("/envoy/a%2Fb?c=/envoy", "/a%2Fb?c=/envoy"),
    ):
        assert envoy("GET", url, ENVOY, NONE, TRUSTED).target == target


def test_the_families_of_one_url():
    assert dict(FAMILIES) == {"/nginx": nginx, "/nginx/short": nginx, "/forwarded": forwarded}
