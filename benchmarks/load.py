"""Rounds of load: wrk asks over 32 kept connections, the kernel says what the server spent."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import core_seconds, program
from benchmarks.programs import Server

CONNECTIONS = 32
# A server that writes in batches does some of a round's work after its last answer.
SETTLE_SECONDS = 0.5

_SCRIPT = """\
local questions, count, last = {}, 0, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  local from = 1
  while true do
    local _, to = text:find("\\r\\n\\r\\n", from, true)
    if not to then break end
    count = count + 1
    questions[count] = text:sub(from, to)
    from = to + 1
  end
  last = tonumber(args[2]) % count
end

function request()
  last = last % count + 1
  return questions[last]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "microseconds": %d, "broken": %d, "refused": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one server; CPU in microseconds a request, latencies in microseconds."""

    requests: int
    per_second: float
    cpu: float
    user: float
    kernel: float
    other_threads: float
    busy: float  # the share of the round in which the server was on its core …
    disturbed: float  # … and in which other programs were
    p50: float
    p99: float
    other_kernel: float = 0.0  # of `other_threads`, the kernel's part
    beside: float = 0.0  # of `cpu`, what processes beside the server spent


class Load:
    """Asks the questions of a file, each round going on where the last one ended."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "ask.lua"
        self._script.write_text(_SCRIPT)
        self._asked: dict[Path, int] = {}

    def round(
        self,
        server: Server,
        questions: Path,
        seconds: int,
        *,
        accepted: bool,
        connections: int = CONNECTIONS,
    ) -> Round:
        """Load a server; AssertionError when an answer was not what the questions are for."""
        begun, core, before = time.monotonic(), core_seconds(server.core), server.spent()
        beside = server.spent_beside()
        said = self._wrk(server, questions, seconds, connections)
        took = time.monotonic() - begun
        busy = (server.spent().total - before.total) / took
        disturbed = (core_seconds(server.core) - core) / took - busy
        time.sleep(SETTLE_SECONDS)
        spent = server.spent() - before
        requests = said["requests"]
        assert requests, f"{server.name} answered nothing"
        assert not said["broken"], f"{server.name}: {said['broken']} connections failed"
        wrong = said["refused"] if accepted else requests - said["refused"]
        assert not wrong, f"{server.name}: {wrong} of {requests} answers were the wrong ones"
        per = 1e6 / requests
        return Round(
            requests=requests,
            per_second=requests / said["microseconds"] * 1e6,
            cpu=spent.total * per,
            user=spent.user * per,
            kernel=spent.kernel * per,
            other_threads=spent.other_threads * per,
            busy=busy,
            disturbed=max(0.0, disturbed),
            p50=said["p50"],
            p99=said["p99"],
            other_kernel=spent.other_kernel * per,
            beside=(server.spent_beside() - beside) * per,
        )

    def asked(self, questions: Path) -> int:
        """Return how many questions of a file were asked so far."""
        return self._asked.get(questions, 0)

    def _wrk(
        self, server: Server, questions: Path, seconds: int, connections: int
    ) -> dict[str, int]:
        url = f"http://127.0.0.1:{server.port}/"
        settings = ["-t", "1", "-c", str(connections), "-d", f"{seconds}s"]
        tail = ["--", str(questions), str(self.asked(questions))]
        done = subprocess.run(
            [program("wrk"), *settings, "-s", str(self._script), url, *tail],
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        )
        said: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        self._asked[questions] = self.asked(questions) + said["requests"]
        return said
