"""TLS on live listeners: real handshakes, clients that misbehave, renewal under traffic."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.certificates import Authority, Pair, serial_of
from tests.doors.test_listener import application
from tests.doors.verify.served import Port, served
from tests.e2e.wire import Wire, written
from tests.world import LATCHGATE, Server, environment, free_port, http_request, latchgate, until

from latchgate.config import TlsFiles
from latchgate.doors import listener
from latchgate.doors.listener import Listener
from latchgate.serve import servers
from latchgate.serve.tls import Certificate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

HANDSHAKE = 0.5
HEAD = 0.4
BODY = 0.8
IDLE = 0.6


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def over_tls(folder: Path, pair: Pair, *, workers: int = 1) -> Server:
    """Make a server whose configuration names a pair, and start it."""
    server = Server.made(folder, workers=workers)
    with server.config.open("a") as file:
        file.write(f'\n[tls]\ncertificate = "{pair.certificate}"\nkey = "{pair.key}"\n')
    server.start()
    return server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Server]:
    """A server that no test ends."""
    server = over_tls(tmp_path_factory.mktemp("shared") / "lg", authority.issue("shared"))
    yield server
    server.kill()


def port_of(server: Server, name: str = "api") -> Port:
    host, _, port = server.addresses[name].rpartition("//")[2].partition(":")
    return host, int(port)


def status(address: Port, context: ssl.SSLContext) -> tuple[int, int]:
    """Ask for health on a connection of its own; returns status and the certificate's serial."""
    with Wire(address) as wire:
        serial = serial_of(wire.secure(context))
        return wire.ask("GET", "/healthz").status, serial


def run(server: Server, *args: str, **env: str):
    told = {"LATCHGATE_URL": server.addresses["api"], "LATCHGATE_TOKEN": server.token}
    return latchgate(*(args or ("key", "list", "--json")), env=told | env, cwd=server.folder)


# --- clients


def test_api_and_console_are_https_and_verify_is_not(shared, authority):
    assert shared.addresses["api"].startswith("https://127.0.0.1:")
    assert shared.addresses["console"].startswith("https://127.0.0.1:")
    assert http_request("GET", shared.addresses["verify"] + "/healthz").status == 200
    for name in ("api", "console"):
        assert status(port_of(shared, name), authority.client())[0] == 200


def test_a_live_listener_speaks_1_2_and_1_3_and_nothing_older(shared, authority):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for version in ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1:
            with Wire(port_of(shared)) as wire, pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
                wire.secure(authority.client(version=version))
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        assert status(port_of(shared), authority.client(version=version))[0] == 200


def test_nobody_renegotiates(shared, authority):
    host, port = port_of(shared)
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_2"]
    done = subprocess.run(
        [*command, "-CAfile", str(authority.file)],
        input=b"R\n",
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert b"no renegotiation" in done.stdout + done.stderr


def test_d3_25_nobody_may_send_early_data(shared, authority):
    """Whose address is not validated yet, and whose request could be sent again by others."""
    host, port = port_of(shared)
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_3", "-ign_eof"]
    done = subprocess.run(
        [*command, "-CAfile", str(authority.file)],
        input=b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert b"Post-Handshake New Session Ticket arrived" in done.stdout
    assert set(re.findall(rb"Max Early Data: (\d+)", done.stdout)) == {b"0"}


def test_curl_works_with_the_authority_and_refuses_without_it(shared, authority):
    command = ["curl", "-q", "-sS", "--http2", "-o", "/dev/null"]
    command += ["-w", "%{http_version} %{http_code}", shared.addresses["api"] + "/healthz"]
    done = subprocess.run(
        [*command, "--cacert", str(authority.file)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1.1 200"
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 60


def test_the_command_line_works_with_the_authority_it_is_given(shared, authority, tmp_path):
    assert run(shared, LATCHGATE_CA=str(authority.file)).json["keys"]
    profile = tmp_path / "profile.toml"
    (tmp_path / "own.pem").write_bytes(authority.file.read_bytes())
    text = f'url = "{shared.addresses["api"]}"\ntoken = "{shared.token}"\nca = "own.pem"\n'
    profile.write_text(text)
    profile.chmod(0o600)
    done = latchgate("key", "list", "--json", env={"LATCHGATE_PROFILE": str(profile)})
    assert done.json["keys"]
    wrong = {"LATCHGATE_PROFILE": str(profile), "LATCHGATE_CA": str(shared.config)}
    assert latchgate("key", "list", env=wrong).code == 2


@pytest.mark.parametrize("known", ["nobody", "another"])
def test_the_command_line_gives_no_token_to_a_server_it_cannot_tell(shared, tmp_path, known):
    env = {"LATCHGATE_CA": str(Authority(tmp_path).file)} if known == "another" else {}
    done = run(shared, **env)
    assert (done.code, done.out) == (1, "")
    assert "certificate verify failed" in done.err
    assert "name its PEM file in LATCHGATE_CA" in done.err


def test_the_command_line_gives_no_token_to_another_host_of_the_authority(authority, tmp_path):
    server = over_tls(tmp_path / "lg", authority.issue("elsewhere", hosts=("api.example",)))
    try:
        done = run(server, LATCHGATE_CA=str(authority.file))
    finally:
        server.kill()
    assert (done.code, done.out) == (1, "")
    assert "IP address mismatch" in done.err


@pytest.mark.parametrize(
    ("name", "says"),
    [("nothing.pem", "No such file"), ("empty.pem", "no PEM certificate"), ("", "LATCHGATE_CA")],
)
def test_an_authority_that_cannot_be_used_is_told_by_its_name(shared, tmp_path, name, says):
    (tmp_path / "empty.pem").touch()
    done = run(shared, LATCHGATE_CA=str(tmp_path / name) if name else "")
    assert (done.code, done.out) == (2, "")
    assert str(tmp_path / name) if name else "LATCHGATE_CA" in done.err
    assert says in done.err


# --- peers that misbehave


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\xff\xff",
        b"\x00" * 2_000,
        b"\x80.",
    ],
    ids=["plain HTTP", "a record too long", "zeros", "SSL 2"],
)
def test_what_is_no_handshake_is_ended_without_a_word_in_the_log(shared, authority, sent):
    before = shared.log
    with Wire(port_of(shared)) as wire:
        wire.send(sent)
        wire._socket.shutdown(socket.SHUT_WR)
        assert b"HTTP/1." not in wire.rest()
    assert status(port_of(shared), authority.client())[0] == 200
    assert shared.log == before


def test_a_connection_cut_at_any_point_leaves_nothing_in_the_log(shared, authority):
    before = shared.log
    for _ in range(5):
        with Wire(port_of(shared)) as wire:  # half a handshake
            wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        with Wire(port_of(shared)) as wire:  # half a request, and no close_notify
            wire.secure(authority.client())
            wire.send(b"GET / HTTP/1.1\r\n")
            wire._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert status(port_of(shared), authority.client())[0] == 200
    assert shared.log == before


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> Iterator[Port]:
    """A TLS listener whose limits are small."""
    monkeypatch.setattr(servers, "HANDSHAKE_SECONDS", HANDSHAKE)
    monkeypatch.setattr(servers, "CLOSE_SECONDS", 0.5)
    monkeypatch.setattr(listener, "HEAD_SECONDS", HEAD)
    monkeypatch.setattr(listener, "BODY_SECONDS", BODY)
    monkeypatch.setattr(listener, "IDLE_SECONDS", IDLE)
    monkeypatch.setattr(listener, "_TICK_SECONDS", 0.05)
    pair = authority.issue("limits")
    tls = Certificate(TlsFiles(pair.certificate, pair.key)).context
    with served(application, Listener, tls) as found:
        yield found


def test_a_handshake_that_is_never_finished_is_ended(address):
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    for start in (b"", b"\x16", hello):
        with Wire(address) as wire:
            begun = time.monotonic()
            wire.send(start)
            wire.rest()
            assert HANDSHAKE * 0.8 < time.monotonic() - begun < HANDSHAKE + 4


def test_a_handshake_that_drips_gets_no_more_time(address):
    with Wire(address) as wire:
        begun = time.monotonic()
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        with suppress(OSError):
            while time.monotonic() - begun < HANDSHAKE + 6:
                wire.send(b"\x01")
                time.sleep(0.02)
        assert HANDSHAKE * 0.8 < time.monotonic() - begun < HANDSHAKE + 4


def test_half_open_handshakes_hold_nobody_up(address, authority):
    with ExitStack() as opened:
        wires = [opened.enter_context(Wire(address)) for _ in range(400)]
        for wire in wires[::2]:
            wire.send(b"\x16\x03\x01\x02\x00\x01")
        begun = time.monotonic()
        for _ in range(20):
            with Wire(address) as wire:
                wire.secure(authority.client())
                assert wire.ask("GET", "/").status == 200
        assert time.monotonic() - begun < 4
        for wire in wires:  # and all of them are gone in the end
            assert wire.rest(seconds=10) == b""


def test_head_body_and_idle_time_are_bounded_inside_tls(address, authority):
    client = authority.client()
    with Wire(address) as wire:
        wire.secure(client)
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b")
        answer = wire.answer()
        assert (answer.status, answer.one("Connection")) == (408, "close")
        assert wire.rest() == b""
    with Wire(address) as wire:
        wire.secure(client)
        wire.send(written("POST", "/", [("Content-Length", "1000")]) + b"x")
        assert wire.answer().status == 408
    with Wire(address) as wire:
        wire.secure(client)
        begun = time.monotonic()
        assert wire.rest() == b""
        assert IDLE * 0.8 < time.monotonic() - begun < IDLE + 4


def test_sizes_are_bounded_inside_tls(address, authority):
    client = authority.client()
    for sent, refused in (
        (written("GET", "/", [(f"X-{at}", "a") for at in range(200)]), 431),
        (written("GET", "/" + "a" * 20_000), 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 70_000, 431),
        (b"\x16\x03\x01 nonsense\r\n\r\n", 400),
    ):
        with Wire(address) as wire:
            wire.secure(client)
            wire.send(sent)
            assert wire.answer().status == refused
    with Wire(address) as wire:
        wire.secure(client)
        assert wire.ask("POST", "/", [], b"x" * 300_000).body == b"300000"
        wire.send(written("GET", "/") * 500)
        assert {wire.answer().status for _ in range(500)} == {200}


def test_a_peer_that_never_says_goodbye_is_left_behind(address, authority):
    """Closing needs the peer's close_notify; one that does not answer is cut off all the same."""
    with Wire(address) as wire:
        wire.secure(authority.client())
        begun = time.monotonic()
        mine = wire._socket.detach()  # nobody reads it, so nobody answers
        try:
            held = socket.socket(fileno=mine)
            held.settimeout(10)
            while held.recv(65_536):
                pass
            assert time.monotonic() - begun < IDLE + 4
        finally:
            held.close()


# --- starting and ending


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--tls-cert", "nothing.pem", "--tls-key", "nothing.key"), "nothing.pem: can't be read"),
        (("--tls-cert", "nothing.pem"), "name the file of the key too"),
        (("--tls-key", "nothing.pem"), "name the file of the certificate too"),
        (("--tls-cert", "", "--tls-key", ""), "belong together"),
    ],
)
def test_a_pair_that_does_not_do_ends_the_start_before_it_begins(tmp_path, options, says):
    server = Server.made(tmp_path / "lg")
    done = latchgate("serve", "--config", str(server.config), *options, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("latchgate: ")
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_a_configured_pair_that_does_not_match_ends_the_start(tmp_path, authority):
    server = Server.made(tmp_path / "lg")
    one, other = authority.issue("one"), authority.issue("two")
    text = f'\n[tls]\ncertificate = "{one.certificate}"\nkey = "{other.key}"\n'
    server.config.write_text(server.config.read_text() + text)
    done = latchgate("serve", "--config", str(server.config), "--workers", "2")
    assert (done.code, done.out) == (2, "")
    assert f"{other.key}: does not belong to the certificate in {one.certificate}" in done.err


def test_options_go_before_the_configuration_and_an_expired_pair_is_a_warning(tmp_path, authority):
    server = Server.made(tmp_path / "lg")
    pair = authority.issue("past", days=(-30, -1))
    server.start("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    try:
        assert server.addresses["api"].startswith("https://")
        assert "expired on" in server.log
        with pytest.raises(ssl.SSLError, match="expired"):
            status(port_of(server), authority.client())
    finally:
        server.kill()


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_connections_do_not_hold_up_the_end(tmp_path, authority, workers):
    server = over_tls(tmp_path / "lg", authority.issue(f"ending-{workers}"), workers=workers)
    try:
        with Wire(port_of(server)) as wire:
            wire.secure(authority.client())
            assert wire.ask("GET", "/healthz").status == 200
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 9
        assert server.log == ""
    finally:
        server.kill()


# --- renewal


class Traffic:
    """Requests one after another until stopped: on new connections, or all on one."""

    def __init__(self, address: Port, context: ssl.SSLContext, *, one: bool) -> None:
        self._address, self._context, self._one = address, context, one
        self.asked = 0
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with ExitStack() as opened:
            wire = None
            while not self._stop.is_set():
                try:
                    if wire is None or not self._one:
                        opened.close()
                        wire = opened.enter_context(Wire(self._address))
                        wire.secure(self._context)
                    if wire.ask("GET", "/healthz").status != 200:
                        self.failed.append("status")
                except (OSError, AssertionError) as error:
                    self.failed.append(repr(error))
                    wire = None
                self.asked += 1

    def end(self) -> None:
        self._stop.set()
        self._thread.join(20)


def shown(server: Server, context: ssl.SSLContext) -> set[int]:
    """Return the serials that twenty connections are shown."""
    return {status(port_of(server), context)[1] for _ in range(20)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_renewal_under_traffic_fails_no_request(tmp_path, authority, workers):
    pair = authority.issue(f"first-{workers}")
    client = authority.client()
    server = over_tls(tmp_path / "lg", pair, workers=workers)
    before = [server.pid, *server.children()]
    traffic = [Traffic(port_of(server), authority.client(), one=one) for one in (True, False)]
    try:
        renewals = [authority.issue(f"renewed-{workers}-{at}") for at in range(3)]
        for renewed in renewals:
            pair.put(renewed)
            os.kill(server.pid, signal.SIGHUP)
            until(lambda: shown(server, client) == {renewed.serial}, what="the new certificate")  # noqa: B023
    finally:
        for one in traffic:
            one.end()
    try:
        assert [one.failed for one in traffic] == [[], []]
        assert min(one.asked for one in traffic) > 20
        assert [server.pid, *server.children()] == before
        pair.put(authority.issue(f"unread-{workers}"))
        pair.certificate.write_text("half")
        os.kill(server.pid, signal.SIGHUP)
        until(lambda: "the certificate was not renewed" in server.log, what="the log entry")
        assert f"{pair.certificate}: holds no certificate in PEM" in server.log
        assert shown(server, client) == {renewals[-1].serial}
        assert "Traceback" not in server.log
        assert server.stop() == 0
    finally:
        server.kill()


def test_a_new_worker_shows_the_last_good_certificate(tmp_path, authority):
    pair = authority.issue("of-workers")
    client = authority.client()
    server = over_tls(tmp_path / "lg", pair, workers=2)
    try:
        renewed = authority.issue("of-workers-renewed")
        pair.put(renewed)
        os.kill(server.pid, signal.SIGHUP)
        until(lambda: shown(server, client) == {renewed.serial}, what="the new certificate")
        pair.key.unlink()
        old = server.children()
        os.kill(old[0], signal.SIGKILL)
        until(lambda: len(server.children()) == 2 and old[0] not in server.children())
        os.kill(old[1], signal.SIGKILL)
        until(lambda: not set(old) & set(server.children()) and len(server.children()) == 2)
        until(lambda: shown(server, client) == {renewed.serial}, what="the new workers")
    finally:
        server.kill()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_renewal_during_the_start_ends_nothing_and_is_not_lost(tmp_path, authority, workers):
    pair, renewed = authority.issue(f"early-{workers}"), authority.issue(f"early-{workers}-renewed")
    server = Server.made(tmp_path / "lg")
    port = free_port()
    more = ["--workers", str(workers), "--listen", f"127.0.0.1:{port}"]
    more += ["--tls-cert", str(pair.certificate), "--tls-key", str(pair.key)]
    process = subprocess.Popen(
        [*LATCHGATE, "serve", "--config", str(server.config), "--json", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def begun():
        """Whether the old pair was read, and no worker listens for signals yet."""
        if workers > 1:
            return len(children.read_text().split()) == workers
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(begun, what="a part of the start")
        first = children.read_text()
        for child in map(int, first.split()):
            os.kill(child, signal.SIGSTOP)  # so that it is told before it listens
        pair.put(renewed)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        for child in map(int, first.split()):
            os.kill(child, signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline() == b"{\n"
        context, address = authority.client(), ("127.0.0.1", port)
        until(
            lambda: {status(address, context)[1] for _ in range(20)} == {renewed.serial},
            seconds=3,
            what="the new certificate",
        )
        assert children.read_text() == first
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
