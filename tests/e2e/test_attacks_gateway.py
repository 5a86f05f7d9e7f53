"""ATTACKS D1, through the shipped nginx configuration: what a client can make of its own request.

Named after their line there. What happens when Latchgate does not answer (line 10) is in
test_outage, large bodies (line 11) in test_uploads.
"""

from __future__ import annotations

import itertools
import random
import re
import subprocess

import pytest
from tests.e2e.stack import ROOT
from tests.e2e.wire import Answer, Wire, ask, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

IDENTITY = (
    "Tenant", "Project", "User", "Credential", "Kind", "Application", "Service", "Scope",
    "Environment", "External-Id", "Decision",
)  # fmt: skip
OBJECT = "/v1/storage/b/o"
EVIL = "evil"


def seen(answer: Answer) -> list[tuple[str, str]]:
    """Return the header lines that reached the upstream."""
    assert answer.status == 200
    return [(name, value) for name, value in answer.json()["headers"]]


def planted(answer: Answer) -> list[tuple[str, str]]:
    """Return the lines of the client's making that reached the upstream."""
    return [(name, value) for name, value in seen(answer) if EVIL in value.lower()]


def spellings(name: str) -> list[str]:
    """Return a header's name as it is written, and as it may be read back from CGI and PHP."""
    parts = ["X", "Latchgate", *name.split("-")]
    return [
        "-".join(parts),
        "-".join(parts).lower(),
        "-".join(parts).upper(),
        "_".join(parts),
        "_".join(parts).lower(),
        ".".join(parts),
        "X-" + "_".join(parts[1:]),
        "X_" + "-".join(parts[1:]),
        "X-" + ".".join(parts[1:]),
        "X." + "-".join(parts[1:]),
        "x-lAtChGaTe-" + name.swapcase(),
    ]


TWINS = [(spelled, EVIL) for name in IDENTITY for spelled in spellings(name)]


def chunks(pairs: list[tuple[str, str]], size: int) -> list[list[tuple[str, str]]]:
    return [pairs[at : at + size] for at in range(0, len(pairs), size)]


@pytest.mark.parametrize("twins", chunks(TWINS, 30))
@pytest.mark.parametrize("target", [OBJECT, "/v1/storage/public/p"])
def test_d1_01_identity_headers_of_the_client_never_reach_the_upstream(mirror, keys, target, twins):
    headers = [*twins, bearer(keys.storage.text), *twins]
    assert planted(ask(mirror.address, "GET", target, headers)) == []


@pytest.mark.parametrize("name", IDENTITY)
def test_d1_01_a_header_that_the_answer_leaves_out_is_not_filled_in_by_the_client(
    mirror, latchgate, name
):
    # The key has no environment and no external id, so Latchgate says nothing of them.
    key = latchgate.key()
    twin = (f"X-Latchgate-{name}", EVIL)
    for target, headers in ((OBJECT, [bearer(key.text), twin]), ("/v1/storage/public/p", [twin])):
        found = seen(ask(mirror.address, "GET", target, headers))
        values = [value for told, value in found if told.lower() == f"x-latchgate-{name.lower()}"]
        assert EVIL not in values
        assert len(values) <= 1


def test_d1_01_a_public_area_names_nobody(mirror, keys):
    for headers in ([], [bearer(keys.storage.text)], TWINS[:30]):
        found = seen(ask(mirror.address, "GET", "/v1/storage/public/p", headers))
        assert [name for name, _ in found if "latchgate" in name.lower()] == []


def test_d1_02_underscore_aliases(mirror, keys):
    twins = [pair for pair in TWINS if "_" in pair[0]]
    for some in chunks(twins, 20):
        found = planted(ask(mirror.address, "GET", OBJECT, [*some, bearer(keys.storage.text)]))
        assert found == []


def test_d1_03_dot_aliases(mirror, keys):
    twins = [pair for pair in TWINS if "." in pair[0]]
    for some in chunks(twins, 20):
        found = planted(ask(mirror.address, "GET", OBJECT, [bearer(keys.storage.text), *some]))
        assert found == []


def test_d1_04_authorization_twice_is_refused(mirror, latchgate, keys, echo):
    before = echo.count()
    good, bad = bearer(keys.storage.text), bearer("wayscloud_storage_abc123_nobody")
    for first, second in itertools.product((good, bad), repeat=2):
        for other in ("Authorization", "AUTHORIZATION", "authorization"):
            answer = ask(mirror.address, "GET", OBJECT, [first, (other, second[1])])
            assert answer.status in {400, 401}
    assert echo.count() == before


def test_d1_04_joined_and_empty_authorizations(mirror, keys, echo):
    before = echo.count()
    text = f"Bearer {keys.storage.text}"
    for value in (f"{text}, {text}", f"{text},{text}", f"{text}, Basic x", f"Basic x, {text}"):
        assert ask(mirror.address, "GET", OBJECT, [("Authorization", value)]).status == 401
    for first in ("", " ", ","):
        headers = [("Authorization", first), ("Authorization", text)]
        assert ask(mirror.address, "GET", OBJECT, headers).status in {400, 401}
    assert echo.count() == before


def test_d1_04_aliases_of_authorization_are_no_credential(mirror, keys):
    text = f"Bearer {keys.storage.text}"
    for name in ("Authorization_", "X-Authorization", "Proxy-Authorization", "Authorization.x"):
        assert ask(mirror.address, "GET", OBJECT, [(name, text)]).status == 401
    for name in ("X_API_Key", "X.API.Key", "X_API-Key", "Api-Key"):
        assert ask(mirror.address, "GET", OBJECT, [(name, keys.storage.text)]).status == 401


def test_d1_04_two_key_headers_never_open_more_than_the_first(mirror, keys):
    # nginx 1.22 hands on the first of several lines, later ones join them; never a mix.
    wrong = "wayscloud_storage_abc123_nobody"
    headers = [("X-API-Key", wrong), ("x-api-key", keys.storage.text)]
    assert ask(mirror.address, "GET", OBJECT, headers).status == 401
    both = [("X-API-Key", keys.storage.text), ("X-API-Key", keys.llm.text)]
    assert ask(mirror.address, "GET", "/v1/models", both).status in {401, 403}


@pytest.mark.parametrize(
    "tokens",
    [
        "X-Latchgate-User",
        "x-latchgate-user",
        "close, X-Latchgate-User",
        "keep-alive, x-latchgate-user, X-LATCHGATE-TENANT",
        "x-latchgate-credential, x-latchgate-scope, authorization, x-real-ip, x-original-uri",
        "x-forwarded-for, x-forwarded-host, host, content-length",
        "X-Latchgate-User;q=1, X-Latchgate-User ,,",
    ],
)
@pytest.mark.parametrize("name", ["Connection", "connection", "Proxy-Connection", "Keep-Alive"])
def test_d1_05_connection_tokens_remove_nothing(mirror, keys, name, tokens):
    headers = [(name, tokens), bearer(keys.storage.text), ("X-Latchgate-User", EVIL)]
    found = seen(ask(mirror.address, "GET", OBJECT, headers))
    told = {name.lower(): value for name, value in found}
    assert told["x-latchgate-user"] == keys.storage.told["owner_id"]
    assert told["x-latchgate-credential"] == keys.storage.id
    assert told["x-real-ip"] == told["x-forwarded-for"] == "127.0.0.1"
    assert "connection" not in told


SPOOFED = (
    "X-Original-URI", "X-Original-URL", "X-Original-Method", "X-Original-Host", "X-Original-Scheme",
    "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host",
    "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-For",
    "X-Forwarded-Server", "Forwarded", "X-Real-IP", "X-HTTP-Method-Override", "X-HTTP-Method",
    "X-Method-Override", "Proxy",
)  # fmt: skip


@pytest.mark.parametrize("name", SPOOFED)
def test_d1_06_routing_headers_of_the_client_reach_nobody(mirror, keys, name):
    twins = [(name, EVIL), (name.lower(), EVIL), (name.replace("-", "_"), EVIL)]
    twins.append((name.replace("-", "."), EVIL))
    answer = ask(mirror.address, "GET", OBJECT, [*twins, bearer(keys.storage.text)])
    assert planted(answer) == []


def test_d1_06_routing_headers_do_not_change_what_is_checked(mirror, latchgate, echo):
    reader = latchgate.key("storage", scopes=["storage:read"])
    before = echo.count()
    lies = [
        ("X-Original-URI", OBJECT), ("X-Original-Method", "GET"), ("X-Original-URL", OBJECT),
        ("X-Forwarded-Uri", OBJECT), ("X-Forwarded-Method", "GET"), ("X-Rewrite-URL", OBJECT),
        ("X-HTTP-Method-Override", "GET"),
    ]  # fmt: skip
    headers = [*lies, bearer(reader.text)]
    answers = [
        ask(mirror.address, "DELETE", OBJECT, headers),
        ask(mirror.address, "PUT", OBJECT, headers),
        ask(mirror.address, "GET", "/v1/models", headers),
        ask(mirror.address, "GET", "/v1/dns/zones", headers),
    ]
    assert [answer.status for answer in answers] == [403, 403, 403, 403]
    assert echo.count() == before


def test_d1_06_a_client_does_not_choose_its_address(mirror, latchgate):
    key = latchgate.key(allowed_ip_ranges=["127.0.0.2/32", "203.0.113.0/24", "::1"])
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"):
        for value in ("127.0.0.2", "203.0.113.9", "for=127.0.0.2", "::1", "127.0.0.1, 127.0.0.2"):
            answer = ask(mirror.address, "GET", OBJECT, [(name, value), bearer(key.text)])
            assert answer.status == 403, (name, value)


def test_d1_06_the_upstream_is_told_what_was_checked(mirror, keys):
    answer = ask(mirror.address, "GET", OBJECT, [bearer(keys.storage.text)], source="127.0.0.7")
    told = dict(seen(answer))
    assert told["X-Real-IP"] == told["X-Forwarded-For"] == "127.0.0.7"
    assert told["X-Forwarded-Proto"] == "http"
    assert told["Host"] == told["X-Forwarded-Host"] == "localhost"
    assert told["X-Forwarded-Port"] == str(mirror.address[1])


def test_d1_06_one_family_can_not_be_asked_in_the_words_of_another(verify, keys):
    original = [
        ("X-Original-Method", "GET"), ("X-Original-URI", OBJECT), ("X-Original-Host", "a.example"),
        ("X-Original-Scheme", "https"), ("X-Real-IP", "192.0.2.1"),
    ]  # fmt: skip
    forwarded = [
        ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", OBJECT), ("X-Forwarded-Host", "a"),
        ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.1"),
    ]  # fmt: skip
    key = bearer(keys.storage.text)
    assert ask(verify, "GET", "/nginx", [*original, key]).status == 200
    assert ask(verify, "GET", "/forwarded", [*forwarded, key]).status == 200
    crossed = ask(verify, "GET", "/nginx", [*forwarded, key])
    assert (crossed.status, crossed.one("X-Latchgate-Status")) == (403, "503")
    assert ask(verify, "GET", "/forwarded", [*original, key]).status == 503
    assert ask(verify, "GET", "/envoy" + OBJECT, [*original, key]).status == 503
    # Beside the family's own headers, another's change nothing.
    models = [(name, value.replace(OBJECT, "/v1/models")) for name, value in forwarded]
    assert ask(verify, "GET", "/nginx", [*original, *models, key]).status == 200
    models = [(name, value.replace(OBJECT, "/v1/models")) for name, value in original]
    assert ask(verify, "GET", "/forwarded", [*forwarded, *models, key]).status == 200


def test_d1_07_no_credential_however_broken_passes(mirror, keys, echo):
    source = random.Random(7)
    before = echo.count()
    printable = [chr(code) for code in (*range(33, 127), *range(161, 256))]
    with Wire(mirror.address) as wire:
        for _ in range(300):
            text = list(keys.storage.text)
            for _ in range(source.randrange(1, 4)):
                text[source.randrange(len(text))] = source.choice(printable)
            if "".join(text) == keys.storage.text:
                continue
            scheme = source.choice(["Bearer ", "Bearer  ", "", "bearer ", "Basic ", "Bearer\t"])
            headers = [("Authorization", scheme + "".join(text)), ("Cookie", "session=\xff{[")]
            assert wire.ask("GET", OBJECT, headers).status in {400, 401}
    assert echo.count() == before


HEALTH_CHECKERS = (
    "GoogleHC/1.0",
    "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)",
    "ELB-HealthChecker/2.0",
    "Amazon-Route53-Health-Check-Service (ref x; report http://amzn.to/1vsZADi)",
    "kube-probe/1.29",
    "Consul Health Check",
    "Envoy/HC",
    "HAProxy",
    "Zabbix",
    "check_http/v2.3",
)


@pytest.mark.parametrize("agent", HEALTH_CHECKERS)
def test_d1_08_health_checkers_need_a_key_like_anybody(mirror, verify, echo, agent):
    before = echo.count()
    assert ask(mirror.address, "GET", OBJECT, [("User-Agent", agent)]).status == 401
    for target in ("/healthz", "/ping", "/ready", "/v1/healthz", "/robots.txt"):
        assert ask(mirror.address, "GET", target, [("User-Agent", agent)]).status == 404
    told = [
        ("X-Original-Method", "GET"), ("X-Original-URI", OBJECT), ("X-Original-Host", "a.example"),
        ("X-Original-Scheme", "https"), ("X-Real-IP", "192.0.2.1"), ("User-Agent", agent),
    ]  # fmt: skip
    assert ask(verify, "GET", "/nginx", told).status == 401
    assert ask(verify, "GET", "/forwarded", told).status == 503
    assert echo.count() == before


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (OBJECT + "?/healthz", 401),
        (OBJECT + "?x=/v1/storage/public/", 401),
        (OBJECT + "?/v1/storage/public/p", 401),
        ("/v1/storage/b?../public/p", 401),
        (OBJECT + "#/v1/storage/public/p", 400),
        (OBJECT + "#", 400),
        ("/v1/storage/b%3F/../public/p", 400),
        (OBJECT + "%23/v1/storage/public", 401),
        ("/v1/storage/publicity", 401),
        ("/v1/storage/PUBLIC/p", 401),
        ("/v1/storage/x/public/p", 401),
        ("/v1/storage/public/../b/o", 400),
        ("/v1/storage/public%2F..%2Fb", 400),
        ("/v1/storage/public%2Fp", 400),
        ("/v1/storage/public%5C..%5Cb", 400),
        ("/v1/storage/public;/../b", 400),
        ("/v1/storage/public\\..\\b", 400),
    ],
)
def test_d1_09_open_areas_are_matched_on_the_path_alone(mirror, echo, target, status):
    before = echo.count()
    assert ask(mirror.address, "GET", target).status == status
    assert echo.count() == before


def test_d1_12_who_passes_without_a_key_passes_without_an_identity(mirror, keys):
    # A preflight carries no credential by design; it opens nothing but itself.
    asks = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")]
    answer = ask(mirror.address, "OPTIONS", "/v1/storage/web/o", [*asks, *TWINS[:40]])
    assert planted(answer) == []
    assert [name for name, _ in seen(answer) if "latchgate" in name.lower()] == []
    assert ask(mirror.address, "OPTIONS", "/v1/storage/web/o").status == 400
    assert ask(mirror.address, "OPTIONS", "/v1/storage/web/o", asks[:1]).status == 400
    refused = [asks[0], ("Access-Control-Request-Method", "DELETE")]
    assert ask(mirror.address, "OPTIONS", "/v1/storage/web/o", refused).status == 405
    assert ask(mirror.address, "GET", "/v1/storage/web/o", asks).status == 401
    assert ask(mirror.address, "OPTIONS", OBJECT, asks).status == 405


def test_d1_12_a_broken_key_is_no_better_than_none_where_none_is_needed(mirror):
    for value in ("Bearer x", "Bearer wayscloud_storage_abc123_nobody", "garbage"):
        headers = [("Authorization", value)]
        assert ask(mirror.address, "GET", "/v1/storage/public/p", headers).status == 200
        assert ask(mirror.address, "DELETE", "/v1/storage/public/p", headers).status == 405


def test_d1_13_the_key_goes_no_further_than_the_gateway(mirror, keys):
    text = keys.storage.text
    for headers in (
        [bearer(text)],
        [("X-API-Key", text)],
        [bearer(text), ("X-API-Key", text), ("x-api-key", text)],
        [("AUTHORIZATION", f"Bearer {text}")],
    ):
        for target in (OBJECT, "/v1/storage/public/p", OBJECT + "?status=500"):
            answer = ask(mirror.address, "GET", target, headers)
            told = [(name.lower(), value) for name, value in answer.json()["headers"]]
            assert not {"authorization", "x-api-key"} & {name for name, _ in told}
            assert keys.storage.secret not in answer.body.decode()
    refused = ask(mirror.address, "GET", "/v1/models", [bearer(text)])
    assert keys.storage.secret not in refused.body.decode() + str(refused.headers)


def test_d1_13_neither_do_proxys_own_credentials_and_cookies_reach_latchgate(mirror, keys):
    # What is not asked about can't be logged or answered for; the upstream gets its cookies.
    headers = [bearer(keys.storage.text), ("Cookie", "session=theirs")]
    assert ("Cookie", "session=theirs") in seen(ask(mirror.address, "GET", OBJECT, headers))


@pytest.mark.parametrize(
    "host",
    [
        "localhost/v1/storage/public",
        "localhost?x",
        "localhost#x",
        "localhost/../x",
        "a@localhost",
        "localhost localhost",
        "local\thost",
        "",
        "evil.example",
        "localhost.evil.example",
        "[::1]",
        "127.0.0.2",
    ],
)
def test_d1_14_the_host_does_not_change_the_path(mirror, keys, echo, host):
    before = echo.count()
    with Wire(mirror.address) as wire:
        wire.send(
            f"GET {OBJECT} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {keys.storage.text}\r\n\r\n".encode()
        )
        assert wire.answer().status in {400, 421}
    assert echo.count() == before


def test_d1_14_a_port_that_is_none_reaches_nobody(mirror, keys):
    with Wire(mirror.address) as wire:
        wire.send(
            f"GET {OBJECT} HTTP/1.1\r\nHost: localhost:80:80\r\n"
            f"Authorization: Bearer {keys.storage.text}\r\n\r\n".encode()
        )
        assert dict(seen(wire.answer()))["Host"] == "localhost"


def test_d1_14_absolute_form_names_the_host(mirror, keys):
    with Wire(mirror.address) as wire:
        for target, status in (
            (f"http://localhost{OBJECT}", 200),
            (f"http://evil.example{OBJECT}", 421),
            ("http://localhost/v1/models", 403),
            ("http://localhost", 404),
        ):
            wire.send(
                f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {keys.storage.text}\r\n\r\n".encode()
            )
            answer = wire.answer()
            assert answer.status == status, target
            if status == 200:
                told = dict(seen(answer))
                assert told["Host"] == told["X-Forwarded-Host"] == "localhost"
                assert answer.json()["target"] == OBJECT


def test_d1_14_hosts_on_the_api_decide_nothing(latchgate):
    # CVE-2026-48710: `Host: x/docs?` made a framework's own URL another one than was checked.
    for host in ("x/manage/v1/openapi.json?", "x/healthz?", "x?", "x#", "/healthz", "a b", "x\\y"):
        with Wire(latchgate.api) as wire:
            wire.send(f"GET /manage/v1/keys HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            answer = wire.answer()
            assert answer.status in {400, 401}, host
    authorized = [bearer(latchgate.token)]
    assert ask(latchgate.api, "GET", "/manage/v1/keys", authorized).status == 200


def test_d1_15_no_link_is_made_of_what_the_client_forwards(latchgate):
    lies = [
        ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "666"), ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "host=evil.example;proto=https"), ("X-Original-URL", "/evil"),
        ("Content-Type", "application/json"), bearer(latchgate.token),
    ]  # fmt: skip
    body = b'{"name": "links", "services": ["storage"]}'
    with Wire(latchgate.api) as wire:
        made = wire.ask("POST", "/manage/v1/keys", lies, body)
        assert made.status == 201
        assert made.one("Location") == f"/manage/v1/keys/{made.json()['id']}"
        for target in (
            "/manage/v1/openapi.json",
            "/manage/v1/keys",
            "/nothing",
            "/manage/v1/keys/",
        ):
            answer = wire.ask("GET", target, lies)
            assert b"evil" not in answer.body
            assert "evil" not in str(answer.headers)


def test_the_upstreams_own_refusals_pass_untouched(mirror, keys):
    for status in (401, 403, 404, 405, 413, 418, 429, 500, 502, 503, 504):
        target = f"{OBJECT}?status={status}&header=WWW-Authenticate:%20Theirs&header=X-Own:%201"
        answer = ask(mirror.address, "GET", target, [bearer(keys.storage.text)])
        assert answer.status == status
        assert answer.every("WWW-Authenticate") == ["Theirs"]
        assert answer.every("X-Own") == ["1"]
        assert answer.json()["target"] == target
        assert answer.every("X-Latchgate-Decision") == []
        head = ask(mirror.address, "HEAD", target, [bearer(keys.storage.text)])
        assert (head.status, head.body) == (status, b"")


def test_an_upstream_can_not_send_a_request_elsewhere(mirror, keys, echo):
    for place in ("/v1/models", "/_latchgate/verify", "/_latchgate/error", "@latchgate_refused"):
        target = f"{OBJECT}?header=X-Accel-Redirect:%20{place}"
        answer = ask(mirror.address, "GET", target, [bearer(keys.storage.text)])
        assert answer.json()["target"] == target
        assert answer.every("X-Accel-Redirect") == []


@pytest.mark.parametrize(
    "target",
    [
        "/_latchgate/verify", "/_latchgate/verify?x", "/_latchgate/error", "//_latchgate/verify",
        "/%5flatchgate/verify", "/v1/..%2f_latchgate/verify", "/v1/%2e%2e/_latchgate/verify",
        "/@latchgate_refused", "/@latchgate_refusal", "/_latchgate/nothing",
    ],
)  # fmt: skip
def test_the_gateways_inner_locations_can_not_be_asked_for(mirror, keys, echo, target):
    before = echo.count()
    answer = ask(mirror.address, "GET", target, [bearer(keys.both.text)])
    assert answer.status in {400, 404}
    assert not [name for name, _ in answer.headers if name.startswith("X-Latchgate-User")]
    assert echo.count() == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_d2_20_a_method_override_is_dropped_by_the_gateway(mirror, latchgate, name, method):
    reader = latchgate.key("storage", scopes=["storage:read"])
    answer = ask(mirror.address, "GET", OBJECT, [(name, method), bearer(reader.text)])
    assert answer.json()["method"] == "GET"
    assert name.lower() not in {told.lower() for told, _ in seen(answer)}


def test_d2_20_a_method_override_is_refused_where_the_gateway_passes_all_headers(verify, keys):
    for name in ("X-HTTP-Method-Override", "x-http-method", "X-Method-Override"):
        headers = [
            ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", OBJECT), ("X-Forwarded-Host", "a"),
            ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.1"), (name, "DELETE"),
            bearer(keys.storage.text),
        ]  # fmt: skip
        answer = ask(verify, "GET", "/forwarded", headers)
        assert (answer.status, answer.json()["code"]) == (400, "INVALID_PARAMETER")


def test_the_shipped_configuration_passes_nginxs_own_check(mirror):
    done = subprocess.run(
        ["nginx", "-t", "-q", "-c", mirror.folder / "nginx.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "/run/nginx.pid" not in line]
    assert [line for line in said if "[warn]" in line] == []
    assert not done.returncode or "/run/nginx.pid" in done.stderr


def test_every_identity_header_that_latchgate_sends_is_one_the_gateway_replaces():
    protect = (ROOT / "deploy/nginx/latchgate-protect.conf").read_text(encoding="utf-8")
    source = (ROOT / "src/latchgate/core/answer.py").read_text(encoding="utf-8")
    sent = set(re.findall(r'"X-Latchgate-([A-Za-z-]+)"', source))
    replaced = set(re.findall(r"proxy_set_header X-Latchgate-([A-Za-z-]+) ", protect))
    read = dict(re.findall(r"auth_request_set \$(\w+) +\$upstream_http_(\w+)_latchgate;", protect))
    passed = dict(re.findall(r"proxy_set_header X-Latchgate-([A-Za-z-]+) +\$(\w+);", protect))
    assert len(sent) == 10
    for name in sent:
        assert read[passed[name]] == name.lower().replace("-", "_")
    assert sent | {"Decision"} == replaced == set(IDENTITY)


TOLD = (
    "User-Agent", "Accept", "Origin", "Access-Control-Request-Method", "Authorization", "X-API-Key",
    "X-TeraCLOUD-API-KEY", "X-Auth-Token", "Destination",
)  # fmt: skip


@pytest.mark.parametrize("name", [*TOLD, "Cookie", "X-Other"])
@pytest.mark.parametrize("byte", ["\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f"])
def test_a_control_byte_in_a_header_is_its_clients_fault(mirror, keys, echo, name, byte):
    """Of what Latchgate is told none has one, and it is not said to be unavailable."""
    for target in (OBJECT, "/v1/storage/public/p"):
        key = "" if name == "Authorization" else f"Authorization: Bearer {keys.storage.text}\r\n"
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{key}"
        for value in (f"a{byte}b", f"Bearer {keys.storage.text}{byte}x", byte):
            before = echo.count()
            with Wire(mirror.address) as wire:
                wire.send(f"{head}{name}: {value}\r\n\r\n".encode("latin-1"))
                answer = wire.answer()
            if name not in TOLD:
                assert answer.status == 200
                continue
            assert answer.status == 400, target
            assert answer.json() == {"error": "Bad request", "code": "BAD_REQUEST"}
            assert echo.count() == before


@pytest.mark.parametrize(
    "name", ["User-Agent", "Accept", "Origin", "Access-Control-Request-Method", "Authorization",
             "X-API-Key", "Cookie", "X-Other"],
)  # fmt: skip
@pytest.mark.parametrize("byte", ["\t", "\x80", "\xff"])
def test_other_unusual_bytes_in_a_header_are_read(mirror, keys, name, byte):
    carries = name in {"Authorization", "X-API-Key"}
    with Wire(mirror.address) as wire:
        for target in (OBJECT, "/v1/storage/public/p"):
            key = "" if carries else f"Authorization: Bearer {keys.storage.text}\r\n"
            value = f"Bearer {keys.storage.text}{byte}x" if carries else f"a{byte}b"
            wire.send(
                f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{key}{name}: {value}\r\n\r\n".encode(
                    "latin-1"
                )
            )
            allowed = 401 if carries and target == OBJECT else 200
            assert wire.answer().status == allowed, target


def test_what_is_looked_at_for_control_bytes_is_all_that_latchgate_is_told_of_the_clients():
    server = (ROOT / "deploy/nginx/latchgate-server.conf").read_text(encoding="utf-8")
    http = (ROOT / "deploy/nginx/latchgate-http.conf").read_text(encoding="utf-8")
    told = re.findall(r"proxy_set_header ([A-Za-z-]+) +\$http_(\w+);", server)
    (looked_at,) = re.findall(r'map "([^" ]+)" \$latchgate_unreadable', http)
    assert [name for name, _ in told if name not in TOLD] == []
    assert all(name.lower().replace("-", "_") == variable for name, variable in told)
    assert {f"$http_{variable}" for _, variable in told} == set(re.findall(r"\$\w+", looked_at))
    assert len(told) == len(TOLD)


@pytest.mark.parametrize("byte", ["\x01", "\x1b", "\x7f", "\t", " ", "\xff"])
def test_a_control_byte_in_the_host_is_its_clients_fault(mirror, keys, byte):
    with Wire(mirror.address) as wire:
        wire.send(
            f"GET {OBJECT} HTTP/1.1\r\nHost: local{byte}host\r\n"
            f"Authorization: Bearer {keys.storage.text}\r\n\r\n".encode("latin-1")
        )
        assert wire.answer().status in {400, 421}
