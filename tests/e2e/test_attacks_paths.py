"""ATTACKS D2 and D3: paths that can be read in two ways, and addresses that were not seen.

Named after their line there. Smuggled requests (line 21) are in test_smuggling.
"""

from __future__ import annotations

import itertools

import pytest
from tests.e2e.stack import Gateway
from tests.e2e.wire import Answer, Wire, ask, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OBJECT = "/v1/storage/b/o"
AMBIGUOUS = {"error": "Request path is ambiguous", "code": "INVALID_PARAMETER"}


def get(gateway: Gateway, target: str, key: str, method: str = "GET") -> Answer:
    """Send a target byte by byte as it is written here."""
    with Wire(gateway.address) as wire:
        wire.send(
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {key}\r\n\r\n".encode("latin-1")
        )
        return wire.answer(head=method == "HEAD")


MATRIX = [
    "/v1/storage/..;/models",
    "/v1/storage/..;x=1/models",
    "/v1/storage/b;jsessionid=1/o",
    "/v1/storage/b/o;api_key=K",
    "/v1/storage;x/b/o",
    "/v1;x/storage/b/o",
    "/v1/storage/b/o%3Bapi_key=K",
    "/v1/storage/%3B/o",
    "/v1/storage/;/o",
]
DOTS = [
    "/v1/storage/../models",
    "/v1/storage/b/../../models",
    "/v1/storage/./b/o",
    "/v1/storage/b/.",
    "/v1/storage/b/..",
    "/v1/models/../storage/b/o",
    "/v1/storage/%2e%2e/models",
    "/v1/storage/%2E%2E/models",
    "/v1/storage/.%2e/models",
    "/v1/storage/%2e/b",
    "/v1/storage/..%2fmodels",
    "/v1/storage/..%2Fmodels",
    "/v1/storage/%2e%2e%2fmodels",
    "/v1/storage/b%2f..%2f..%2f..%2fmodels",
]
SLASHES = [
    "/v1/storage//b/o",
    "//v1/storage/b/o",
    "/v1//storage/b/o",
    "/v1/storage/b/o//",
    "/v1/storage/b%2F%2Fo",
    "/v1/storage/%2Fb",
    "/v1/storage/b%2F/o",
    "/v1/storage/b/o%2F",
    "/v1/storage\\b\\o",
    "/v1/storage/b\\..\\o",
    "/v1/storage/b%5Co",
    "/v1/storage/b%5co",
    "/v1/storage/..%5cmodels",
]
ENCODED = [
    "/v1/storage/b%252Fo",
    "/v1/storage/%252e%252e/models",
    "/v1/storage/..%252fmodels",
    "/v1/storage/b%2525o%2541",
    "/v1/storage/b%25%34%31",
    "/v1/storage/%c0%ae%c0%ae/models",
    "/v1/storage/%c0%af",
    "/v1/storage/%e0%80%af",
    "/v1/storage/%ff",
    "/v1/storage/%f4%90%80%80",
    "/v1/storage/%ed%a0%80",
    "/v1/storage/b%0d%0aX-Latchgate-User:%20evil",
    "/v1/storage/b%0a",
    "/v1/storage/b%7f",
    "/v1/storage/b%c2%85o",
    "/v1/storage/b%09o",
]
RAW = [
    "/v1/storage/\xe9",
    "/v1/storage/b\xc3\xa9",
    "/v1/storage/b\xff",
    "/v1/storage/b#o",
    "/v1/storage/#/../models",
]


@pytest.mark.parametrize("target", [*MATRIX, *DOTS, *SLASHES, *ENCODED, *RAW])
def test_d2_16_17_a_path_with_two_readings_is_refused_and_not_repaired(
    mirror, latchgate, keys, echo, target
):
    before = echo.count()
    answer = get(mirror, target, keys.both.text)
    assert answer.status == 400
    if target.startswith("/v1/"):
        assert answer.json() == AMBIGUOUS
    else:  # nobody can say whose path it is
        assert answer.json()["code"] == "request_invalid"
    assert latchgate.explain(answer.one("X-Latchgate-Decision"))["reason"] == "path_ambiguous"
    assert echo.count() == before


@pytest.mark.parametrize(
    "target",
    [
        "/v1/storage/b%00o",
        "/v1/storage/%00",
        "/v1/storage/b%zz",
        "/v1/storage/b%",
        "/v1/storage/b%2",
        "/v1/storage/b\x01o",
        "/v1/storage/b\x7fo",
        "/../v1/storage/b",
        "/v1/storage/../../../etc/passwd",
        "/v1/storage/%2e%2e/%2e%2e/%2e%2e/x",
        "v1/storage/b",
        "*",
    ],
)
def test_d2_17_what_nginx_can_not_read_it_refuses_itself(mirror, keys, echo, target):
    before = echo.count()
    answer = get(mirror, target, keys.both.text)
    assert answer.status == 400
    # Where there is a path at all, in the provider's words.
    if answer.one("Content-Type") == "application/json":
        assert answer.json() == {"error": "Bad request", "code": "BAD_REQUEST"}
    else:
        assert answer.one("Content-Type") == "application/problem+json"
        assert answer.json()["status"] == 400
    assert echo.count() == before


def test_d2_17_a_nul_never_arrives(mirror, keys, echo):
    before = echo.count()
    for raw in (f"GET {OBJECT}\0 HTTP/1.1\r\n", f"GET {OBJECT} HTTP/1.1\r\nX-A: a\0b\r\n"):
        with Wire(mirror.address) as wire:
            wire.send(
                f"{raw}Host: localhost\r\nAuthorization: Bearer {keys.both.text}\r\n\r\n".encode()
            )
            assert wire.answer().status == 400
    assert echo.count() == before


@pytest.mark.parametrize(
    "target",
    [
        "/v1/chat%2Fcompletions",
        "/v1/models%2F",
        "/v1%2Fmodels",
        "/v1%2Fstorage/b",
        "/v1/dns%2Fzones",
        "/v1/dns/zones%2Fz",
        "/v1/models%2f..%2fstorage",
    ],
)
def test_d2_17_an_encoded_slash_passes_in_storage_only(mirror, latchgate, echo, target):
    key = latchgate.key("storage", "llm", "dns")
    before = echo.count()
    assert get(mirror, target, key.text).status in {400, 404}
    assert get(mirror, target, key.text, "POST").status in {400, 404}
    assert echo.count() == before


def test_d2_17_an_encoded_slash_changes_neither_area_nor_scope(mirror, latchgate, keys):
    for target in ("/v1/storage/b%2Fo", "/v1/storage/..a%2F..b", "/v1/storage/models%2F..x"):
        assert get(mirror, target, keys.storage.text).json()["target"] == target
    reader = latchgate.key("storage", scopes=["storage:read"])
    assert get(mirror, "/v1/storage/b%2Fo", reader.text, "DELETE").status == 403
    # Read by a server that decodes it, it would lead into the open area.
    assert get(mirror, "/v1/storage/public%2Fo", keys.storage.text).status == 400


PLAIN = [
    "/v1/storage/b/o",
    "/v1/storage/b/",
    "/v1/storage/b/a%20b",
    "/v1/storage/b/%C3%A9",
    "/v1/storage/b/%e2%82%ac",
    "/v1/storage/b/a+b=c&d,e:f@g~h!i$j'(k)*",
    "/v1/storage/%62/o",
    "/v1/%73torage/b/o",
    "/v1/storage/b/...",
    "/v1/storage/b/.hidden",
    "/v1/storage/b/a..b",
    "/v1/storage/b/100%25",
    "/v1/storage/b/%23%3F",
    "/v1/storage/b/o?a=/../x&b=%2e%2e;c#",
    "/v1/storage/b/o?q=%zz%00",
    '/v1/storage/b/{}|^`"<>',
]


@pytest.mark.parametrize("target", PLAIN)
def test_d2_18_the_path_that_is_served_is_the_path_that_was_checked(mirror, keys, target):
    if "#" in target:
        target = target.replace("#", "")
    assert get(mirror, target, keys.storage.text).json()["target"] == target


@pytest.mark.parametrize("target", PLAIN)
def test_d2_18_a_plain_path_without_a_key_is_a_401(mirror, target):
    assert get(mirror, target.replace("#", ""), "x").status == 401


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/storage", 200),
        ("/v1/storage/", 200),
        ("/v1/storage?x", 200),
        ("/v1/storage-admin", 404),
        ("/v1/storage-admin/b", 404),
        ("/v1/storage.", 404),
        ("/v1/storage%20", 404),
        ("/v1/storage/..a", 200),
        ("/v1/Storage/b", 404),
        ("/v1/STORAGE/b", 404),
        ("/V1/storage/b", 404),
        ("/v1/%53torage/b", 404),
        ("/v1/models/", 404),
        ("/v1/models.", 404),
        ("/v1/Models", 404),
        ("/v1/chat/completions/", 404),
    ],
)
def test_d2_19_prefixes_end_at_segments_and_letters_have_one_case(
    mirror, keys, echo, target, status
):
    before = echo.count()
    answer = get(mirror, target, keys.both.text)
    assert answer.status == status
    assert echo.count() == before + (status == 200)


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("GET", 200), ("HEAD", 200), ("PUT", 200), ("POST", 200), ("DELETE", 200),
        ("OPTIONS", 405), ("PATCH", 405), ("PROPFIND", 405), ("MKCOL", 405), ("COPY", 405),
        ("MOVE", 405), ("LOCK", 405), ("TRACE", 405), ("CONNECT", 405),
        ("FOO", 405), ("GETX", 405), ("G-ET", 405), ("get", 400), ("Get", 400), ("G\tT", 400),
    ],
)  # fmt: skip
def test_d2_20_a_method_is_what_it_says(mirror, keys, echo, method, status):
    before = echo.count()
    answer = get(mirror, OBJECT, keys.storage.text, method)
    # nginx answers TRACE and CONNECT itself.
    assert answer.status == status or (
        method in {"TRACE", "CONNECT"} and answer.status in {400, 405}
    )
    assert echo.count() == before + (status == 200)


def test_d2_20_http_1_0_and_older(mirror, keys, echo):
    authorized = f"Authorization: Bearer {keys.storage.text}\r\n"
    with Wire(mirror.address) as wire:
        wire.send(f"GET {OBJECT} HTTP/1.0\r\nHost: localhost\r\n{authorized}\r\n".encode())
        assert wire.answer().json()["request"] == f"GET {OBJECT} HTTP/1.1"
    before = echo.count()
    for head in (
        f"GET {OBJECT} HTTP/1.0\r\n{authorized}\r\n",  # no Host: no area of ours
        f"GET {OBJECT}\r\n{authorized}\r\n",
        f"GET {OBJECT}\r\n",
        f"GET {OBJECT} HTTP/3.0\r\nHost: localhost\r\n{authorized}\r\n",
        f"GET {OBJECT} HTTP/1.1\r\n{authorized}\r\n",
    ):
        with Wire(mirror.address) as wire:
            wire.send(head.encode())
            assert b'"count"' not in wire.rest(seconds=3)
    assert echo.count() == before


# The same on Latchgate's own API, which stands behind no gateway.


@pytest.mark.parametrize(
    "target",
    [
        "/manage/v1/keys/../policy",
        "/manage/v1/keys/..;/policy",
        "/manage/v1/keys/%2e%2e/policy",
        "/manage/v1//keys",
        "//manage/v1/keys",
        "/manage/v1/keys/%2Fx",
        "/manage/v1/keys/x;y",
        "/manage/v1/keys/%5cx",
        "/manage/v1/keys/%252e",
        "/manage/v1/keys/%00",
        "/healthz/../manage/v1/keys",
        "/healthz/%2e%2e/manage/v1/keys",
        "/manage/v1/openapi.json/..%2fkeys",
        "/manage/v1/./keys",
    ],
)
def test_d2_17_the_api_refuses_ambiguous_paths_too(latchgate, target):
    answer = ask(latchgate.api, "GET", target, [bearer(latchgate.token)])
    assert answer.status in {400, 404}
    assert answer.one("Content-Type") == "application/problem+json"
    assert b'"keys"' not in answer.body


@pytest.mark.parametrize("target", ["/manage/v1/keys/", "/manage/v1/policy/"])
def test_d1_15_a_slash_too_many_is_not_answered_with_a_link_made_of_the_host(latchgate, target):
    with Wire(latchgate.api) as wire:
        wire.send(
            f"GET {target} HTTP/1.1\r\nHost: evil.example\r\n"
            f"Authorization: Bearer {latchgate.token}\r\n\r\n".encode()
        )
        answer = wire.answer()
    assert "evil" not in str(answer.headers)
    assert answer.status == 404


# D3: client addresses


FORWARDED = [
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Uri", OBJECT),
    ("X-Forwarded-Host", "api.example.com"),
    ("X-Forwarded-Proto", "https"),
]


@pytest.fixture(scope="module")
def only_192_0_2_7(latchgate):
    return latchgate.key(allowed_ip_ranges=["192.0.2.7"])


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["192.0.2.7"], 200),
        (["192.0.2.8"], 403),
        # 22: the right-most hop that is not ours; what is left of it the client may have written.
        (["192.0.2.7, 198.51.100.1"], 403),
        (["198.51.100.1, 192.0.2.7"], 200),
        (["192.0.2.7, 127.0.0.1"], 200),
        (["192.0.2.7, 127.0.0.1, ::1"], 200),
        (["192.0.2.7, 198.51.100.1, 127.0.0.1"], 403),
        (["192.0.2.7", "198.51.100.1"], 403),
        (["198.51.100.1", "192.0.2.7"], 200),
        (["192.0.2.7", "127.0.0.1"], 200),
        (["192.0.2.7:443"], 200),
        (["[::ffff:192.0.2.7]:443"], 200),
        (["127.0.0.1"], 403),
        # 24: one host, one spelling
        (["::ffff:192.0.2.7"], 200),
        (["::ffff:c000:207"], 200),
        (["::192.0.2.7"], 403),
        (["2002:c000:0207::1"], 403),
        (["64:ff9b::192.0.2.7"], 403),
        # 23: what can't be read refuses, and is never skipped
        (["a"], 400),
        (["192.0.2.7, a"], 400),
        (["a, 192.0.2.7"], 200),
        (["192.0.2.7,"], 400),
        ([","], 400),
        (["192.0.2.7, "], 400),
        (["unknown"], 400),
        (["_hidden"], 400),
        (["192.0.2.007"], 400),
        (["0300.0.2.7"], 400),
        (["0xc0.0.2.7"], 400),
        (["3221225991"], 400),
        (["192.0.2"], 400),
        (["192.0.2.7.1"], 400),
        (["192.0.2.7/32"], 400),
        (["fe80::1%eth0"], 400),
        (["fe80::1%25eth0"], 400),
        (["[::1"], 400),
        (["[192.0.2.7]x"], 400),
        (["192.0.2.7:x"], 400),
        (["192.0.2.7 127.0.0.1"], 400),
        (["for=192.0.2.7"], 400),
        (["'192.0.2.7'"], 400),
        (["\uff11\uff19\uff12.0.2.7".encode().decode("latin-1")], 400),
    ],
)  # fmt: skip
@pytest.mark.parametrize("url", ["/forwarded", "/envoy" + OBJECT])
def test_d3_22_23_24_the_forwarded_address(verify, only_192_0_2_7, url, lines, status):
    hops = [("X-Forwarded-For", line) for line in lines]
    headers = [*FORWARDED, *hops, bearer(only_192_0_2_7.text)]
    answer = ask(verify, "GET", url, headers)
    assert answer.status == status
    if status == 400:
        assert answer.json() == {"error": "Client address is invalid", "code": "INVALID_PARAMETER"}


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("192.0.2.7", 200), ("::ffff:192.0.2.7", 200), ("192.0.2.8", 403), ("::1", 403),
        ("192.0.2.7, 192.0.2.7", 400), ("192.0.2.7:80", 400), ("unix:", 400), ("a", 400),
        ("192.0.2.007", 400), ("fe80::1%1", 400),
    ],
)  # fmt: skip
def test_d3_22_23_24_the_address_that_nginx_saw(verify, only_192_0_2_7, address, status):
    told = [
        ("X-Original-Method", "GET"), ("X-Original-URI", OBJECT), ("X-Original-Host", "a.example"),
        ("X-Original-Scheme", "https"), ("X-Real-IP", address),
    ]  # fmt: skip
    answer = ask(verify, "GET", "/nginx", [*told, bearer(only_192_0_2_7.text)])
    found = 200 if answer.status == 200 else int(answer.one("X-Latchgate-Status"))
    assert found == status


def test_d3_22_behind_a_load_balancer_the_right_most_untrusted_hop_counts(
    tmp_path, latchgate, echo
):
    def behind(text: str) -> str:
        return text.replace(
            "# set_real_ip_from 192.0.2.10; real_ip_header X-Forwarded-For; real_ip_recursive on;",
            "set_real_ip_from 127.0.0.3; real_ip_header X-Forwarded-For; real_ip_recursive on;",
        )

    key = latchgate.key(allowed_ip_ranges=["192.0.2.7"])
    with Gateway(
        tmp_path / "behind", verify=latchgate.verify, objects=echo.address, llm=echo.address,
        edit=behind,
    ) as gateway:  # fmt: skip
        gateway.start()
        for source, hops, status in (
            ("127.0.0.3", ["192.0.2.7"], 200),
            ("127.0.0.1", ["192.0.2.7"], 403),  # not the balancer
            ("127.0.0.3", ["192.0.2.7, 198.51.100.1"], 403),
            ("127.0.0.3", ["198.51.100.1, 192.0.2.7"], 200),
            ("127.0.0.3", ["192.0.2.7", "198.51.100.1"], 403),
            ("127.0.0.3", ["192.0.2.7, 127.0.0.3"], 200),
            ("127.0.0.3", ["a"], 403),  # counts as the balancer's own address
            ("127.0.0.3", ["192.0.2.7, a"], 403),
            ("127.0.0.3", [], 403),
        ):
            headers = [*[("X-Forwarded-For", hop) for hop in hops], bearer(key.text)]
            answer = ask(gateway.address, "GET", OBJECT, headers, source=source)
            assert answer.status == status, (source, hops)


def test_d3_26_what_one_address_may_is_not_remembered_for_another(mirror, latchgate):
    key = latchgate.key(allowed_ip_ranges=["127.0.0.2"])
    headers = [bearer(key.text)]
    with (
        Wire(mirror.address, source="127.0.0.2") as good,
        Wire(mirror.address, source="127.0.0.1") as bad,
    ):
        for _, (wire, status) in itertools.product(range(20), ((good, 200), (bad, 403))):
            assert wire.ask("GET", OBJECT, headers).status == status
