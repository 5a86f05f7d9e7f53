"""Decisions without HTTP, timed one by one: `python -m benchmarks.in_process CONFIG QUESTIONS`.

A program of its own, so that it holds what an application would hold and nothing of the benchmark.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import calibrate
from benchmarks.stock import HOST, Question

from latchgate import Verifier
from latchgate.core.model import Request
from latchgate.core.network import parse_address

_ROUNDS = 3
_USES = 3  # as in run.py: from then on all that is remembered of a key is


def _timed(decisions: int, decide: Callable[[int], None]) -> dict[str, float]:
    """Return the microseconds of a decision: median, 99th percentile, and CPU of the process."""
    taken: list[int] = []
    now = time.perf_counter_ns
    cpu = time.process_time()
    for i in range(decisions):
        begun = now()
        decide(i)
        taken.append(now() - begun)
    cpu = time.process_time() - cpu
    taken.sort()
    return {
        "median": statistics.median(taken) / 1_000,
        "p99": taken[decisions * 99 // 100] / 1_000,
        "cpu": cpu / decisions * 1e6,
    }


def main() -> None:
    """Measure both ways in, and print JSON."""
    config, questions = sys.argv[1:]
    asked = [Question(*one) for one in json.loads(Path(questions).read_text())]
    calibration = [calibrate()]
    headers = [{"Host": HOST, "Authorization": one.authorization, "Accept": "*/*"} for one in asked]
    requests = [
        Request(
            method=one.method,
            host=HOST,
            target=one.target,
            headers={name.lower(): value for name, value in sent.items()},
            client=parse_address(one.address),
            tls=True,
        )
        for one, sent in zip(asked, headers, strict=True)
    ]
    found: dict[str, list[dict[str, float]]] = {"Verifier.decide": [], "engine.decide": []}
    with Verifier(config) as verifier:
        engine = verifier._parts().engine  # noqa: SLF001 - what the server's door calls

        def through_verifier(i: int) -> None:
            one = asked[i]
            verdict = verifier.decide(
                one.method, one.target, headers[i], host=HOST, client=one.address, tls=True
            )
            assert verdict.allowed

        def through_engine(i: int) -> None:
            decision = engine.decide(requests[i])
            assert decision.allowed

        gc.collect()
        gc.freeze()  # the questions are the benchmark's, not the application's
        cold, *_ = [_timed(len(asked), through_verifier) for _ in range(_USES)]
        for _ in range(_ROUNDS):
            found["Verifier.decide"].append(_timed(len(asked), through_verifier))
            found["engine.decide"].append(_timed(len(asked), through_engine))
            calibration.append(calibrate())
    medians = {
        name: {part: statistics.median(one[part] for one in rounds) for part in rounds[0]}
        for name, rounds in found.items()
    }
    told = {
        **medians,
        "first use of each key": cold,
        "calibration": {
            part: statistics.median(one[part] for one in calibration) for part in calibration[0]
        },
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
