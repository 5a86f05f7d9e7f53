"""What passwords cost: `python benchmarks/passwords.py [--write]`, in about two minutes.

Two figures: the CPU of a request with an app password beside that of one with a bearer key, in
process and at the verify address; and how much bearer traffic one core still carries while wrong
passwords flood it. Needs what benchmarks/verify.py needs.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gc
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

import sqlalchemy as sa
from benchmarks import results
from benchmarks.load import Load
from benchmarks.machine import ROOT, UnableError, calibrate, cores, cpu, facts
from benchmarks.programs import Server, latchgate
from benchmarks.stock import HOST, Question, Stock, stock

from latchgate import Verifier
from latchgate.core.kinds.app_password import AppPassword
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Request
from latchgate.core.network import parse_address
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import logins, roles
from latchgate.store import schema
from latchgate.store.journal import Actor, Store

KEYS = 2_000
ROUNDS = 7
SECONDS = 2
FLOOD_CONNECTIONS = 16
WANTED_RATIO, WANTED_SHARE = 1.25, 0.90
_KIND = AppPassword(name="teracloud.app_password", prefix="tcap")
_ROLE = "r-bench-dav"


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/passwords.py", description=__doc__)
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    parser.add_argument("--in-process", metavar="FOLDER", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.in_process:
        print(json.dumps(_in_process(Path(told.in_process))))
        return
    try:
        with tempfile.TemporaryDirectory(prefix="latchgate-bench-") as folder:
            text = _measured(Path(folder))
    except (UnableError, AssertionError) as error:
        sys.exit(f"passwords.py: {error}")
    print(text)
    if told.write:
        results.write(text)


def _measured(folder: Path) -> str:
    kept = stock(folder, KEYS)
    asked = _passwords(kept)
    (folder / "passwords.json").write_text(json.dumps(asked))
    file = folder / "passwords"
    file.write_bytes(b"".join(one.spelled() for one in asked))
    command = [sys.executable, __file__, "--in-process", str(folder)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    inside: dict[str, list[float]] = json.loads(said.stdout)
    load, (core, other) = Load(folder), cores()
    os.sched_setaffinity(0, {other})
    bearer: list[float] = []
    password: list[float] = []
    with latchgate(kept, core) as server:
        for questions in (kept.accepted, file):
            load.round(server, questions, SECONDS, accepted=True)
        for _ in range(ROUNDS):
            bearer.append(load.round(server, kept.accepted, SECONDS, accepted=True).cpu)
            password.append(load.round(server, file, SECONDS, accepted=True).cpu)
        quiet, flooded, guesses = _flooded(kept, load, server)
    before, under = statistics.median(quiet), statistics.median(flooded)
    share = f"{_median_of_ratios(flooded, quiet):.0%} | ≥ {WANTED_SHARE:.0%}"
    flood = f"{guesses:.0f} wrong passwords a second answered"
    about = facts()
    return "\n".join(
        [
            f"## Passwords, {about['date']}",
            "",
            f"`python benchmarks/passwords.py` at {about['commit']}; {about['machine']};",
            f"{about['kernel']}; Python {about['Python']};",
            f"SHA-256 of 64 bytes {calibrate()['sha256_us']:.2f} µs.",
            f"{KEYS} keys and as many app passwords; medians of {ROUNDS} interleaved rounds.",
            "",
            "| CPU of a request, µs | bearer key | app password | ratio | wanted |",
            "|---|---|---|---|---|",
            _ratio("in process (`engine.decide`)", inside["bearer"], inside["password"]),
            _ratio("at the verify address", bearer, password),
            "",
            "| bearer requests a second, on one core | without | under the flood | kept | wanted |",
            "|---|---|---|---|---|",
            f"| {flood} | {before:.0f} | {under:.0f} | {share} |",
            "",
        ]
    )


def _ratio(name: str, key: list[float], password: list[float]) -> str:
    one, other = statistics.median(key), statistics.median(password)
    ratio = _median_of_ratios(password, key)
    return f"| {name} | {one:.1f} | {other:.1f} | {ratio:.2f} | ≤ {WANTED_RATIO} |"


def _median_of_ratios(one: list[float], other: list[float]) -> float:
    """Compare neighbouring rounds with each other, so that a busy minute spoils one and not all."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def _passwords(kept: Stock) -> list[Question]:
    """Give the keys' owners logins and app passwords, and return a question for each."""
    store = Store(kept.config.database, clock=time.time)
    user, assigned = schema.user, schema.role_assignment
    try:
        with store.change(Actor(name="local:benchmark", tenant_id=None)) as change:
            rows = change.execute(
                sa.select(user.c.id, user.c.tenant_id, assigned.c.project_id)
                .join(assigned, assigned.c.user_id == user.c.id)
                .where(user.c.name != "admin")
            ).all()
            scopes = ["dav:read", "dav:write", "dav:delete"]
            roles.add(change, _ROLE, rows[0].tenant_id, "files", Scopes.of(scopes), ())
            asked: list[Question] = []
            for number, row in enumerate(rows):
                roles.assign(change, row.tenant_id, row.id, row.project_id, _ROLE)
                name = f"user{number}"
                login = logins.add_login(change, row.tenant_id, row.id, "teracloud", name)
                issued = _KIND.issue(Spec(service="dav"), secrets.token_bytes(_KIND.entropy_bytes))
                logins.give(
                    change,
                    kind=_KIND.name,
                    issued=issued,
                    login=login,
                    scopes=ALL,
                    networks=None,
                    owner=(row.tenant_id, row.project_id, row.id),
                    issues=False,
                )
                asked.append(_asked(number, name, issued.secret.reveal()))
    finally:
        store.close()
    return asked


def _asked(number: int, name: str, password: str) -> Question:
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    target = f"/dav/bucket-{number % 977}/2026/photo-{number}.jpg"
    address = f"10.1.{number >> 8 & 255}.{number & 255}"
    return Question("GET", target, address, f"Basic {pair}")


def _in_process(folder: Path) -> dict[str, list[float]]:
    """Return CPU microseconds of a decision, by what was presented, one for each round."""
    sets = {"bearer": "questions.json", "password": "passwords.json"}
    asked = {
        name: [_request(Question(*one)) for one in json.loads((folder / file).read_text())]
        for name, file in sets.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in sets}
    with Verifier(folder / "latchgate.toml") as verifier:
        engine = verifier._parts().engine  # noqa: SLF001 - what the server's door calls
        gc.collect()
        gc.freeze()
        for turn in range(ROUNDS * 3 + 1):
            for name, requests in asked.items():
                begun = time.thread_time()
                for request in requests:
                    assert engine.decide(request).allowed
                if turn:
                    taken[name].append((time.thread_time() - begun) / len(requests) * 1e6)
    return taken


def _request(one: Question) -> Request:
    return Request(
        method=one.method,
        host=HOST,
        target=one.target,
        headers={"host": HOST, "authorization": one.authorization, "accept": "*/*"},
        client=parse_address(one.address),
        tls=True,
    )


def _flooded(kept: Stock, load: Load, server: Server) -> tuple[list[float], list[float], float]:
    """Return bearer requests a second without and under a flood, and the flood's own rate."""
    quiet: list[float] = []
    flooded: list[float] = []
    guessed, took = 0, 0.0
    for _ in range(ROUNDS):
        quiet.append(load.round(server, kept.accepted, SECONDS, accepted=True).per_second)
        begun = time.monotonic()
        with _flood(server) as counted:
            flooded.append(load.round(server, kept.accepted, SECONDS, accepted=True).per_second)
        took += time.monotonic() - begun
        guessed += counted[0]
    assert cpu(server.process_id).other_threads > 0, "no password was worked out"
    return quiet, flooded, guessed / took


@contextlib.contextmanager
def _flood(server: Server) -> Iterator[list[int]]:
    """Send wrong passwords of ever new accounts from ever new addresses, as fast as answered."""
    ended, counted = threading.Event(), [0]
    threads = [
        threading.Thread(target=_guess, args=(server.port, ended, counted), daemon=True)
        for _ in range(FLOOD_CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)  # the queue is full, and stays so
        yield counted
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _guess(port: int, ended: threading.Event, counted: list[int]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        while not ended.is_set():
            name = secrets.token_hex(8)
            pair = base64.b64encode(f"{name}:wrong".encode()).decode()
            address = "10." + ".".join(str(byte) for byte in secrets.token_bytes(3))
            one = Question("GET", "/1.3/server", address, f"Basic {pair}")
            connection.sendall(one.spelled())
            answer = connection.recv(65_536)
            assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 403")), answer
            counted[0] += 1


if __name__ == "__main__":
    main()
