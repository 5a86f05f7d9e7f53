"""The measured programs: started on a core of their own, asked, and ended by their process id."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.machine import ROOT, Cpu, UnableError, cpu, program
from benchmarks.stock import Stock

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0

_NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 204; }}
    }}
}}
"""
_Where = int | Path  # a port, or a unix socket

# Both servers read the client's address from what wrk sends, as behind a load balancer.
_VERIFY = "127.0.0.1:8422"
_GATEWAY = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 1024; }}
http {{
    include latchgate-http.conf;
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    upstream api {{ server 127.0.0.1:{api}; keepalive 128; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{api};
        location / {{ return 204; }}
    }}
    server {{
        listen 127.0.0.1:{bare};
        location / {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
    server {{
        listen 127.0.0.1:{asked};
        server_name api.example.com;
        include latchgate-server.conf;
        location / {{
            include latchgate-protect.conf;
            proxy_pass http://api;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, and the seconds from its start to its first answer."""

    name: str
    process_id: int
    core: int
    port: int
    seconds: float
    beside: tuple[int, ...] = ()  # other processes that take part in each answer

    def spent(self) -> Cpu:
        """Return the CPU time that it has used."""
        return sum((cpu(one) for one in self.beside), cpu(self.process_id))

    def spent_beside(self) -> float:
        """Return the seconds of it that the processes beside have used."""
        return sum(cpu(one).total for one in self.beside)

    def ask(self, question: bytes) -> bytes:
        """Return the head of the answer to one question, with what came along of its body."""
        return _ask(self.port, question)


@contextlib.contextmanager
def latchgate(stock: Stock, core: int) -> Iterator[Server]:
    """Run `latchgate serve` with one worker; it is ready when it has accepted a key."""
    port = _free_port()
    command = [sys.executable, "-m", "latchgate", *_serve(stock, port)]
    with _running("latchgate", command, stock, port, core, b"HTTP/1.1 200 ") as server:
        yield server


@contextlib.contextmanager
def unrecorded(stock: Stock, core: int) -> Iterator[Server]:
    """Run the same server, which records no use."""
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.unrecorded", *_serve(stock, port)]
    with _running("unrecorded", command, stock, port, core, b"HTTP/1.1 200 ") as server:
        yield server


@contextlib.contextmanager
def constant(stock: Stock, core: int, answer: bytes) -> Iterator[Server]:
    """Run the same server with a constant answer."""
    port = _free_port()
    file = stock.config.file.with_name("answer")
    file.write_bytes(answer)
    command = [sys.executable, "-m", "benchmarks.constant", str(file), *_serve(stock, port)]
    with _running("constant answer", command, stock, port, core, answer) as server:
        yield server


@contextlib.contextmanager
def nginx(stock: Stock, core: int) -> Iterator[Server]:
    """Run one nginx process that answers 204."""
    port = _free_port()
    folder = stock.config.file.parent
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, port=port))
    command = [program("nginx"), "-p", str(folder), "-c", str(file)]
    with _running("nginx return 204", command, stock, port, core, b"HTTP/1.1 204 ") as server:
        yield server


@contextlib.contextmanager
def go(stock: Stock, core: int) -> Iterator[Server]:
    """Run Go's net/http with a constant answer; UnableError where there is no Go."""
    port = _free_port()
    built = stock.config.file.with_name("go-constant")
    source = ROOT / "benchmarks" / "rivals" / "constant.go"
    build = [program("go"), "build", "-o", str(built), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnableError(f"go build failed: {done.stderr}")
    # On its core from the first thread on: its runtime asks only once how many there are.
    command = [program("taskset"), "-c", str(core), str(built), str(port)]
    with _running("Go net/http", command, stock, port, core, b"HTTP/1.1 200 ") as server:
        yield server


@contextlib.contextmanager
def gateway(stock: Stock, core: int, *, batch: bool = False) -> Iterator[tuple[Server, Server]]:
    """Run an nginx that proxies, without a question and with one, as deploy/nginx has it.

    Both are one process, and so is what they proxy to over TCP; the second one's CPU is also that
    of a Latchgate of its own, behind a unix socket as docs/howto/nginx.md recommends. As a
    `batch` it does not interrupt nginx for each question.
    """
    folder = stock.config.file.with_name("gateway-batch" if batch else "gateway")
    folder.mkdir()
    verify = folder / "verify.sock"
    shipped = ROOT / "deploy" / "nginx"
    for name in ("latchgate-http.conf", "latchgate-server.conf", "latchgate-protect.conf"):
        text = (shipped / name).read_text()
        assert name != "latchgate-http.conf" or _VERIFY in text
        (folder / name).write_text(text.replace(_VERIFY, f"unix:{verify}"))
    bare, asked, api = (_free_port() for _ in range(3))
    file = folder / "nginx.conf"
    file.write_text(_GATEWAY.format(folder=folder, bare=bare, asked=asked, api=api))
    scheduled = [program("chrt"), "--batch", "0"] if batch else []
    decides = [*scheduled, sys.executable, "-m", "latchgate", *_serve(stock, verify)]
    command = [program("nginx"), "-p", str(folder), "-c", str(file)]
    with (
        _running("latchgate", decides, stock, verify, core, b"HTTP/1.1 200 ") as ours,
        _running("nginx that proxies", command, stock, bare, core, b"HTTP/1.1 204 ") as server,
    ):
        with_question = replace(server, port=asked, beside=(ours.process_id,))
        yield server, replace(with_question, name="… with auth_request")


def _serve(stock: Stock, where: _Where) -> list[str]:
    any_port = "127.0.0.1:0"
    addresses = ["--listen", any_port, "--console-listen", any_port]
    listens = f"127.0.0.1:{where}" if isinstance(where, int) else f"unix:{where}"
    verify = ["--verify-listen", listens]
    return ["serve", "--config", str(stock.config.file), *addresses, *verify]


@contextlib.contextmanager
def _running(
    name: str, command: list[str], stock: Stock, where: _Where, core: int, wanted: bytes
) -> Iterator[Server]:
    port = where if isinstance(where, int) else 0
    log = stock.config.file.with_name(f"{port}.log")
    question = stock.sample.spelled()
    begun = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is ours; we end it below
        )
    try:
        os.sched_setaffinity(process.pid, {core})
        answer = _first_answer(process, where, question, log)
        seconds = time.perf_counter() - begun
        if not answer.startswith(wanted):
            raise UnableError(f"{name} answered {answer!r}")
        yield Server(name, process.pid, core, port, seconds)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_answer(
    process: subprocess.Popen[bytes], where: _Where, question: bytes, log: Path
) -> bytes:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return _ask(where, question)
        except (ConnectionRefusedError, FileNotFoundError):
            time.sleep(0.001)
    raise UnableError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")


def _ask(where: _Where, question: bytes) -> bytes:
    tcp = isinstance(where, int)
    with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX) as connection:
        connection.settimeout(_START_SECONDS)
        connection.connect(("127.0.0.1", where) if tcp else str(where))
        connection.sendall(question)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                raise UnableError(f"the connection ended after {head!r}")
            head += piece
        return head


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
