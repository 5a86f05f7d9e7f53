"""ATTACKS D1 line 10: when Latchgate can't answer, nothing passes, and it is said so in its words.

The upstream here is an echo, which counts who reaches it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.stack import Gateway, Key, Latchgate, free_address
from tests.e2e.wire import Answer, Wire, ask, bearer

from latchgate.store.sqlite import connect, driver

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OBJECT = "/v1/storage/b/o"
DOWN = {"error": "Authentication service unavailable", "code": "SERVICE_UNAVAILABLE"}


class Own:
    """A Latchgate that may be broken, and a gateway that asks it."""

    def __init__(self, latchgate: Latchgate, gateway: Gateway) -> None:
        self.latchgate = latchgate
        self.gateway = gateway
        self.key: Key = latchgate.key()

    def get(self, target: str = OBJECT, key: str | None = None, method: str = "GET") -> Answer:
        headers = [bearer(key or self.key.text)]
        return ask(self.gateway.address, method, target, headers)


@pytest.fixture
def own(tmp_path, echo) -> Iterator[Own]:
    with Latchgate(tmp_path / "latchgate") as latchgate:
        latchgate.serve(workers=2)
        with Gateway(
            tmp_path / "gateway", verify=latchgate.verify, objects=echo.address, llm=echo.address
        ) as gateway:
            gateway.start()
            made = Own(latchgate, gateway)
            assert made.get().status == 200
            yield made


def unavailable(answer: Answer, body: object = None) -> None:
    assert answer.status == 503
    assert answer.json() == (body or DOWN)
    assert answer.one("Content-Type") == "application/json"
    assert answer.one("Cache-Control") == "no-store"
    assert answer.every("WWW-Authenticate") == []
    assert answer.every("Retry-After") == []


def test_d1_10_stopped_then_started_again(own, echo):
    revoked = own.latchgate.key()
    own.latchgate.revoke(revoked)
    own.latchgate.stop()
    before = echo.count()
    for target in (
        OBJECT,
        "/v1/models",
        "/v1/chat/completions",
        "/v1/nothing",
        "/v1/storage/public",
    ):
        begun = time.monotonic()
        unavailable(own.get(target))
        assert time.monotonic() - begun < 2
    answer = own.get("/other")
    assert (answer.status, answer.one("Content-Type")) == (503, "application/problem+json")
    head = own.get(method="HEAD")
    assert (head.status, head.body) == (503, b"")
    unavailable(ask(own.gateway.address, "PUT", OBJECT, [bearer(own.key.text)], b"x" * 100_000))
    assert echo.count() == before

    own.latchgate.serve(workers=2)
    assert own.get().status == 200  # the very first one: no connection to the old one is trusted
    assert own.get(key=revoked.text).status == 401


def test_d1_10_stopped_by_a_signal_it_holds_every_request_back(own, echo):
    before = echo.count()
    pids = [own.latchgate.pid, *own.latchgate.workers]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        unavailable(own.get())
        assert time.monotonic() - begun < 8
        answers: list[Answer] = []
        asking = [threading.Thread(target=lambda: answers.append(own.get())) for _ in range(8)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        for answer in answers:
            unavailable(answer)
        assert len(answers) == 8
        assert echo.count() == before
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert own.get().status == 200
    assert echo.count() == before + 1  # and nothing of what was given up arrives late


def test_d1_10_its_supervisor_killed_the_workers_do_not_go_on_alone(own, echo):
    workers = own.latchgate.workers
    own.latchgate.stop(signal.SIGKILL)
    give_up = time.monotonic() + 10
    while own.get().status == 200:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    before = echo.count()
    unavailable(own.get())
    assert echo.count() == before
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_d1_10_answers_that_are_not_latchgates_open_nothing(tmp_path, echo):
    """Whatever else listens on the verify address, short of one that says 2xx, opens nothing."""
    with socket.create_server(free_address()) as door:
        door.listen(64)
        answers = [
            b"",
            b"HTTP/1.1 200 OK\r\nX-La",
            b"hello, this is no HTTP\r\n\r\n",
            b"OK you may pass",
            b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\n\r\n",
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope",
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope",
            b"HTTP/1.1 401 U\r\nX-Latchgate-Status: 200\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 500 Oops\r\nX-Accel-Redirect: /v1/models\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 503 Down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
        ]
        turn: list[bytes] = []

        def serve() -> None:
            while True:
                try:
                    peer, _ = door.accept()
                except OSError:
                    return
                with peer:
                    peer.settimeout(5)
                    held = b""
                    while b"\r\n\r\n" not in held:
                        piece = peer.recv(65_536)
                        if not piece:
                            break
                        held += piece
                    if held:
                        peer.sendall(turn[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Gateway(
            tmp_path / "gateway", verify=door.getsockname(), objects=echo.address, llm=echo.address
        ) as gateway:
            gateway.start()
            before = echo.count()
            for answer in answers:
                turn[:] = [answer]
                unavailable(ask(gateway.address, "GET", OBJECT, [bearer("x")]))
            assert echo.count() == before
        door.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_database_that_can_not_be_read_opens_nothing(own, echo):
    unseen = own.latchgate.key()
    spoil(own.latchgate.folder / "latchgate.db")
    before = echo.count()
    answer = own.get(key=unseen.text)  # never asked about yet, so it has to be read
    assert answer.status == 503
    assert answer.json() == DOWN
    assert answer.one("X-Latchgate-Decision")
    assert echo.count() == before
    ready = ask(own.latchgate.api, "GET", "/readyz")
    assert (ready.status, ready.json()["code"]) == (503, "service_unavailable")


def test_a_change_that_can_not_be_read_ends_the_trust_in_what_is_remembered(own, echo):
    change_unheard(own.latchgate)
    before = echo.count()
    with Wire(own.gateway.address) as wire:
        for _ in range(50):
            unavailable(wire.ask("GET", OBJECT, [bearer(own.key.text)]))
    assert echo.count() == before


def test_a_process_that_answers_is_alive_without_its_database(own):
    change_unheard(own.latchgate)
    assert {ask(own.latchgate.api, "GET", "/readyz").status for _ in range(20)} == {503}
    assert {ask(own.latchgate.api, "GET", "/healthz").status for _ in range(20)} == {200}
    assert {ask(own.latchgate.console, "GET", "/healthz").status for _ in range(20)} == {200}


def change_unheard(latchgate: Latchgate) -> None:
    """Change something while no worker looks, and leave them nothing to read it from."""
    workers = latchgate.workers
    stop_between_writes(latchgate.folder / "latchgate.db", workers)
    try:
        latchgate.run("recover", "--config", str(latchgate.config))
        spoil(latchgate.folder / "latchgate.db")
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def stop_between_writes(database: Path, workers: Sequence[int]) -> None:
    """Stop workers while none of them holds the lock to write, which nobody else would get then."""
    give_up = time.monotonic() + 30
    while True:
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        with closing(connect(database, durable=True)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except driver.OperationalError:
                assert time.monotonic() < give_up
            else:
                connection.execute("ROLLBACK")
                return
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)


def spoil(database: Path) -> None:
    """Overwrite a database in place, under the server that has it open."""
    for path in (database, database.with_name(f"{database.name}-wal")):
        if path.exists():
            with path.open("r+b") as file:
                file.write(b"\xff" * path.stat().st_size)


def test_a_usage_database_that_can_not_be_written_stops_nobody(own):
    spoil(own.latchgate.folder / "latchgate-usage.db")
    for _ in range(3):
        assert own.get().status == 200
        assert own.get(key="x").status == 401
        time.sleep(0.3)  # a batch's time
    assert "a batch of usage was lost" in own.latchgate.stderr


def test_a_client_that_leaves_early_harms_nobody(own):
    for _ in range(50):
        with Wire(own.gateway.address) as wire:
            wire.send(f"GET {OBJECT} HTTP/1.1\r\nHost: localhost\r\n".encode())
        with Wire(own.gateway.address) as wire:
            wire.send(
                f"GET {OBJECT} HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {own.key.text}\r\n\r\n".encode()
            )
    assert own.get().status == 200
