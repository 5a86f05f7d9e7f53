"""What `latchgate.client` costs a program that calls a cloud: time a request, exchanges, imports.

    python benchmarks/client.py [--requests 300] [--rounds 9] [--write]

Adding credentials is timed through the shell alone, from the URL to the headers, and per adapter as
the difference between sending with and without it: both in turn in the same run, to a server in
another process, as CPU time of this one. Exchanges are counted by the server that is asked for
tokens, with 1,000 tasks, 1,000 threads and 20 processes that all find theirs expired. Imports are
timed in fresh interpreters. Prints what it measured with machine, date and commit; `--write` adds
it to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.request import build_opener

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

import aiohttp
import httpx
import httpx2
import requests
from benchmarks import results
from benchmarks.machine import REFERENCE_SHA256_US, calibrate, facts
from tests.client.stage import Asked, Said, Stage

from latchgate.client import KakaoCloud, Latchgate, TeraCloud, UpCloud, WaysCloud
from latchgate.client.adapters import aiohttp as over_aiohttp
from latchgate.client.adapters import httpx as over_httpx
from latchgate.client.adapters import httpx2 as over_httpx2
from latchgate.client.adapters import requests as over_requests
from latchgate.client.adapters import urllib as over_urllib
from latchgate.client.flow import Cloud
from latchgate.client.message import Request, Response, Target
from latchgate.client.shell import carry_out, carry_out_async
from latchgate.client.token_cache import TokenCache

WANTED_US, WANTED_MS = 10.0, 30.0
TASKS, THREADS, PROCESSES = 1000, 1000, 20
_TURNS = 10  # of a round: with and without an adapter, in turn
_KEY = "wayscloud_llm_" + "a1b2c3d4" * 6
_SECRET = "s" * 40

_GET = """
import sys
from pathlib import Path
from latchgate.client import KakaoCloud
from latchgate.client.adapters.urllib import Opener
from latchgate.client.token_cache import TokenCache
cloud = KakaoCloud("id", sys.argv[1], url=sys.argv[2], cache=TokenCache(Path(sys.argv[3])))
Opener(cloud).open(cloud.url + "/things").read()
"""
_SERVE = """
import asyncio

class Constant(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for _ in range(data.count(b"\\r\\n\\r\\n")):
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")

async def main():
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
_IMPORT = """
import time
begun = time.perf_counter()
{}
print((time.perf_counter() - begun) * 1000)
"""
_IMPORTS = {
    "latchgate.client": "import latchgate.client",
    "and WaysCloud": "from latchgate.client import WaysCloud",
    "and KakaoCloud": "from latchgate.client import KakaoCloud",
    "and urllib's adapter": (
        "from latchgate.client import KakaoCloud\nfrom latchgate.client.adapters import urllib"
    ),
    "for comparison, urllib.request alone": "import urllib.request",
}


class Pair(NamedTuple):
    """CPU microseconds of a request: without the adapter, and what it adds; medians of turns.

    The lower and upper quartile of what it adds say how far that can be believed.
    """

    without: float
    added: float
    lower: float
    upper: float

    @classmethod
    def of(cls, took: list[tuple[float, float]]) -> Pair:
        """Compare turns with the ones right before or after them, which had the same neighbours."""
        lower, added, upper = statistics.quantiles((one - bare for bare, one in took), n=4)
        return cls(statistics.median(bare for bare, _ in took), added, lower, upper)


class Identity:
    """An identity API that counts exchanges; the first token it gives is over at once."""

    def __init__(self) -> None:
        self.exchanges = 0

    def answer(self, asked: Asked) -> Said:
        """Answer an exchange with a token, anything else with nothing."""
        if asked.method == "GET":
            return Said()
        self.exchanges += 1
        time.sleep(0.2)  # so that whoever would ask as well has the time to
        ends = "2026-01-01T12:00:00Z" if self.exchanges > 1 else "2026-01-01T00:00:00.001Z"
        token = {
            "issued_at": "2026-01-01T00:00:00Z",
            "expires_at": ends,
            "user": {"id": "u"},
            "project": {"id": "p"},
            "roles": [{"name": "r"}],
        }
        body = json.dumps({"token": token}).encode()
        return Said(201, body, {"X-Subject-Token": f"token-{self.exchanges}"})


def clouds(identity: str) -> dict[str, tuple[Cloud, str]]:
    """Return a cloud each, and a URL of its."""
    kakao = KakaoCloud("id", _SECRET, url=identity, origins=["https://bcs.example"], cache=None)
    for _ in range(2):  # the first token is over at once
        over_urllib.Opener(kakao).open(f"{kakao.url}/things").close()
    tera = TeraCloud("user", "password", "0123456789ABCDEF" * 2)
    matrix = TeraCloud("user", "password", "0123456789ABCDEF" * 2, via="matrix")
    rest = "https://api.teracloud.jp/v2/api/ba/user"
    manage = Latchgate("latchgate_manage_" + "a1" * 20, url="https://auth.example")
    return {
        "WAYSCloud": (WaysCloud(_KEY), "https://api.wayscloud.services/v1/models?limit=10"),
        "UpCloud": (UpCloud("ucat_" + "a1" * 13), "https://api.upcloud.com/1.3/server"),
        "TeraCLOUD, header": (tera, rest),
        "TeraCLOUD, matrix": (matrix, rest),
        "KakaoCloud, with its token": (kakao, "https://bcs.example/api/v1/instances?limit=10"),
        "Latchgate": (manage, "https://auth.example/manage/v1/keys"),
    }


def adding(cloud: Cloud, url: str, rounds: int) -> list[float]:
    """Return the microseconds of a request, round by round: from the URL to the headers."""
    done, count = Response(200, {}), 2000
    # Each another: what was parsed once is remembered by the standard library.
    urls = [f"{url}{'&' if '?' in url else '?'}page={number}" for number in range(count)]
    found = []
    for _ in range(rounds):
        begun = time.process_time_ns()
        for one in urls:
            carry_out(cloud, cloud.flow(Target.of(one)), ask=_nobody, send=lambda _: done)
        found.append((time.process_time_ns() - begun) / count / 1000)
    return found


def _nobody(_request: Request) -> Response:
    raise AssertionError("there is a token")


@contextlib.contextmanager
def constant() -> Iterator[str]:
    """Serve a constant answer from another process, and yield its address."""
    with subprocess.Popen([sys.executable, "-c", _SERVE], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def adapters(url: str, count: int, rounds: int) -> dict[str, Pair]:
    """Return what each adapter costs, one after the other."""
    cloud, things = WaysCloud(_KEY, url=url), f"{url}/v1/things"
    found = {}
    with contextlib.ExitStack() as stack:
        opener, bare = over_urllib.Opener(cloud), build_opener()
        signing = stack.enter_context(over_requests.Session(cloud))
        session = stack.enter_context(requests.Session())
        one = stack.enter_context(over_httpx.client(cloud))
        plain = stack.enter_context(httpx.Client())
        two = stack.enter_context(over_httpx2.client(cloud))
        plain2 = stack.enter_context(httpx2.Client())
        senders: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "urllib": (lambda: bare.open(things).read(), lambda: opener.open(things).read()),
            "requests": (lambda: session.get(things), lambda: signing.get(things)),
            "httpx": (lambda: plain.get(things), lambda: one.get(things)),
            "httpx2": (lambda: plain2.get(things), lambda: two.get(things)),
        }
        for name, (without, signed) in senders.items():
            found[name] = _pair(without, signed, count, rounds)
    found |= asyncio.run(_async_adapters(cloud, things, count, rounds))
    return found


def _pair(
    without: Callable[[], object], signed: Callable[[], object], count: int, rounds: int
) -> Pair:
    took = []
    for number in range(rounds * _TURNS):
        times = {}
        for send in (without, signed) if number % 2 else (signed, without):
            begun = time.process_time_ns()
            for _ in range(count // _TURNS):
                send()
            times[send] = (time.process_time_ns() - begun) / (count // _TURNS) / 1000
        took.append((times[without], times[signed]))
    return Pair.of(took)


async def _async_adapters(cloud: Cloud, url: str, count: int, rounds: int) -> dict[str, Pair]:
    async with (
        aiohttp.ClientSession() as bare,
        over_aiohttp.session(cloud) as signing,
        httpx.AsyncClient() as plain,
        over_httpx.async_client(cloud) as one,
        httpx2.AsyncClient() as plain2,
        over_httpx2.async_client(cloud) as two,
    ):

        def reading(session: aiohttp.ClientSession) -> Callable[[], Awaitable[object]]:
            async def read() -> bytes:
                async with session.get(url) as answer:
                    return await answer.read()

            return read

        return {
            "aiohttp": await _pair_async(reading(bare), reading(signing), count, rounds),
            "httpx, async": await _pair_async(
                lambda: plain.get(url), lambda: one.get(url), count, rounds
            ),
            "httpx2, async": await _pair_async(
                lambda: plain2.get(url), lambda: two.get(url), count, rounds
            ),
        }


async def _pair_async(
    without: Callable[[], Awaitable[object]],
    signed: Callable[[], Awaitable[object]],
    count: int,
    rounds: int,
) -> Pair:
    took = []
    for number in range(rounds * _TURNS):
        times = {}
        for send in (without, signed) if number % 2 else (signed, without):
            begun = time.process_time_ns()
            for _ in range(count // _TURNS):
                await send()
            times[send] = (time.process_time_ns() - begun) / (count // _TURNS) / 1000
        took.append((times[without], times[signed]))
    return Pair.of(took)


def herds() -> dict[str, int]:
    """Return how many exchanges it took until all of many had a token in an expired one's place."""
    found = {}
    for name, herd in {
        f"{TASKS} tasks": _tasks,
        f"{THREADS} threads": _threads,
        f"{PROCESSES} processes": _processes,
    }.items():
        identity = Identity()
        with tempfile.TemporaryDirectory() as folder, Stage(identity.answer) as stage:
            herd(stage.url, Path(folder) / "tokens")
        found[name] = identity.exchanges - 1  # the first token was to expire
    return found


def _tasks(url: str, folder: Path) -> None:
    cloud = KakaoCloud("id", _SECRET, url=url, cache=TokenCache(folder))
    opener = over_urllib.Opener(cloud)
    opener.open(f"{cloud.url}/things").close()

    async def ask(request: Request) -> Response:
        return await asyncio.to_thread(opener.ask, request)

    async def all_at_once() -> None:
        found = await asyncio.gather(
            *(carry_out_async(cloud, cloud.renewal.obtain(cloud), ask=ask) for _ in range(TASKS))
        )
        assert len({token.value for token in found}) == 1

    asyncio.run(all_at_once())


def _threads(url: str, folder: Path) -> None:
    cloud = KakaoCloud("id", _SECRET, url=url, cache=TokenCache(folder))
    opener = over_urllib.Opener(cloud)
    opener.open(f"{cloud.url}/things").close()
    begin = threading.Barrier(THREADS)

    def one() -> str:
        begin.wait()
        token = carry_out(cloud, cloud.renewal.obtain(cloud), ask=opener.ask)
        return token.value.reveal()

    with ThreadPoolExecutor(THREADS) as pool:
        found = [pool.submit(one) for _ in range(THREADS)]
        assert len({done.result() for done in found}) == 1


def _processes(url: str, folder: Path) -> None:
    command = [sys.executable, "-c", _GET, _SECRET, url, str(folder)]
    subprocess.run(command, check=True)
    started = [subprocess.Popen(command) for _ in range(PROCESSES)]
    assert [one.wait() for one in started] == [0] * PROCESSES


def imports(count: int) -> dict[str, list[float]]:
    """Return the milliseconds of imports in fresh interpreters, in turn."""
    found: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for _ in range(count):
        for name, program in _IMPORTS.items():
            done = subprocess.run(
                [sys.executable, "-c", _IMPORT.format(program)],
                capture_output=True,
                text=True,
                check=True,
            )
            found[name].append(float(done.stdout))
    return found


def _figure(name: str, wanted: str, measured: str, *, reached: bool) -> str:
    return (
        f"- figure: {name}: wanted {wanted}, measured {measured},"
        f" {'reached' if reached else 'MISSED'}"
    )


def report(count: int, rounds: int) -> Iterator[str]:
    """Measure, and tell it as Markdown."""
    busy, about, sha256 = os.getloadavg()[0], facts(beside={}), calibrate()["sha256_us"]
    with Stage(Identity().answer) as stage:
        took = {name: adding(*one, rounds) for name, one in clouds(stage.url).items()}
    with constant() as url:
        pairs = adapters(url, count, rounds)
    exchanges, loaded = herds(), imports(rounds * 3)
    slowest = max(statistics.median(times) for times in took.values())
    dearest = max(pairs, key=lambda name: pairs[name].added)
    yield f"## Client, {about.pop('date')}\n"
    yield from (f"- {name}: {value}" for name, value in about.items())
    yield f"- calibration: SHA-256 of 64 bytes takes {sha256:.3f} µs ({REFERENCE_SHA256_US} there)"
    yield f"- others: {busy:.1f} processes wanted a core in the minute before"
    yield f"\n    python benchmarks/client.py --requests {count} --rounds {rounds}\n"
    yield _figure(
        "adding credentials to a request through the bare shell, the slowest cloud's median",
        f"≤ {WANTED_US:g} µs",
        f"{slowest:.2f} µs",
        reached=slowest <= WANTED_US,
    )
    yield _figure(
        f"the same with an HTTP library's adapter, the dearest one ({dearest})",
        f"≤ {WANTED_US:g} µs",
        f"{pairs[dearest].added:.0f} µs",
        reached=pairs[dearest].added <= WANTED_US,
    )
    for name, number in exchanges.items():
        yield _figure(
            f"exchanges of {name} whose token expired", "1", str(number), reached=number == 1
        )
    for name, what in (
        ("latchgate.client", "import latchgate.client, which loads no cloud"),
        ("and WaysCloud", "the same with WaysCloud"),
    ):
        load = statistics.median(loaded[name])
        yield _figure(
            f"{what}, median",
            f"≤ {WANTED_MS:g} ms",
            f"{load:.1f} ms",
            reached=load <= WANTED_MS,
        )
    yield "\nAdding credentials, from the URL to the headers; µs of CPU, medians (least to most):\n"
    for name, times in took.items():
        median = statistics.median(times)
        yield f"- {name}: {median:.2f} ({min(times):.2f} to {max(times):.2f})"
    yield f"\nSending with an adapter and without, to this machine; {rounds} rounds of {count}:\n"
    yield "| adapter | CPU µs without | added | its quartiles | ratio |\n|---|---|---|---|---|"
    for name, (without, added, lower, upper) in pairs.items():
        ratio = (without + added) / without
        yield f"| {name} | {without:.0f} | {added:.0f} | {lower:.0f} to {upper:.0f} | {ratio:.2f} |"
    yield "\nImports in a fresh interpreter; ms, medians (least to most):\n"
    for name, times in loaded.items():
        median = statistics.median(times)
        yield f"- {name}: {median:.1f} ({min(times):.1f} to {max(times):.1f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    text = "\n".join(report(told.requests, told.rounds))
    print(text)
    if told.write:
        results.write(text)


if __name__ == "__main__":
    main()
