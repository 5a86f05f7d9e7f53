"""The verify listener as a whole server: methods, targets, ends of connections, pipelining.

What could be cut into requests in two ways is in test_smuggling, what is asked and answered in
test_verify_door. Every case ends by looking whether the connection is still in step.
"""

from __future__ import annotations

import itertools
import random
import time
from contextlib import ExitStack

import pytest
from tests.e2e.stack import Latchgate
from tests.e2e.test_verify_door import ENVOY, FORWARDED, NGINX, OBJECT
from tests.e2e.wire import Wire, ask, bearer, exchange, written

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

HOST = "Host: localhost\r\n"
METHODS = (
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "MKCOL",
    "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "PURGE", "REPORT", "LINK", "QUERY",
)  # fmt: skip


# Methods: a gateway asks with the method of the request or with GET; both mean the same here.


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_answered_and_the_connection_stays_in_step(verify, keys, method):
    key = bearer(keys.storage.text)
    with Wire(verify) as wire:
        for url, told in (("/nginx", NGINX), ("/forwarded", FORWARDED), ("/healthz", {})):
            for headers, body in itertools.product(
                ([*told.items(), key], [*told.items()]), (b"", b"x" * 300)
            ):
                wire.send(written(method, url, headers, body))
                answer = wire.answer(head=method == "HEAD")
                if url == "/healthz":
                    assert (answer.status == 200) is (method in {"GET", "HEAD"})
                else:  # the request is the one that the headers tell of, not this one
                    assert (answer.status == 200) is (key in headers)
        assert wire.ask("GET", "/healthz").json()["status"] == "ok"


@pytest.mark.parametrize("method", METHODS)
def test_a_gateway_that_asks_with_the_requests_own_method_is_told_by_its_rule(verify, keys, method):
    """Envoy's family; a storage key with `storage:read` reads and does nothing else."""
    with Wire(verify) as wire:
        wire.send(
            written(method, "/envoy" + OBJECT, [*ENVOY.items(), bearer(keys.llm.text)])
            + written(method, "/envoy" + OBJECT, [*ENVOY.items()])
            + written("GET", "/healthz")
        )
        for status in ({403, 405}, {401, 405}):
            answer = wire.answer(head=method == "HEAD")
            assert answer.status in status
            assert answer.status != 405 or "GET" in answer.one("Allow")
        assert wire.answer().json()["status"] == "ok"


def test_connect_opens_nothing(verify, keys):
    """What follows its head is another protocol (RFC 9110 §9.3.6); none is spoken here."""
    for target in ("localhost:80", "/nginx", "/healthz"):
        data = f"CONNECT {target} HTTP/1.1\r\n{HOST}"
        data += "".join(f"{name}: {value}\r\n" for name, value in NGINX.items())
        data += f"Authorization: Bearer {keys.storage.text}\r\n\r\n"
        answers = exchange(verify, data.encode() + written("GET", "/healthz"), seconds=3)
        assert len(answers) <= 1
        assert "Upgrade" not in dict(answers[0].headers) if answers else True


# Targets (RFC 9112 §3.2)


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost/nginx",
        "HTTP://localhost/nginx",
        "http://localhost:8422/nginx?x",
        "//localhost/nginx",
        "//nginx",
        "/nginx/",
        "/nginx/x",
        "/NGINX",
        "/ngin%78",
        "/./nginx",
        "/x/../nginx",
        "/nginx;a=b",
        "/nginx%3fx",
        "/forwarded/",
        "/envoy",
        "nginx",
        "*",
        "localhost:80",
    ],
)
def test_only_the_doors_own_urls_let_through(verify, keys, target):
    """Spelled in any other way they lead nowhere, so that a gateway's rule for them holds."""
    headers = [*(NGINX | FORWARDED).items(), bearer(keys.storage.text)]
    for method in ("GET", "OPTIONS"):
        answers = exchange(
            verify,
            written(method, target, headers)
            + written("GET", "/healthz", [("Connection", "close")]),
            seconds=3,
        )
        assert answers[0].status in {400, 404}
        assert answers[1:] == [] or [one.status for one in answers[1:]] == [200]


def test_the_target_in_a_header_may_not_be_absolute(verify, keys):
    for url, told, name in (
        ("/nginx", NGINX, "X-Original-URI"),
        ("/forwarded", FORWARDED, "X-Forwarded-Uri"),
    ):
        for target in (f"http://api.example.com{OBJECT}", f"//api.example.com{OBJECT}", "*"):
            headers = [*(told | {name: target}).items(), bearer(keys.storage.text)]
            assert ask(verify, "GET", url, headers).status in {400, 403, 404}


# Framing that is well-formed, if rare


def test_empty_lines_before_a_request_are_passed_over(verify):
    """RFC 9112 §2.2. How many is in tests/doors/test_listener."""
    with Wire(verify) as wire:
        for number in (1, 2, 100):
            wire.send(b"\r\n" * number + written("GET", "/healthz"))
            assert wire.answer().status == 200
        wire.send(written("GET", "/healthz") + b"\r\n" + written("GET", "/healthz"))
        assert [wire.answer().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "chunks",
    [
        b"0\r\n\r\n",
        b"0000000000\r\n\r\n",
        b"0;a=b\r\n\r\n",
        b'5;a;b="c d";e\r\nabcde\r\n0\r\n\r\n',
        b"A\r\n0123456789\r\n0\r\n\r\n",
        b"a\r\nGET / HTTP\r\n0\r\n\r\n",
        b"1\r\na\r\n" * 2_000 + b"0\r\n\r\n",
    ],
    ids=range(7),
)
def test_a_chunked_body_is_passed_over_to_its_end(verify, keys, chunks):
    headers = [*FORWARDED.items(), bearer(keys.storage.text), ("Transfer-Encoding", "chunked")]
    for pieces in (False, True):
        with Wire(verify) as wire:
            data = written("GET", "/forwarded", headers) + chunks + written("GET", "/healthz")
            if pieces:
                for at in range(0, len(data), 97):
                    wire.send(data[at : at + 97])
            else:
                wire.send(data)
            assert wire.answer().status == 200
            assert wire.answer().json()["status"] == "ok"


def test_endless_trailers_are_refused_at_the_first(verify):
    head = written("POST", "/", [("Transfer-Encoding", "chunked")])
    (answer,) = exchange(verify, head + b"0\r\n" + b"X-A: b\r\n" * 1_000, seconds=5)
    assert (answer.status, answer.one("Connection")) == (400, "close")


# Ends of connections (RFC 9112 §9)


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "CLOSE", False),
        ("1.1", "x, close", False),
        ("1.1", "close, keep-alive", False),
        ("1.0", None, False),
        ("1.0", "keep-alive", True),
        ("1.0", "close", False),
    ],
)
@pytest.mark.parametrize("body", [b"", b"x" * 100])
def test_a_connection_ends_when_its_client_says_so(verify, keys, version, connection, stays, body):
    lines = [*NGINX.items(), bearer(keys.storage.text)]
    lines += [("Connection", connection)] if connection else []
    lines += [("Content-Length", str(len(body)))] if body else []
    told = "".join(f"{name}: {value}\r\n" for name, value in lines)
    data = f"GET /nginx HTTP/{version}\r\n{HOST}{told}\r\n".encode() + body
    with Wire(verify) as wire:
        wire.send(data + written("GET", "/healthz"))
        answer = wire.answer()
        assert (answer.status, answer.every("Connection")) == (200, [] if stays else ["close"])
        if stays:
            assert wire.answer().json()["status"] == "ok"
        else:
            assert wire.rest(seconds=5) == b""


def test_a_refusal_keeps_its_connection(verify, keys):
    with Wire(verify) as wire:
        for _ in range(200):
            assert wire.ask("GET", "/nginx", NGINX.items()).status == 401
            assert wire.ask("GET", "/nginx", [*NGINX.items(), bearer("x")]).status == 401
            headers = [*NGINX.items(), bearer(keys.storage.text)]
            assert wire.ask("GET", "/nginx", headers).status == 200


# Pipelining


def test_a_thousand_requests_of_all_sorts_sent_at_once_are_each_answered_in_turn(verify, keys):
    """As in one packet, so in pieces cut anywhere; an answer out of place lets a stranger pass."""
    rng = random.Random(5)
    kinds = {
        "allowed": (written("GET", "/nginx", [*NGINX.items(), bearer(keys.storage.text)]), 200),
        "nobody": (written("GET", "/nginx", NGINX.items()), 401),
        "wrong": (written("GET", "/forwarded", [*FORWARDED.items(), bearer("no")]), 401),
        "other": (written("GET", "/forwarded", [*FORWARDED.items(), bearer(keys.llm.text)]), 403),
        "no area": (written("GET", "/x"), 404),
        "body": (written("POST", "/", [], b'{"method": "GET", "target": "/"}'), 200),
        "bad body": (written("POST", "/", [], b"{"), 400),
        "alive": (written("GET", "/healthz"), 200),
        "ready": (written("GET", "/readyz"), 200),  # which is answered by another thread
    }
    order = rng.choices(list(kinds), k=1_000)
    data = b"".join(kinds[one][0] for one in order)
    for size in (len(data), 1_000, 70_000):
        with Wire(verify, timeout=30) as wire:
            for at in range(0, len(data), size):
                wire.send(data[at : at + size])
            assert [wire.answer().status for _ in order] == [kinds[one][1] for one in order]


def test_what_is_revoked_between_two_pipelined_questions_is_refused_by_the_second(latchgate):
    """One connection, both asked before either was answered; the head of the second held back."""
    key = latchgate.key()
    asked = written("GET", "/nginx", [*NGINX.items(), bearer(key.text)])
    with Wire(latchgate.verify) as wire:
        wire.send(asked * 3 + asked[:-1])
        assert [wire.answer().status for _ in range(3)] == [200] * 3
        latchgate.revoke(key)
        wire.send(asked[-1:])
        assert wire.answer().status == 401


# Many connections


def test_connections_spread_over_all_workers_are_exact_on_revocation(latchgate):
    """Workers share one listening socket; which of them has a connection nobody knows."""
    key = latchgate.key()
    asked = written("GET", "/nginx", [*NGINX.items(), bearer(key.text)])
    wires = [Wire(latchgate.verify) for _ in range(100)]
    try:
        verifiers = {wire.ask("GET", "/healthz").json()["verifier"] for wire in wires}
        assert len(verifiers) == len(latchgate.workers) == 2
        for wire in wires:
            wire.send(asked)
            assert wire.answer().status == 200
        latchgate.revoke(key)
        for wire in wires:
            wire.send(asked)
        assert {wire.answer().status for wire in wires} == {401}
    finally:
        for wire in wires:
            wire.close()


def test_connections_that_are_cut_anywhere_hurt_nobody_else(latchgate, verify, keys):
    headers = [*NGINX.items(), bearer(keys.storage.text)]
    asked = written("POST", "/nginx", headers, b"x" * 50)
    logged = latchgate.stderr
    with Wire(verify) as stays:
        for at in range(0, len(asked), 3):
            with Wire(verify) as cut:
                cut.send(asked[:at])
            with Wire(verify) as cut:
                cut.reset(asked + asked[:at])
            assert stays.ask("GET", "/nginx", headers).status == 200
    assert latchgate.stderr == logged


def test_a_flood_of_connections_leaves_the_databases_and_the_other_doors_theirs(tmp_path):
    """Here with 400 open files: half of them for the gateways' connections, and so few for them."""
    with Latchgate(tmp_path / "latchgate") as server, ExitStack() as opened:
        server.serve(workers=1, under=("prlimit", "--nofile=400:400"))
        key = server.key()
        headers = [*NGINX.items(), bearer(key.text)]
        first = opened.enter_context(Wire(server.verify))
        for address, limit in ((server.verify, 200), (server.api, 50), (server.console, 50)):
            wires = [opened.enter_context(Wire(address)) for _ in range(limit + 10)]
            refused = [wire for wire in wires if not wire.silent(0.01)]
            assert 10 <= len(refused) <= 12
            assert {wire.answer().status for wire in refused} == {503}
        for _ in range(50):
            assert first.ask("GET", "/nginx", headers).status == 200
        assert server.stderr.count("connections are open; more are refused") == 1
        opened.close()
        time.sleep(0.3)
        server.revoke(key)  # the databases could still be opened
        assert ask(server.verify, "GET", "/nginx", headers).status == 401


# The end of the server


@pytest.fixture
def server(tmp_path):
    with Latchgate(tmp_path / "latchgate") as made:
        yield made


def test_a_server_that_ends_answers_all_that_had_reached_it(server):
    server.serve(workers=1)
    key = server.key()
    asked = written("GET", "/nginx", [*NGINX.items(), bearer(key.text)])
    wires = [Wire(server.verify) for _ in range(30)]
    for wire in wires:
        assert wire.ask("GET", "/healthz").status == 200
    for wire in wires:
        wire.send(asked * 5)
    time.sleep(0.3)  # all of it is decided and written by now
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 8  # idle connections hold up no end
    for wire in wires:
        assert [wire.answer().status for _ in range(5)] == [200] * 5
        assert wire.rest(seconds=3) == b""  # closed, not broken off
        wire.close()


def test_a_server_that_drains_says_so_and_answers_until_it_ends(server):
    with server.config.open("a", encoding="utf-8") as file:
        file.write("\n[node]\ndrain = 1.5\n")
    server.serve(workers=1)
    key = server.key()
    headers = [*NGINX.items(), bearer(key.text)]
    with Wire(server.verify) as wire:
        assert wire.ask("GET", "/readyz").status == 200
        server.tell()
        begun = time.monotonic()
        told = []
        try:
            while time.monotonic() - begun < 10:
                told.append(wire.ask("GET", "/readyz").status)
                assert wire.ask("GET", "/nginx", headers).status == 200
                time.sleep(0.02)
        except OSError:  # it has ended
            pass
    assert 1.0 < time.monotonic() - begun < 9
    assert told[-1] == 503
    assert server.stop() == 0
