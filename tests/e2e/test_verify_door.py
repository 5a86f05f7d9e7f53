"""The verify door as gateways and programs ask it: on bare sockets, no gateway between."""

from __future__ import annotations

import itertools
import json
import os
import stat
import time

import pytest
from tests.e2e.stack import Gateway, Latchgate, Port
from tests.e2e.wire import Answer, Wire, ask, bearer, written

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OBJECT = "/v1/storage/b/o"
UNAUTHORIZED = {"error": "Invalid or expired API key", "code": "AUTH_FAILED"}
FORBIDDEN = {
    "error": "API key does not have permission for this service",
    "code": "INSUFFICIENT_PERMISSIONS",
}
DOWN = {"error": "Authentication service unavailable", "code": "SERVICE_UNAVAILABLE"}

NGINX = {
    "X-Original-Method": "GET",
    "X-Original-URI": OBJECT,
    "X-Original-Host": "api.example.com",
    "X-Original-Scheme": "https",
    "X-Real-IP": "192.0.2.1",
}
FORWARDED = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": OBJECT,
    "X-Forwarded-Host": "api.example.com",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "192.0.2.1",
}
ENVOY = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}


def identity_of(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("X-Latchgate-")}


def expected(key, scope: str) -> dict[str, str]:
    return {
        "X-Latchgate-Project": key.told["project_id"],
        "X-Latchgate-User": key.told["owner_id"],
        "X-Latchgate-Credential": key.id,
        "X-Latchgate-Kind": "wayscloud.service_key",
        "X-Latchgate-Service": scope.partition(":")[0],
        "X-Latchgate-Scope": scope,
    }


@pytest.mark.parametrize(
    ("url", "told"),
    [("/nginx", NGINX), ("/forwarded", FORWARDED), ("/envoy" + OBJECT, ENVOY)],
)
def test_each_family_tells_who_is_asking(verify, keys, url, told):
    answer = ask(verify, "GET", url, [*told.items(), bearer(keys.storage.text)])
    assert (answer.status, answer.body) == (200, b"")
    found = identity_of(answer)
    assert found.pop("X-Latchgate-Tenant").startswith("t-")
    assert found == expected(keys.storage, "storage:read")


@pytest.mark.parametrize("url", ["/nginx?x=1", "/forwarded?x=1"])
def test_a_query_of_the_doors_own_url_means_nothing(verify, keys, url):
    told = NGINX if url.startswith("/nginx") else FORWARDED
    assert ask(verify, "GET", url, [*told.items(), bearer(keys.storage.text)]).status == 200


def test_nginx_gets_the_status_it_passes_on_and_the_rest_in_headers(verify, keys):
    cases = [
        ({}, None, 401, 401, UNAUTHORIZED),
        ({}, keys.llm.text, 403, 403, FORBIDDEN),
        ({"X-Original-Method": "PATCH"}, keys.storage.text, 403, 405, None),
        ({"X-Original-URI": "/v1/nothing"}, keys.storage.text, 403, 404, None),
        ({"X-Original-URI": "/v1/storage/../x"}, keys.storage.text, 403, 400, None),
        ({"X-Original-Host": "a b"}, keys.storage.text, 403, 400, None),
    ]
    for change, key, sent, status, body in cases:
        headers = [*(NGINX | change).items(), *([bearer(key)] if key else [])]
        answer = ask(verify, "GET", "/nginx", headers)
        assert (answer.status, answer.body) == (sent, b"")
        assert answer.one("X-Latchgate-Status") == str(status)
        assert answer.one("X-Latchgate-Content-Type") == "application/json"
        assert len(answer.one("X-Latchgate-Decision")) == 20
        assert answer.every("WWW-Authenticate") == []
        if body is not None:
            assert json.loads(answer.one("X-Latchgate-Body")) == body
        if status == 405:
            assert answer.one("X-Latchgate-Allow") == "DELETE, GET, HEAD, POST, PUT"
    challenge = ask(verify, "GET", "/nginx", NGINX.items()).one("X-Latchgate-Challenge")
    assert challenge == 'Bearer realm="WAYSCloud"'


@pytest.mark.parametrize("family", ["/forwarded", "/envoy"])
def test_other_gateways_get_the_providers_own_answer(verify, keys, family):
    def asked(method: str, target: str, key: str | None) -> Answer:
        headers = [bearer(key)] if key else []
        if family == "/envoy":
            return ask(verify, method, family + target, [*ENVOY.items(), *headers])
        told = FORWARDED | {"X-Forwarded-Method": method, "X-Forwarded-Uri": target}
        return ask(verify, "GET", family, [*told.items(), *headers])

    answer = asked("GET", OBJECT, None)
    assert (answer.status, answer.json()) == (401, UNAUTHORIZED)
    assert answer.every("WWW-Authenticate") == ['Bearer realm="WAYSCloud"']
    assert answer.every("Content-Type") == ["application/json"]
    answer = asked("POST", "/v1/chat/completions", keys.storage.text)
    assert (answer.status, answer.json()) == (403, FORBIDDEN)
    answer = asked("PATCH", OBJECT, keys.storage.text)
    assert (answer.status, answer.one("Allow")) == (405, "DELETE, GET, HEAD, POST, PUT")
    answer = asked("GET", "/v1/x", None)
    assert (answer.status, answer.json()["code"]) == (404, "NOT_FOUND")
    answer = asked("GET", "/x", None)
    assert (answer.status, answer.one("Content-Type")) == (404, "application/problem+json")
    answer = asked("GET", "/v1/storage/%2e%2e/x", keys.storage.text)
    assert (answer.status, answer.json()["code"]) == (400, "INVALID_PARAMETER")


@pytest.mark.parametrize(("status", "target"), [(401, OBJECT), (404, "/v1/x"), (405, "/v1/models")])
def test_d7_66_a_refusal_is_stored_by_no_cache_on_its_way(verify, status, target):
    # 404 and 405 may be cached without being asked to (RFC 9110 §15.1), with their decision's id.
    told = FORWARDED | {"X-Forwarded-Uri": target, "X-Forwarded-Method": "POST"}
    answer = ask(verify, "GET", "/forwarded", told.items())
    assert answer.status == (401 if target == OBJECT else status)
    assert answer.every("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PROPFIND"])
def test_envoy_is_asked_with_the_requests_own_method(verify, latchgate, method):
    scope = {"PUT": "write", "POST": "write", "DELETE": "delete"}.get(method, "read")
    held = latchgate.key("storage", scopes=[f"storage:{scope}"])
    answer = ask(verify, method, "/envoy" + OBJECT, [*ENVOY.items(), bearer(held.text)])
    assert answer.status == (405 if method == "PROPFIND" else 200)


def test_envoy_keeps_the_raw_path(verify, keys):
    for target, status in (
        ("/v1/storage/a%2Fb", 200),
        ("/v1/storage/%2e%2e/models", 400),
        ("/v1/storage//b", 400),
        ("//v1/storage/b", 400),
        ("/../nginx", 400),
        ("", 404),
    ):
        answer = ask(verify, "GET", "/envoy" + target, [*ENVOY.items(), bearer(keys.storage.text)])
        assert answer.status == status, target


@pytest.mark.parametrize(
    ("url", "told"), [("/nginx", NGINX), ("/forwarded", FORWARDED), ("/envoy" + OBJECT, ENVOY)]
)
def test_what_the_gateway_does_not_say_refuses(verify, latchgate, keys, url, told):
    for name in told:
        for value in (None, "", " "):
            left = [(other, text) for other, text in told.items() if other != name]
            left += [] if value is None else [(name, value)]
            answer = ask(verify, "GET", url, [*left, bearer(keys.storage.text)])
            status = answer.status if url != "/nginx" else int(answer.one("X-Latchgate-Status"))
            assert status == 503, (name, value)
            told_of = latchgate.explain(answer.one("X-Latchgate-Decision"))
            assert told_of["reason"] == "gateway_incomplete"
            assert name.lower() in str(told_of["steps"])


@pytest.mark.parametrize(
    ("url", "told"), [("/nginx", NGINX), ("/forwarded", FORWARDED), ("/envoy" + OBJECT, ENVOY)]
)
def test_what_the_gateway_says_twice_refuses(verify, keys, url, told):
    for name in told:
        if name == "X-Forwarded-For":  # a list by its nature
            continue
        for again in (name, name.lower(), name.upper()):
            headers = [*told.items(), (again, told[name]), bearer(keys.storage.text)]
            answer = ask(verify, "GET", url, headers)
            status = answer.status if url != "/nginx" else int(answer.one("X-Latchgate-Status"))
            assert status == 503, again


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_d1_04_a_credential_sent_twice_is_refused(verify, latchgate, keys, name):
    value = f"Bearer {keys.storage.text}" if name == "Authorization" else keys.storage.text
    for again in (name, name.lower()):
        headers = [*FORWARDED.items(), (name, value), (again, value)]
        answer = ask(verify, "GET", "/forwarded", headers)
        assert (answer.status, answer.json()) == (401, UNAUTHORIZED)
        decision = answer.one("X-Latchgate-Decision")
        assert latchgate.explain(decision)["reason"] == "credential_repeated"


@pytest.mark.parametrize(
    "url",
    [
        "/nginx/",
        "/nginxx",
        "/NGINX",
        "/forwarded/x",
        "/envoy",
        "/",
        "/x",
        "//nginx",
        "/%6eginx",
        "*",
    ],
)
def test_there_is_nothing_but_the_families(verify, keys, url):
    headers = [*NGINX.items(), *FORWARDED.items(), bearer(keys.storage.text)]
    assert ask(verify, "GET", url, headers).status in {404, 405}


# A caller that is no configured gateway


@pytest.fixture(scope="module")
def stranger(tmp_path_factory, latchgate):
    """A Latchgate that trusts another machine only; made of the first one's configuration."""
    with Latchgate(tmp_path_factory.mktemp("stranger")) as server:
        text = server.config.read_text(encoding="utf-8")
        assert 'trusted = ["127.0.0.1", "::1"]' in text
        server.config.write_text(
            text.replace(
                'trusted = ["127.0.0.1", "::1"]', 'trusted = ["127.0.0.4", "192.0.2.0/24"]'
            ),
            encoding="utf-8",
        )
        server.serve(workers=1)
        yield server


def test_who_is_no_gateway_is_told_nothing(stranger):
    key = stranger.key()
    for method, url in (
        ("GET", "/nginx"), ("GET", "/forwarded"), ("GET", "/envoy" + OBJECT), ("POST", "/"),
        ("GET", "/healthz"), ("GET", "/x"),
    ):  # fmt: skip
        headers = [*NGINX.items(), *FORWARDED.items(), bearer(key.text)]
        answer = ask(stranger.verify, method, url, headers, b"{}" if method == "POST" else b"")
        assert (answer.status, answer.json()["code"]) == (403, "gateway_not_trusted")
        assert identity_of(answer) == {}


def test_a_configured_gateway_is_answered(stranger):
    headers = [*NGINX.items(), bearer(stranger.key().text)]
    assert ask(stranger.verify, "GET", "/nginx", headers, source="127.0.0.4").status == 200
    assert ask(stranger.verify, "GET", "/nginx", headers, source="127.0.0.5").status == 403


def test_only_a_configured_gateway_may_say_where_a_request_to_the_api_comes_from(stranger):
    headers = [bearer(stranger.token), ("X-Forwarded-For", "a")]
    assert ask(stranger.api, "GET", "/manage/v1/keys", headers).status == 200  # not listened to
    assert ask(stranger.api, "GET", "/manage/v1/keys", headers, source="127.0.0.4").status == 400


# POST /


QUESTION = {
    "method": "GET",
    "target": OBJECT,
    "host": "api.example.com",
    "headers": {"X-Request-Id": "7"},
    "client": "192.0.2.1",
    "tls": True,
}


def post(verify: Port, asked: object) -> Answer:
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    return ask(verify, "POST", "/", [("Content-Type", "application/json")], body)


def test_one_question_as_json(verify, keys):
    headers = {"Authorization": f"Bearer {keys.storage.text}"}
    answer = post(verify, QUESTION | {"headers": headers})
    assert (answer.status, answer.one("Cache-Control")) == (200, "no-store")
    told = answer.json()
    assert told["identity"].pop("X-Latchgate-Tenant").startswith("t-")
    assert told == {
        "allowed": True,
        "status": 200,
        "identity": expected(keys.storage, "storage:read"),
        "headers": {},
        "body": "",
        "decision": None,
    }


def test_a_refusal_as_json_holds_the_whole_answer(verify, latchgate):
    told = post(verify, QUESTION).json()
    assert latchgate.explain(told.pop("decision"))["client"] == "192.0.2.1"
    assert json.loads(told.pop("body")) == UNAUTHORIZED
    assert told == {
        "allowed": False,
        "status": 401,
        "identity": {},
        "headers": {
            "Content-Type": "application/json",
            "WWW-Authenticate": 'Bearer realm="WAYSCloud"',
        },
    }


def test_a_batch_is_answered_in_order(verify, latchgate, keys):
    made = [latchgate.key() for _ in range(5)]
    asked = [
        QUESTION | {"headers": {"authorization": f"Bearer {key.text}"}, "target": f"{OBJECT}/{at}"}
        for at, key in enumerate(made * 20)
    ]
    told = post(verify, {"requests": asked}).json()["decisions"]
    found = [one["identity"]["X-Latchgate-Credential"] for one in told]
    assert found == [key.id for key in made] * 20


def test_headers_that_came_twice_are_told_as_a_list(verify, keys):
    text = f"Bearer {keys.storage.text}"
    for headers in (
        {"Authorization": [text, text]},
        {"Authorization": text, "authorization": text},
    ):
        assert post(verify, QUESTION | {"headers": headers}).json()["status"] == 401
    one = post(verify, QUESTION | {"headers": {"AUTHORIZATION": [text]}}).json()
    assert one["allowed"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"client": "a"}, 400),
        ({"client": "192.0.2.1:80"}, 400),
        ({"client": None}, 401),
        ({"target": ""}, 400),
        ({"target": "v1/storage"}, 400),
        ({"target": "http://x/v1/storage/b"}, 400),
        ({"target": "/v1/storage/../x"}, 400),
        ({"target": "/v1/storage/\x00"}, 400),
        ({"target": "/v1/storage/é"}, 400),
        ({"method": "get"}, 400),
        ({"method": ""}, 400),
        ({"method": "GET /x HTTP/1.1\r\n"}, 400),
        ({"host": "a/b"}, 400),
        ({"host": "a\r\nb"}, 400),
        ({"headers": {"Authorization": "Bearer a\r\nX-Evil: 1"}}, 401),
        ({"headers": {"X-HTTP-Method-Override": "DELETE"}}, 400),
        ({"headers": {"": ""}}, 401),
    ],
)
def test_what_a_program_says_of_a_request_is_judged_like_a_gateways(verify, change, status):
    told = post(verify, QUESTION | change).json()
    assert (told["allowed"], told["status"]) == (False, status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b'"x"',
        b"1" * 400,
        b'{"method": "GET"}',
        b'{"method": "GET", "target": 1}',
        b'{"method": "GET", "target": "/", "evil": 1}',
        b'{"method": "GET", "target": "/", "headers": {"a": 1}}',
        b'{"method": "GET", "target": "/", "headers": [["a", "b"]]}',
        b'{"method": "GET", "target": "/", "tls": "yes"}',
        b'{"requests": []}',
        b'{"requests": [{}]}',
        b'{"requests": {"method": "GET", "target": "/"}}',
        b'{"requests": [{"method": "GET", "target": "/"}], "more": 1}',
        b'{"method": "GET", "target": "/"} {}',
        b'{"method": "GET", "target": "' + b"/a" * 10_000 + b'"}',
        b'{"method": "\\ud800", "target": "/"}',
        b'{"method": "GET", "target": "/\xff"}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b'{"a":' * 5_000,
        b"[" * 50_000,
        b'{"requests":' + b"[" * 50_000,
        json.dumps({"requests": [QUESTION] * 101}).encode(),
    ],
    ids=range(28),
)
def test_d7_63_a_body_that_asks_nothing_is_a_400_that_says_why(verify, latchgate, body):
    logged = latchgate.stderr
    answer = post(verify, body)
    assert answer.status == 400
    assert answer.one("Content-Type") == "application/problem+json"
    told = answer.json()
    assert told["code"] == "request_invalid"
    assert 0 < len(told["detail"]) < 300
    assert latchgate.stderr == logged  # a caller's mistake is not the operator's news


def test_a_body_may_be_a_megabyte_and_no_more(verify):
    with Wire(verify) as wire:
        padded = json.dumps(QUESTION).encode().ljust(1_048_576)
        assert wire.ask("POST", "/", [], padded).json()["status"] == 401
        wire.send(written("POST", "/", [("Content-Length", str(10 << 20))]))
        wire.send(bytes(2_000_000))
        answer = wire.answer()
        assert (answer.status, answer.one("Connection")) == (413, "close")


def test_a_chunked_question(verify):
    body = json.dumps(QUESTION).encode()
    with Wire(verify) as wire:
        wire.send(written("POST", "/", [("Transfer-Encoding", "chunked")]))
        for at in range(0, len(body), 7):
            piece = body[at : at + 7]
            wire.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        wire.send(b"0\r\n\r\n")
        assert wire.answer().json()["status"] == 401
        assert wire.ask("GET", "/healthz").status == 200


def test_expect_100_continue_is_answered_before_the_body_comes(verify):
    # RFC 9110 §10.1.1; a client that gets no answer waits a second or more for one.
    body = json.dumps(QUESTION).encode()
    length = ("Content-Length", str(len(body)))
    with Wire(verify, timeout=3) as wire:
        wire.send(written("POST", "/", [("Expect", "100-continue"), length]))
        assert wire.answer().status == 100
        wire.send(body)
        assert wire.answer().json()["status"] == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_questions_are_posted(verify, method):
    answer = ask(verify, method, "/")
    assert answer.status == 405
    assert answer.every("Allow") == ["POST"]  # RFC 9110 §15.5.6


# Connections


@pytest.mark.parametrize("url", ["/", "/healthz", "/x", "/nginx", "/forwarded", "/envoy/x"])
def test_a_head_is_answered_without_a_body(verify, url):
    """A body after HEAD would be read as the start of the next answer (RFC 9112 §6.3)."""
    with Wire(verify) as wire:
        wire.send(written("HEAD", url))
        wire.send(written("GET", "/healthz"))
        wire.answer(head=True)
        assert wire.answer().json()["status"] == "ok"


def test_a_head_of_a_stranger_is_answered_without_a_body(stranger):
    with Wire(stranger.verify) as wire:
        wire.send(written("HEAD", "/nginx") + written("GET", "/healthz"))
        assert wire.answer(head=True).status == 403
        assert wire.answer().json()["code"] == "gateway_not_trusted"


def test_questions_sent_at_once_are_answered_in_order(verify, latchgate):
    made = [latchgate.key() for _ in range(10)]
    questions, wanted = b"", []
    for at, key in itertools.product(range(20), made):
        told = FORWARDED | {"X-Forwarded-Uri": f"{OBJECT}/{at}"}
        good = at % 3
        headers = [*told.items(), bearer(key.text if good else "x")]
        questions += written("GET", "/forwarded", headers)
        wanted.append(key.id if good else None)
    with Wire(verify) as wire:
        wire.send(questions)
        found = [identity_of(wire.answer()).get("X-Latchgate-Credential") for _ in wanted]
    assert found == wanted


def test_a_connection_serves_thousands(verify, keys):
    headers = [*NGINX.items(), bearer(keys.storage.text)]
    with Wire(verify) as wire:
        for _ in range(2_000):
            assert wire.ask("GET", "/nginx", headers).status == 200


def test_connection_close_is_heeded(verify):
    with Wire(verify) as wire:
        wire.send(
            written("GET", "/healthz", [("Connection", "close")]) + written("GET", "/healthz")
        )
        assert wire.answer().status == 200
        assert wire.rest(seconds=3) == b""


def test_http_1_0_is_answered_and_closed(verify):
    with Wire(verify) as wire:
        wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert wire.answer().status == 200
        assert wire.rest(seconds=3) == b""


def test_half_sent_questions_hold_nobody_up(verify, keys):
    waiting = [Wire(verify) for _ in range(300)]
    try:
        for wire in waiting:
            wire.send(b"GET /nginx HTTP/1.1\r\nHost: x\r\nX-Original-")
        headers = [*NGINX.items(), bearer(keys.storage.text)]
        begun = time.monotonic()
        for _ in range(100):
            assert ask(verify, "GET", "/nginx", headers).status == 200
        assert time.monotonic() - begun < 5
    finally:
        for wire in waiting:
            wire.close()


# A unix socket


def test_a_unix_socket_is_its_owners_and_serves_nginx(tmp_path_factory, echo):
    folder = tmp_path_factory.mktemp("unix")
    path = str(folder / "v.sock")
    with Latchgate(folder / "latchgate", verify=path) as server:
        server.serve(workers=2)
        mode = os.stat(path).st_mode  # noqa: PTH116 - the file's, whatever it is
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
        key = server.key()
        with Wire(path) as wire:
            assert wire.ask("GET", "/healthz").json()["status"] == "ok"
            headers = [*NGINX.items(), bearer(key.text)]
            assert wire.ask("GET", "/nginx", headers).status == 200
            assert wire.ask("GET", "/nginx", NGINX.items()).status == 401
        with Gateway(
            folder / "gateway", verify=path, objects=echo.address, llm=echo.address
        ) as gateway:
            gateway.start()
            for _ in range(20):
                assert ask(gateway.address, "GET", OBJECT, [bearer(key.text)]).status == 200
                assert ask(gateway.address, "GET", OBJECT).json() == UNAUTHORIZED
            server.revoke(key)
            assert ask(gateway.address, "GET", OBJECT, [bearer(key.text)]).status == 401
            server.stop()
            assert not os.path.exists(path)  # noqa: PTH110 - as above
            assert ask(gateway.address, "GET", OBJECT, [bearer(key.text)]).json() == DOWN
        # One that a killed server left behind is taken over; a live one is not.
        server.serve("--verify-listen", f"unix:{path}", workers=1)
        other = server.run(
            "serve", "--config", str(server.config), "--listen", "127.0.0.1:0",
            "--console-listen", "127.0.0.1:0", "--verify-listen", f"unix:{path}", status=1,
        )  # fmt: skip
        assert "another server listens" in other.stderr


def test_d3_a_peer_on_the_unix_socket_still_does_not_choose_its_address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unix")
    path = str(folder / "v.sock")
    with Latchgate(folder / "latchgate", verify=path) as server:
        server.serve(workers=1)
        key = server.key(allowed_ip_ranges=["192.0.2.1"])
        for hops, status in (("192.0.2.1", 200), ("192.0.2.1, 198.51.100.1", 403), ("x", 400)):
            headers = [*(FORWARDED | {"X-Forwarded-For": hops}).items(), bearer(key.text)]
            assert ask(path, "GET", "/forwarded", headers).status == status
