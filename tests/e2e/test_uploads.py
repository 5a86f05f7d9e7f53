"""ATTACKS D1 line 11: bodies of every size pass, piece by piece, and only where they may."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import time

import pytest
from tests.e2e.stack import curl
from tests.e2e.wire import Wire, ask, bearer, written

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

MB = 1 << 20
UNAUTHORIZED = {"error": "Invalid or expired API key", "code": "AUTH_FAILED"}


@pytest.mark.parametrize("size", [0, 1, 1000, 3 * MB, 50 * MB])
def test_d1_11_a_put_of_any_size_arrives_whole(gateway, files, keys, tmp_path, size):
    content = secrets.token_bytes(size)
    source = tmp_path / "source"
    source.write_bytes(content)
    url, header = (
        f"{gateway.url}/v1/storage/big/{size}",
        f"Authorization: Bearer {keys.storage.text}",
    )
    assert curl("-T", str(source), url, "-H", header).status in {201, 204}
    stored = files.object(f"big/{size}")
    assert hashlib.sha256(stored.read_bytes()).digest() == hashlib.sha256(content).digest()
    stored.unlink()


@pytest.mark.parametrize("size", [3 * MB, 50 * MB])
@pytest.mark.parametrize(("held", "status"), [("nothing", 401), ("llm", 403)])
def test_d1_11_a_refused_put_is_answered_and_not_stored(
    gateway, files, keys, tmp_path, size, held, status
):
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    header = "X-A: b" if held == "nothing" else f"Authorization: Bearer {keys.llm.text}"
    answer = curl("-T", str(source), f"{gateway.url}/v1/storage/refused/{size}", "-H", header)
    assert (answer.status, answer.json()["code"]) == (
        status,
        {401: "AUTH_FAILED", 403: "INSUFFICIENT_PERMISSIONS"}[status],
    )
    assert not files.object("refused").exists()


def test_d1_11_a_refused_put_is_answered_to_who_sends_all_of_it_first(gateway):
    with Wire(gateway.address) as wire:
        wire.send(written("PUT", "/v1/storage/b/o", [("Content-Length", str(5 * MB))]))
        for _ in range(50):
            wire.send(bytes(MB // 10))
            time.sleep(0.005)
        answer = wire.answer()
    assert (answer.status, answer.json()) == (401, UNAUTHORIZED)


def test_a_chunked_upload_of_unknown_length(gateway, files, keys):
    content = secrets.token_bytes(3 * MB)
    url, header = (
        f"{gateway.url}/v1/storage/chunked/o",
        f"Authorization: Bearer {keys.storage.text}",
    )
    # -T - has no length to tell, so curl sends chunks.
    assert curl("-T", "-", url, "-H", header, stdin=content).status == 201
    assert files.object("chunked/o").read_bytes() == content
    assert curl("-T", "-", url, stdin=content).status == 401


def test_an_upload_passes_while_it_is_still_being_sent(mirror, keys):
    piece, count = bytes(10_000), 6
    for chunked in (False, True):
        length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "60000")
        with Wire(mirror.address) as wire:
            wire.send(written("PUT", "/v1/storage/b/o", [bearer(keys.storage.text), length]))
            sent: list[float] = []
            for _ in range(count):
                wire.send(b"2710\r\n" + piece + b"\r\n" if chunked else piece)
                sent.append(time.monotonic())
                time.sleep(0.1)
            if chunked:
                wire.send(b"0\r\n\r\n")
            told = wire.answer().json()["body"]
        assert told["bytes"] == len(piece) * count
        assert told["first"] < sent[1]  # long before the last one was written
        assert told["last"] - told["first"] > 0.3


def test_expect_100_continue_is_granted_to_who_may_upload(gateway, files, keys):
    head = [bearer(keys.storage.text), ("Expect", "100-continue"), ("Content-Length", "5")]
    with Wire(gateway.address) as wire:
        wire.send(written("PUT", "/v1/storage/expect/o", head))
        assert wire.answer().status == 100
        wire.send(b"hello")
        assert wire.answer().status == 201
    assert files.object("expect/o").read_bytes() == b"hello"


@pytest.mark.parametrize("key", [None, "llm"])
def test_expect_100_continue_is_not_granted_to_who_may_not(gateway, keys, key):
    head = [("Expect", "100-continue"), ("Content-Length", str(50 * MB))]
    if key is not None:
        head.append(bearer(keys.llm.text))
    with Wire(gateway.address) as wire:
        wire.send(written("PUT", "/v1/storage/expect/no", head))
        answer = wire.answer()  # the first and only one: nothing was asked for
        assert answer.status == (401 if key is None else 403)


def test_a_body_with_a_get_is_the_upstreams_affair(mirror, keys):
    told = ask(
        mirror.address, "GET", "/v1/storage/b/o", [bearer(keys.storage.text)], b"body"
    ).json()
    assert told["body"]["bytes"] == 4


def test_bodies_never_become_requests(mirror, keys, echo):
    """What stands in a body, refused or not, is not read as the next request (D2.21)."""
    inner = written("GET", "/v1/storage/smuggled", [bearer(keys.storage.text)])
    before = echo.count()
    with Wire(mirror.address) as wire:
        for _ in range(5):
            refused = wire.ask("PUT", "/v1/storage/b/o", [], inner)
            assert refused.status == 401
            allowed = wire.ask("PUT", "/v1/storage/b/o", [bearer(keys.storage.text)], inner)
            assert allowed.json()["body"]["bytes"] == len(inner)
    assert echo.count() == before + 5


def test_the_door_is_told_of_no_length_and_keeps_its_connections_in_step(mirror, keys):
    """A length without its body would make the door take the next question for that body."""
    with Wire(mirror.address) as first, Wire(mirror.address) as second:
        for wire, size in itertools.product((first, second), (0, 1, 70_000)):
            answer = wire.ask("PUT", "/v1/storage/b/o", [bearer(keys.storage.text)], bytes(size))
            assert answer.json()["body"]["bytes"] == size
            assert wire.ask("GET", "/v1/models", [bearer(keys.storage.text)]).status == 403
