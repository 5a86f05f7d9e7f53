"""Project tokens: logins and validations a second on one core, beside a real Keystone in one run.

    python benchmarks/tokens.py [--seconds 5] [--rounds 3] [--without-keystone] [--write]

Each server has one worker (Keystone one thread) on one core, wrk asks over kept connections from
the other, 32 of them (Keystone 4). A login exchanges an access key for a token; a validation is a
service's question about a token that it has asked about before, which Keystone may remember too; a
decision is a gateway's. Needs `make interop` once, which installs Keystone, and wrk. Prints what it
measured with machine, date and commit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks import results
from benchmarks.machine import UnableError, calibrate, cores, cpu, facts, program
from interop.keystone.oracle import FOLDER, Keystone
from tests.clients.identity import Identity, Person, of_latchgate
from tests.e2e.stack import Latchgate, curl, text_of

# More would only queue before a thread that answers a few a second.
CONNECTIONS = {"Latchgate": 32, "Keystone": 4}
WARM_UP_SECONDS = 5
KEYS, TOKENS = 8, 32
WANTED = {"logins": 2_500, "validations": 15_000}

# A service of the operator's own behind a gateway, open to whoever is signed in.
AREA = """
[[areas]]
path = "/compute"
service = "identity"
accepts = ["project_token"]
rules = [{ methods = ["GET"], signed_in = true }]
"""

_SCRIPT = """\
local questions, last = {%s}, 0

function request()
  last = last %% #questions + 1
  return questions[last]
end

function done(summary)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %%d, "microseconds": %%d, "broken": %%d, "refused": %%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout, e.status))
end
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A sort of request to one server: where it goes and what is sent, in turn."""

    server: str
    what: str
    address: str
    questions: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second, and the server's CPU in microseconds a request."""

    per_second: float
    cpu: float


def spelled(
    method: str, path: str, headers: dict[str, str], sent: object = None, *, host: str
) -> bytes:
    """Return a request as it goes over the wire."""
    body = b"" if sent is None else json.dumps(sent).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def by_password(identity: Identity, who: Person) -> str:
    """Log a user in for their project, and return the token."""
    user = {"name": who.name, "domain": {"name": identity.domain}, "password": who.password}
    how = {"methods": ["password"], "password": {"user": user}}
    return _token(identity, {"identity": how, "scope": {"project": {"id": who.project_id}}})


def _key(identity: Identity, token: str, number: int) -> dict[str, object]:
    """Make an access key, and return the login by it."""
    path = f"{identity.url}/users/{identity.alice.id}/application_credentials"
    sent = {"application_credential": {"name": f"bench {number}"}}
    told = _posted(path, sent, "-H", f"X-Auth-Token: {token}").json()["application_credential"]
    how = {"id": told["id"], "secret": told["secret"]}
    return {"identity": {"methods": ["application_credential"], "application_credential": how}}


def _token(identity: Identity, auth: dict[str, object]) -> str:
    return str(_posted(f"{identity.url}/auth/tokens", {"auth": auth}).one("X-Subject-Token"))


def _posted(url: str, sent: object, *words: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    told = curl(url, "-H", "Content-Type: application/json", "-d", json.dumps(sent), *words)
    assert told.status == 201, told.body
    return told


def questions(server: str, identity: Identity) -> tuple[list[Asked], list[str]]:
    """Return logins and validations for one server, and the tokens validated."""
    where = urlsplit(identity.url)
    host, path = where.netloc, f"{where.path}/auth/tokens"
    alice, service = (by_password(identity, who) for who in (identity.alice, identity.glance))
    logins = [_key(identity, alice, number) for number in range(KEYS)]
    tokens = [_token(identity, logins[number % KEYS]) for number in range(TOKENS)]
    asked = [
        Asked(
            server, "logins", host,
            [spelled("POST", path, {}, {"auth": auth}, host=host) for auth in logins],
        ),
        Asked(
            server, "validations", host,
            [
                spelled(
                    "GET", path, {"X-Auth-Token": service, "X-Subject-Token": token}, host=host
                )
                for token in tokens
            ],
        ),
    ]  # fmt: skip
    return asked, tokens


def decisions(verify: str, tokens: Sequence[str]) -> Asked:
    """Return a gateway's questions about tokens."""
    told = {
        "X-Original-Method": "GET",
        "X-Original-URI": "/compute/v2.1/servers",
        "X-Original-Host": "compute.example.com",
        "X-Original-Scheme": "https",
        "X-Real-IP": "203.0.113.7",
    }
    return Asked(
        "Latchgate", "decisions", verify,
        [
            spelled("GET", "/nginx", told | {"X-Auth-Token": token}, host="latchgate")
            for token in tokens
        ],
    )  # fmt: skip


@contextmanager
def ours(folder: Path, core: int) -> Iterator[tuple[int, list[Asked]]]:
    """Run Latchgate with one worker on a core; its worker's process id and what it is asked."""
    with Latchgate(folder) as server:
        with (folder / "providers" / "kakaocloud.toml").open("a", encoding="utf-8") as file:
            file.write(AREA)
        server.serve(workers=1)
        server.run("policy", "apply", "--config", str(server.config))
        asked, tokens = questions("Latchgate", of_latchgate(server))
        assert isinstance(server.verify, tuple)
        asked.append(decisions(text_of(server.verify), tokens))
        for process in (server.pid, *server.workers):
            pin(process, core)
        (worker,) = server.workers or [server.pid]
        yield worker, asked


@contextmanager
def theirs(folder: Path, core: int) -> Iterator[tuple[int, list[Asked]]]:
    """Run a real Keystone with one thread on a core."""
    with Keystone(folder, remembers=True) as server:
        server.start(threads=1)
        asked, _tokens = questions("Keystone", server.identity())
        pin(server.pid, core)
        yield server.pid, asked


def pin(process: int, core: int) -> None:
    """Keep a process and all its threads on a core."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def measured(asked: Asked, process: int, folder: Path, seconds: int) -> Round:
    """Ask for a while; AssertionError when an answer was not a success."""
    script = folder / f"{asked.server}-{asked.what}.lua"
    script.write_text(_SCRIPT % ",".join(json.dumps(one.decode()) for one in asked.questions))
    settings = [
        "-t",
        "1",
        "-c",
        str(CONNECTIONS[asked.server]),
        "-d",
        f"{seconds}s",
        "--timeout",
        "30s",
    ]
    before = cpu(process).total
    done = subprocess.run(
        [program("wrk"), *settings, "-s", str(script), f"http://{asked.address}/"],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 120,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    spent = cpu(process).total - before
    assert told["requests"], f"{asked.server} answered nothing"
    bad = told["broken"] + told["refused"]
    assert not bad, f"{asked.server}: {bad} of {told['requests']} {asked.what} failed"
    rate = told["requests"] / told["microseconds"] * 1e6
    return Round(rate, spent / told["requests"] * 1e6)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/tokens.py", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-keystone", action="store_true", help="measure Latchgate alone")
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    told = parser.parse_args()
    if not told.without_keystone and not (FOLDER / "python").exists():
        sys.exit("tokens.py: no Keystone; `make interop` installs it, or --without-keystone")
    try:
        with tempfile.TemporaryDirectory(prefix="latchgate-bench-") as folder:
            text = _run(Path(folder), told.seconds, told.rounds, alone=told.without_keystone)
    except (UnableError, AssertionError) as error:
        sys.exit(f"tokens.py: {error}")
    print(text)
    if told.write:
        results.write(text)


def _run(folder: Path, seconds: int, rounds: int, *, alone: bool) -> str:
    core, other = cores()
    found: dict[tuple[str, str], list[Round]] = {}
    with ExitStack() as stack:
        servers = [ours] if alone else [ours, theirs]
        started = [
            stack.enter_context(one(folder / one.__name__, core))
            for one in servers
        ]  # fmt: skip
        os.sched_setaffinity(0, {other})
        for turn in range(rounds + 1):
            for process, every in started:
                for asked in every:
                    one = measured(asked, process, folder, seconds if turn else WARM_UP_SECONDS)
                    if turn:  # the first fills what is remembered
                        found.setdefault((asked.what, asked.server), []).append(one)
            time.sleep(0.5)
    return _text(found, seconds, rounds)


def _text(found: dict[tuple[str, str], list[Round]], seconds: int, rounds: int) -> str:
    about = facts()
    lines = [
        f"## Project tokens, {about['date']}",
        "",
        f"`python benchmarks/tokens.py` at {about['commit']}; {about['machine']};",
        f"{about['kernel']}; Python {about['Python']};",
        f"SHA-256 of 64 bytes {calibrate()['sha256_us']:.2f} µs. One core; {rounds} interleaved",
        f"rounds of {seconds} s, medians; {KEYS} access keys, {TOKENS} tokens.",
        "",
        "| what | server | answered a second | CPU µs each | so on a core of its own | wanted |",
        "|---|---|---|---|---|---|",
    ]
    for (what, server), each in sorted(found.items(), key=lambda item: item[0]):
        rate = statistics.median(one.per_second for one in each)
        spent = statistics.median(one.cpu for one in each)
        alone = 1e6 / spent  # what other programs took of the core left out
        least = WANTED.get(what) if server == "Latchgate" else None
        wanted = (
            "" if least is None else f"≥ {least:,}: {'reached' if alone >= least else 'MISSED'}"
        )
        lines.append(
            f"| {what} | {server} | {rate:,.1f} | {spent:,.0f} | {alone:,.1f} | {wanted} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
