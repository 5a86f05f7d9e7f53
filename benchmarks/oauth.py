"""OAuth2: tokens given out, looked at and decided a second on one core.

    python benchmarks/oauth.py [--seconds 5] [--rounds 3] [--without-rivals] [--write]

One worker on one core, wrk asks over 32 kept connections from the other. A grant is one of client
credentials, signed with ES256; an introspection is an API's question about a token that it has
asked about before; a decision is a gateway's about a token, and in the same run about a bearer
key, both seen before. npm oidc-provider and django-oauth-toolkit are asked about tokens of theirs
in the same run (`make rivals` installs them). What other programs took of the core is left out by
the CPU each takes, and all are asked in turns, so that their ratios hold on a busy machine.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

import msgspec
from benchmarks import introspection, results
from benchmarks.machine import UnableError, calibrate, cores, facts
from benchmarks.tokens import WARM_UP_SECONDS, Asked, Round, measured, pin
from tests.e2e.stack import Latchgate, text_of
from tests.oauth import authority
from tests.oauth.authority import Registered
from tests.world import World, http_request

OURS = "Latchgate"
TOKENS = 32
WANTED_GRANTS = 1_500
WANTED_RATIO = 2.0  # of a token's decision to a key's
SCOPE = "storage:read"

# An area that takes either, so that both decisions are made of the same parts.
AREA = """
[[areas]]
path = "/bench"
service = "storage"
accepts = ["service_key", "latchgate.oauth_token"]
rules = [{ methods = ["GET"], scope = "storage:read" }]
"""


def form(path: str, host: str, client: Registered, **told: str) -> bytes:
    """Return a form as it goes over the wire, with the client's id and secret as Basic."""
    body = urlencode(told).encode()
    proof = base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Basic {proof}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def given(url: str, client: Registered) -> str:
    """Return an access token of a client that acts by itself."""
    body = urlencode({"grant_type": "client_credentials"}).encode()
    headers = client.basic | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = http_request("POST", f"{url}/oauth/token", headers=headers, body=body)
    assert answer.status == 200, answer.body
    return str(msgspec.json.decode(answer.body)["access_token"])


def asked_of(verify: str, what: str, bearers: Sequence[str]) -> Asked:
    """Return a gateway's questions about bearers."""
    told = [
        "GET /nginx HTTP/1.1",
        "Host: latchgate",
        "X-Original-Method: GET",
        "X-Original-URI: /bench/file",
        "X-Original-Host: storage.example.com",
        "X-Original-Scheme: https",
        "X-Real-IP: 203.0.113.7",
    ]
    questions = [
        "\r\n".join([*told, f"Authorization: Bearer {one}", "", ""]).encode() for one in bearers
    ]
    return Asked(OURS, what, verify, questions)


@contextmanager
def running(folder: Path, core: int) -> Iterator[tuple[int, list[Asked]]]:
    """Run Latchgate with one worker on a core; its process id and what it is asked."""
    with Latchgate(folder) as server:
        with (folder / "providers" / "wayscloud.toml").open("a", encoding="utf-8") as file:
            file.write(AREA)
        server.serve(workers=1)
        server.run("policy", "apply", "--config", str(server.config))
        world = World.beside(server)  # type: ignore[arg-type] # all of it that is used
        try:
            asked = _questions(server, world)
        finally:
            world.close()
        for process in (server.pid, *server.workers):
            pin(process, core)
        (worker,) = server.workers or [server.pid]
        yield worker, asked


def _questions(server: Latchgate, world: World) -> list[Asked]:
    owner = world.somebody(SCOPE)
    robot = authority.client(world, acts_as=owner, scopes=[SCOPE])
    api = authority.client(world, grant_types=["urn:latchgate:introspection"], scopes=[])
    keys = [world.key(owner=owner).text for _ in range(TOKENS)]
    console = text_of(server.console)
    tokens = [given(f"http://{console}", robot) for _ in range(TOKENS)]
    grant = form("/oauth/token", console, robot, grant_type="client_credentials")
    looked_at = [form("/oauth/introspect", console, api, token=one) for one in tokens]
    assert isinstance(server.verify, tuple)
    verify = text_of(server.verify)
    return [
        Asked(OURS, "grants", console, [grant]),
        Asked(OURS, "introspections", console, looked_at),
        asked_of(verify, "decisions on keys", keys),
        asked_of(verify, "decisions on tokens", tokens),
    ]


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/oauth.py", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-rivals", action="store_true", help="measure Latchgate alone")
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    told = parser.parse_args()
    if not told.without_rivals and not introspection.installed():
        sys.exit("oauth.py: nothing to compare with; `make rivals`, or --without-rivals")
    try:
        with tempfile.TemporaryDirectory(prefix="latchgate-bench-") as folder:
            text = _run(Path(folder), told.seconds, told.rounds, alone=told.without_rivals)
    except (UnableError, AssertionError) as error:
        sys.exit(f"oauth.py: {error}")
    print(text)
    if told.write:
        results.write(text)


def _run(folder: Path, seconds: int, rounds: int, *, alone: bool) -> str:
    core, other = cores()
    found: dict[str, list[Round]] = {}
    with ExitStack() as stack:
        started = [stack.enter_context(running(folder / "latchgate", core))]
        if not alone:
            for rival in (introspection.oidc_provider, introspection.django_toolkit):
                made = rival(folder / rival.__name__, core, TOKENS)
                started.append(stack.enter_context(made))
        os.sched_setaffinity(0, {other})
        for turn in range(rounds + 1):
            for process, every in started:
                for asked in every:
                    one = measured(asked, process, folder, seconds if turn else WARM_UP_SECONDS)
                    if turn:  # the first fills what is remembered
                        found.setdefault(_named(asked), []).append(one)
            time.sleep(0.5)
    return _text(found, seconds, rounds)


def _named(asked: Asked) -> str:
    return asked.what if asked.server == OURS else f"{asked.what}, {asked.server}"


def _text(found: dict[str, list[Round]], seconds: int, rounds: int) -> str:
    about = facts()
    lines = [
        f"## OAuth2, {about['date']}",
        "",
        f"`python benchmarks/oauth.py` at {about['commit']}; {about['machine']};",
        f"{about['kernel']}; Python {about['Python']};",
        f"SHA-256 of 64 bytes {calibrate()['sha256_us']:.2f} µs. One core; {rounds} interleaved",
        f"rounds of {seconds} s, medians; {TOKENS} tokens, ES256.",
        "",
        "| what | answered a second | CPU µs each | so on a core of its own |",
        "|---|---|---|---|",
    ]
    spent: dict[str, float] = {}
    for what, each in found.items():
        rate = statistics.median(one.per_second for one in each)
        spent[what] = statistics.median(one.cpu for one in each)
        lines.append(f"| {what} | {rate:,.0f} | {spent[what]:,.1f} | {1e6 / spent[what]:,.0f} |")
    ratio = spent["decisions on tokens"] / spent["decisions on keys"]
    grants = 1e6 / spent["grants"]
    near = _verdict(ok=ratio <= WANTED_RATIO)
    lines += [
        "",
        f"- grants: wanted ≥ {WANTED_GRANTS:,} a second: {_verdict(ok=grants >= WANTED_GRANTS)}",
        f"- a token's decision takes {ratio:.2f} × a key's, wanted ≤ {WANTED_RATIO:.0f}: {near}",
    ]
    for rival, least in introspection.WANTED.items():
        theirs = spent.get(f"{introspection.WHAT}, {rival}")
        if theirs is not None:
            times = theirs / spent[introspection.WHAT]
            said = f"{times:,.1f} times as many introspections as {rival}, wanted ≥ {least:.0f}"
            lines.append(f"- {said}: {_verdict(ok=times >= least)}")
    return "\n".join([*lines, ""])


def _verdict(*, ok: bool) -> str:
    return "reached" if ok else "MISSED"


if __name__ == "__main__":
    main()
