"""A real nginx that remembers accepts: what it gives again, and until when no receipt comes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.stack import Gateway, Key, Latchgate, Upstream
from tests.e2e.wire import Wire, written
from tests.world import until

from latchgate.verify.gateway_tail import tail

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
SECONDS, MARGIN = 4, 0.2
TAIL = tail(SECONDS, MARGIN)


def configured(server: Latchgate) -> None:
    """Let gateways remember, as an operator writes it."""
    text = server.config.read_text(encoding="utf-8")
    told = f"[gateways]\ncache_seconds = {SECONDS}\nclock_margin = {MARGIN}"
    assert text.count("[gateways]") == 1
    server.config.write_text(text.replace("[gateways]", told), encoding="utf-8")


def hurried(gateway: Gateway) -> None:
    """Have it wait a second for an answer, rather than five; as long as it takes to ask nobody."""
    file = gateway.folder / "latchgate-server.conf"
    text = file.read_text(encoding="utf-8")
    assert "proxy_read_timeout 5s;" in text
    file.write_text(
        text.replace("proxy_read_timeout 5s;", "proxy_read_timeout 1s;"), encoding="utf-8"
    )


@pytest.fixture(scope="module")
def latchgate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Latchgate]:
    with Latchgate(tmp_path_factory.mktemp("latchgate")) as server:
        configured(server)
        server.serve(workers=2)
        yield server


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, latchgate: Latchgate, echo: Upstream
) -> Iterator[Gateway]:
    with Gateway(
        tmp_path_factory.mktemp("gateway"),
        verify=latchgate.verify,
        objects=echo.address,
        llm=echo.address,
        edit=lambda text: text.replace(
            # Another client, as behind a balancer of the operator's.
            "# set_real_ip_from 192.0.2.10; real_ip_header X-Forwarded-For; real_ip_recursive on;",
            "set_real_ip_from 127.0.0.1; real_ip_header X-Client;",
        ),
        remembers=True,
    ) as server:
        hurried(server)
        server.start()
        yield server


def asked(gateway: Gateway, key: str, path: str = "/v1/storage/a", **more: str) -> int:
    """Ask for a path through the gateway; `more` are method, host and headers."""
    method, host = more.pop("method", "GET"), more.pop("host", "localhost")
    headers = [("Authorization", f"Bearer {key}")]
    headers += [(name.replace("_", "-"), value) for name, value in more.items()]
    with Wire(gateway.address) as wire:
        wire.send(written(method, path, headers, host=host))
        return wire.answer(head=method == "HEAD").status


@contextlib.contextmanager
def silent(server: Latchgate) -> Iterator[None]:
    """Have every worker stand still: whoever has to be asked does not answer."""
    workers = server.workers or [server.pid]  # one alone is the server itself
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def entries(gateway: Gateway) -> list[Path]:
    """Return the files of what it remembers."""
    assert gateway.memory is not None
    return [path for path in gateway.memory.rglob("*") if path.is_file()]


def remembered(gateway: Gateway, key: Key) -> None:
    assert asked(gateway, key.text) == 200


def test_an_accept_is_given_again_while_nobody_can_be_asked_and_ends_in_time(gateway, latchgate):
    key = latchgate.key()
    began = time.time()
    remembered(gateway, key)
    with silent(latchgate):
        assert asked(gateway, key.text) == 200
        time.sleep(max(0.0, began + SECONDS + 0.1 - time.time()))
        assert asked(gateway, key.text) == 503
    assert asked(gateway, key.text) == 200


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/v1/storage/b"},
        {"path": "/v1/storage/a?x=1"},
        {"method": "HEAD"},
        {"method": "PUT"},
        {"host": "127.0.0.1"},
        {"X_Client": "192.0.2.7"},
        {"X_Auth_Token": "another"},
        {"Origin": "https://page.example"},
        {"Destination": "/v1/storage/c"},
        {"X_TeraCLOUD_API_KEY": "one"},
    ],
    ids=str,
)
def test_whatever_differs_is_asked_anew(gateway, latchgate, other):
    key = latchgate.key()
    remembered(gateway, key)
    with silent(latchgate):
        assert asked(gateway, key.text) == 200
        assert asked(gateway, key.text, **other) == 503


def test_another_key_is_asked_anew_and_a_wrong_one_refused(gateway, latchgate):
    key, other = latchgate.key(), latchgate.key()
    remembered(gateway, key)
    with silent(latchgate):
        assert asked(gateway, other.text) == 503
    wrong = key.text[:-1] + ("a" if key.text[-1] != "a" else "b")
    assert [asked(gateway, wrong) for _ in range(3)] == [401] * 3


def test_parts_of_the_key_cannot_stand_for_one_another(gateway, latchgate):
    key = latchgate.key()
    remembered(gateway, key)
    with silent(latchgate):
        # What is a path and a header there, put together as one path here.
        forged = f"/v1/storage/a%0ABearer%20{key.text}"
        assert asked(gateway, "", forged) == 503


def test_refusals_are_not_remembered(gateway, latchgate):
    key = latchgate.key("dns")
    assert asked(gateway, key.text) == 403
    assert asked(gateway, "wayscloud_storage_x_y") == 401
    with silent(latchgate):
        assert asked(gateway, key.text) == 503
        assert asked(gateway, "wayscloud_storage_x_y") == 503


def test_no_request_that_starts_after_the_receipt_is_accepted(gateway, latchgate):
    key = latchgate.key()
    seen: list[tuple[float, int]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            began = time.monotonic()
            seen.append((began, asked(gateway, key.text)))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for one in askers:
        one.start()
    time.sleep(0.5)
    begun = time.monotonic()
    receipt = latchgate.revoke(key)
    returned = time.monotonic()
    time.sleep(0.3)
    stop.set()
    for one in askers:
        one.join()
    assert returned - begun >= TAIL
    assert receipt["elapsed_ms"] >= TAIL * 1000
    assert receipt["gateway_tail_seconds"] == TAIL
    assert {one["state"] for one in receipt["verifiers"]} == {"acknowledged"}
    after = [status for began, status in seen if began >= returned]
    assert len(after) > 5
    assert set(after) == {401}
    # Else nothing was shown: it did go on for a while after the change was made.
    assert 200 in {status for began, status in seen if begun + 0.5 < began < returned}


def test_the_command_line_says_what_a_receipt_waited_for(latchgate):
    key = latchgate.key()
    said = latchgate.run("key", "revoke", key.id).stdout
    assert f"waited {TAIL:g} s for what they remember" in said
    assert f"{TAIL:g} s" in latchgate.run("status").stdout


def test_what_ends_by_itself_ends_there_too(gateway, latchgate):
    ends = int(time.time()) + 4
    told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    key = latchgate.key(expires_at=told)
    time.sleep(1.5)  # from now on its own end is nearer than what is configured
    remembered(gateway, key)
    time.sleep(max(0.0, ends - time.time()))
    with silent(latchgate):
        assert asked(gateway, key.text) == 503
    assert asked(gateway, key.text) == 401


def test_the_memory_is_nginxs_own_and_no_secret_is_elsewhere(gateway, latchgate):
    key = latchgate.key()
    remembered(gateway, key)
    there = entries(gateway)
    assert any(key.text.encode() in path.read_bytes() for path in there)
    assert {path.stat().st_mode & 0o077 for path in there} == {0}
    elsewhere = [path for path in gateway.folder.rglob("*") if path.is_file()]
    assert not any(key.text.encode() in path.read_bytes() for path in elsewhere)


def test_nginxs_own_403_of_a_file_is_one_when_the_accept_was_remembered(tmp_path, latchgate):
    folder = tmp_path / "root"
    (folder / "v1/storage/closed").mkdir(parents=True)
    with Gateway(
        tmp_path / "gateway",
        verify=latchgate.verify,
        objects=("127.0.0.1", 1),
        llm=("127.0.0.1", 1),
        edit=lambda text: text.replace("proxy_pass http://objects;", f"root {folder};"),
        remembers=True,
    ) as server:
        server.start()
        key = latchgate.key()
        assert [asked(server, key.text, "/v1/storage/closed/") for _ in range(3)] == [403] * 3


def test_receipts_of_another_node_wait_for_gateways_that_they_know_nothing_of(
    postgres, tmp_path, echo
):
    """One node lets its gateways remember; the change is made at the other, which doesn't."""
    with postgres.database() as database, contextlib.ExitStack() as running:
        first = running.enter_context(Latchgate(tmp_path / "0", database=database.uri))
        other = first.another(tmp_path / "1", "other", database.uri)
        running.callback(other.stop)
        configured(other)
        text = other.config.read_text(encoding="utf-8")
        other.config.write_text(text.replace("[node]", "[node]\nlease = 10.0"), encoding="utf-8")
        first.serve(workers=1)
        other.serve(workers=1)
        gateway = running.enter_context(
            Gateway(
                tmp_path / "gateway",
                verify=other.verify,
                objects=echo.address,
                llm=echo.address,
                remembers=True,
            )
        )
        hurried(gateway)
        gateway.start()
        key = first.key()
        # Until every node has learnt of it, and a heartbeat has come since, nothing is remembered.
        until(lambda: asked(gateway, key.text, "/v1/storage/z") == 200 and entries(gateway))
        assert asked(gateway, key.text) == 200
        with silent(other):
            assert asked(gateway, key.text) == 200
        begun = time.monotonic()
        receipt = first.revoke(key)
        assert receipt["gateway_tail_seconds"] == TAIL
        assert time.monotonic() - begun >= TAIL
        with silent(other):
            assert asked(gateway, key.text) == 503
        assert asked(gateway, key.text) == 401
        # Off by now, and still waited for: what it let be remembered may be there.
        other.stop()
        assert first.revoke(first.key())["gateway_tail_seconds"] == TAIL
