"""A key that was revoked is refused from the moment `revoke` returned, by every worker."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.stack import START_SECONDS, Key, Latchgate
from tests.e2e.wire import Address, Answer, Wire, ask, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

TOLD = (
    ("X-Original-Method", "GET"),
    ("X-Original-URI", "/v1/storage/b/o"),
    ("X-Original-Host", "api.example.com"),
    ("X-Original-Scheme", "https"),
    ("X-Real-IP", "192.0.2.1"),
)


def question(wire: Wire, key: str) -> Answer:
    """Ask as nginx does; `X-Latchgate-Status` of the answer is the true one."""
    return wire.ask("GET", "/nginx", [*TOLD, bearer(key)])


def told(answer: Answer) -> int:
    """Return the status that the caller would see."""
    return 200 if answer.status == 200 else int(answer.one("X-Latchgate-Status"))


def verifier(wire: Wire) -> str:
    """Return the id of the verifier at the other end of a connection."""
    return str(wire.ask("GET", "/healthz").json()["verifier"])


@contextmanager
def one_to_each(address: Address, workers: int = 2) -> Iterator[dict[str, Wire]]:
    """Open connections until every worker has one, and keep one of each, by verifier id."""
    with ExitStack() as opened:
        found: dict[str, Wire] = {}
        give_up = time.monotonic() + START_SECONDS
        while len(found) < workers and time.monotonic() < give_up:
            wire = Wire(address)
            if found.setdefault(verifier(wire), opened.enter_context(wire)) is not wire:
                wire.close()
        assert len(found) == workers
        yield found


@pytest.fixture
def each(verify) -> Iterator[dict[str, Wire]]:
    """A keep-alive connection to each worker, by the worker's verifier id."""
    with one_to_each(verify) as wires:
        yield wires


def warmed(wires: dict[str, Wire], key: str) -> None:
    for wire, _ in itertools.product(wires.values(), range(3)):
        assert question(wire, key).status == 200


def test_the_very_next_request_on_every_worker_fifty_times(latchgate, each):
    for _ in range(50):
        key = latchgate.key()
        warmed(each, key.text)
        receipt = latchgate.revoke(key)
        assert [told(question(wire, key.text)) for wire in each.values()] == [401, 401]
        states = {one["id"]: one["state"] for one in receipt["verifiers"]}
        assert states == dict.fromkeys(each, "acknowledged")


def test_the_command_lines_receipt_names_every_worker(latchgate, each):
    key = latchgate.key()
    warmed(each, key.text)
    revoked = latchgate.json("key", "revoke", key.id)
    assert [told(question(wire, key.text)) for wire in each.values()] == [401, 401]
    receipt = revoked["receipt"]
    assert {one["id"] for one in receipt["verifiers"]} == set(each)
    assert {one["process"] for one in receipt["verifiers"]} == set(latchgate.workers)
    assert receipt["journal"] > 0
    assert receipt["elapsed_ms"] < 1_000
    again = latchgate.json("key", "revoke", key.id)
    assert again["revoked_at"] == revoked["revoked_at"]
    assert {one["state"] for one in again["receipt"]["verifiers"]} == {"acknowledged"}
    said = latchgate.run("key", "revoke", latchgate.key().id).stdout
    assert all(f"{name} acknowledged" in said for name in each)


def test_other_keys_are_left_alone(latchgate, each):
    first, second = latchgate.key(), latchgate.key()
    warmed(each, first.text)
    warmed(each, second.text)
    latchgate.revoke(first)
    warmed(each, second.text)


def test_a_policy_is_followed_by_every_worker_once_applied(tmp_path):
    with Latchgate(tmp_path / "own") as server:
        server.serve(workers=2)
        file = server.folder / "providers" / "wayscloud.toml"
        shipped = file.read_text(encoding="utf-8")
        closed = shipped.replace('path = "/v1/storage"', 'path = "/v1/objects"')
        key = server.key()
        with one_to_each(server.verify) as wires:
            for text, status in ((closed, 404), (shipped, 200)) * 5:
                server.call("PUT", "/manage/v1/policy", {"files": {file.name: text}})
                assert [told(question(wire, key.text)) for wire in wires.values()] == [status] * 2
            file.write_text(closed, encoding="utf-8")
            applied = server.json("policy", "apply", "--config", str(server.config))
            assert {one["id"] for one in applied["receipt"]["verifiers"]} == set(wires)
            assert [told(question(wire, key.text)) for wire in wires.values()] == [404, 404]
            file.write_text(shipped.replace("encoded_slash", "encoded"), encoding="utf-8")
            failed = server.run("policy", "apply", "--config", str(server.config), status=1)
            assert "wayscloud.toml:" in failed.stderr
            assert [told(question(wire, key.text)) for wire in wires.values()] == [404, 404]


@dataclass
class Hammer:
    """Asks about one key without a pause, noting when each question started and how it went."""

    ask: Callable[[], int]
    seen: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            self.seen.append((begun, self.ask()))

    def stop(self) -> list[tuple[float, int]]:
        self._stop.set()
        self._thread.join()
        return self.seen


def hammered(
    askers: list[Callable[[], int]], revoke: Callable[[], object]
) -> list[tuple[float, float, int]]:
    """Hammer, revoke in the middle; return (revoke's return, question's start, its status)."""
    hammers = [Hammer(one) for one in askers]
    try:
        time.sleep(0.15)
        revoke()
        returned = time.monotonic()
        time.sleep(0.1)
    finally:
        seen = [moment for hammer in hammers for moment in hammer.stop()]
    return [(returned, begun, status) for begun, status in seen]


def asked(wire: Wire, key: Key) -> int:
    return question(wire, key.text).status


def judge(seen: list[tuple[float, float, int]], refused: int) -> None:
    before = [status for returned, begun, status in seen if begun < returned]
    after = [status for returned, begun, status in seen if begun >= returned]
    assert before.count(200) > 10
    assert len(after) > 10
    assert set(after) == {refused}


def test_nothing_started_after_revoke_returned_is_accepted_under_load(latchgate, verify):
    for _ in range(8):
        key = latchgate.key()
        with one_to_each(verify) as first, one_to_each(verify) as second:
            wires = [*first.values(), *second.values()]
            seen = hammered(
                [partial(asked, wire, key) for wire in wires], partial(latchgate.revoke, key)
            )
        judge(seen, 401)


def test_nothing_started_after_revoke_returned_reaches_the_upstream(latchgate, mirror):
    def asked_through(wire: Wire, key: Key) -> int:
        return wire.ask("GET", "/v1/storage/b/o", [bearer(key.text)]).status

    for _ in range(3):
        key = latchgate.key()
        with ExitStack() as opened:
            wires = [opened.enter_context(Wire(mirror.address)) for _ in range(4)]
            seen = hammered(
                [partial(asked_through, wire, key) for wire in wires],
                partial(latchgate.revoke, key),
            )
        judge(seen, 401)


def test_new_connections_are_no_exception(latchgate, verify):
    key = latchgate.key()

    def anew() -> int:
        return ask(verify, "GET", "/nginx", [*TOLD, bearer(key.text)]).status

    judge(hammered([anew] * 4, lambda: latchgate.revoke(key)), 401)


def test_many_revocations_at_once(latchgate, each):
    keys = [latchgate.key() for _ in range(24)]
    for key in keys:
        warmed(each, key.text)
    accepted: list[str] = []
    lock = threading.Lock()

    def revoke(key) -> None:
        latchgate.revoke(key)
        with lock:  # the two connections are shared
            answers = [question(wire, key.text) for wire in each.values()]
            accepted.extend(key.id for answer in answers if answer.status == 200)

    threads = [threading.Thread(target=revoke, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not accepted


def test_a_stopped_worker_is_named_lapsed_and_refuses_when_it_goes_on(tmp_path):
    with Latchgate(tmp_path / "own") as server:
        server.serve(workers=2)
        key = server.key()
        listed = server.revoke(server.key())["verifiers"]
        stopped = listed[0]
        with one_to_each(server.verify) as wires:
            warmed(wires, key.text)
            os.kill(stopped["process"], signal.SIGSTOP)
            try:
                receipt = revoke_on_another(server, key)
            finally:
                os.kill(stopped["process"], signal.SIGCONT)
            states = {one["id"]: one["state"] for one in receipt["verifiers"]}
            assert states == dict.fromkeys(wires, "acknowledged") | {stopped["id"]: "lapsed"}
            assert 1_000 <= receipt["elapsed_ms"] < 5_000
            assert [told(question(wire, key.text)) for wire in wires.values()] == [401, 401]


def revoke_on_another(server: Latchgate, key: Key) -> Any:
    """Revoke over a connection that a running worker accepted."""
    for _ in range(20):
        with Wire(server.api, timeout=4) as wire:
            try:
                answer = wire.ask("DELETE", f"/manage/v1/keys/{key.id}", [bearer(server.token)])
            except TimeoutError:
                continue
        return answer.json()["receipt"]
    pytest.fail("no worker took the revocation")


def test_a_killed_worker_is_replaced_and_knows_what_was_revoked(tmp_path):
    with Latchgate(tmp_path / "own") as server:
        server.serve(workers=2)
        kept, revoked = server.key(), server.key()
        with one_to_each(server.verify) as before:
            warmed(before, revoked.text)
            warmed(before, kept.text)
            server.revoke(revoked)
            victim = server.workers[0]
            os.kill(victim, signal.SIGKILL)
            until(lambda: victim not in server.workers and len(server.workers) == 2)
            with one_to_each(server.verify) as after:
                assert len(set(after) & set(before)) == 1  # a new process is a new cache
                warmed(after, kept.text)
                assert [told(question(wire, revoked.text)) for wire in after.values()] == [401, 401]
                receipt = server.revoke(kept)  # nobody waits for the dead one
                assert {one["id"] for one in receipt["verifiers"]} == set(after)


def test_what_was_revoked_stays_revoked_over_a_restart(tmp_path):
    with Latchgate(tmp_path / "own") as server:
        server.serve(workers=2)
        kept, revoked = server.key(), server.key()
        server.revoke(revoked)
        for how in (signal.SIGTERM, signal.SIGKILL):
            workers = server.workers
            server.stop(how)
            until(partial(ended, workers))  # orphans do not go on serving
            server.serve(workers=2)
            with one_to_each(server.verify) as wires:
                warmed(wires, kept.text)
                assert [told(question(wire, revoked.text)) for wire in wires.values()] == [401, 401]


def until(true: Callable[[], bool]) -> None:
    """Wait until it is true, 15 seconds at most."""
    give_up = time.monotonic() + 15
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def ended(pids: list[int]) -> bool:
    """Whether all of these processes are gone."""
    return not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
