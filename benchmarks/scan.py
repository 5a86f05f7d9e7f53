"""How fast leaked keys are found: `python benchmarks/scan.py [--write]`, in about a minute.

One process, one core, CPU time as the kernel counts it; windows, line numbers and decoding
included, reading from memory. Each corpus is made here, with a key in it that must be found.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks import results
from benchmarks.machine import ROOT, calibrate, facts

from latchgate import providers
from latchgate.cli.sources import Source, hits
from latchgate.core.kinds.spec import Spec
from latchgate.core.leaks import Finder, shapes
from latchgate.core.policy_file import with_built_in

MEGABYTES = 32
ROUNDS = 5
WANTED = 50.0  # MB/s over the mixed corpus
_SEED = 20_261_122


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/scan.py", description=__doc__)
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    parser.add_argument("--megabytes", type=int, default=MEGABYTES, help="of each corpus")
    told = parser.parse_args()
    text = _measured(told.megabytes * 1_000_000)
    print(text)
    if told.write:
        results.write(text)


def _measured(size: int) -> str:
    files = {f"{name}.toml": providers.text(f"{name}.toml") for name in providers.SHIPPED}
    policy = with_built_in(files, providers.text(providers.BUILT_IN), version=1)
    kind = policy.issued("wayscloud.service_key")
    key = kind.issue(Spec("storage"), os.urandom(kind.entropy_bytes)).secret.reveal().encode()
    finder = Finder(shapes(policy.kinds))
    corpora = _corpora(size)
    rows: list[str] = []
    for name, data in corpora.items():
        held = data[: size // 2] + b"\n" + key + b"\n" + data[size // 2 :]
        rates = [_rate(finder, held) for _ in range(ROUNDS)]
        wanted = f"≥ {WANTED:.0f}" if name == "mixed" else ""
        low, high = min(rates), max(rates)
        rows.append(
            f"| {name} | {statistics.median(rates):.0f} ({low:.0f} to {high:.0f}) | {wanted} |"
        )
    about = facts()
    return "\n".join(
        [
            f"## Finding leaked keys, {about['date']}",
            "",
            f"`python benchmarks/scan.py` at {about['commit']}; {about['machine']};",
            f"{about['kernel']}; Python {about['Python']};",
            f"SHA-256 of 64 bytes {calibrate()['sha256_us']:.2f} µs.",
            f"{size // 1_000_000} MB of each, one core; median, lowest, highest of {ROUNDS}.",
            "",
            "| what is scanned | MB/s of CPU time | wanted |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _rate(finder: Finder, data: bytes) -> float:
    begun = time.process_time()
    found = list(hits(finder, Source("x", io.BytesIO(data))))
    took = time.process_time() - begun
    assert len([one for one in found if one.finding.grade == "certain"]) == 1
    return len(data) / took / 1e6


def _corpora(size: int) -> dict[str, bytes]:
    """Make what people keep; `mixed` holds as much of each, in pieces of a quarter of a MB."""
    seeded = random.Random(_SEED)
    makers: dict[str, Callable[[int], bytes]] = {
        "source code": _source_code,
        "access log": lambda wanted: _lines(wanted, lambda number: _log_line(number, seeded)),
        "JSON with digests": lambda wanted: _lines(wanted, lambda number: _json(number, seeded)),
        "minified JavaScript": lambda wanted: _minified(wanted, seeded),
        "base64, folded": lambda wanted: base64.encodebytes(seeded.randbytes(wanted * 3 // 4)),
        "base64, one line": lambda wanted: base64.b64encode(seeded.randbytes(wanted * 3 // 4)),
        "random bytes": seeded.randbytes,
    }
    corpora = {name: make(size)[:size] for name, make in makers.items()}
    piece = 250_000
    mixed = bytearray()
    for at in range(0, size // len(corpora), piece):
        for data in corpora.values():
            mixed += data[at : at + piece] + b"\n"
    return {**corpora, "mixed": bytes(mixed)}


def _source_code(size: int) -> bytes:
    texts = [file.read_bytes() for file in sorted((ROOT / "src").rglob("*.py"))]
    whole = b"".join(texts)
    return whole * (size // len(whole) + 1)


def _lines(size: int, line: Callable[[int], str]) -> bytes:
    some = "".join(line(number) for number in range(2_000)).encode()
    return some * (size // len(some) + 1)


def _log_line(number: int, seeded: random.Random) -> str:
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    path = f"/v1/storage/photos/{number}/cat%20{seeded.randrange(99)}.jpg?size=full&page=2"
    return (
        f"10.0.{number % 256}.7 - - [22/Nov/2026:05:{number % 60:02}:11 +0000]"
        f' "GET {path} HTTP/1.1" 200 {seeded.randrange(99_999)} "-" "{agent}"\n'
    )


def _json(number: int, seeded: random.Random) -> str:
    return (
        json.dumps(
            {
                "id": number,
                "sha256": seeded.randbytes(32).hex(),
                "etag": seeded.randbytes(16).hex(),
                "name": f"object-{number}",
                "tags": ["a", "b"],
            }
        )
        + "\n"
    )


def _minified(size: int, seeded: random.Random) -> bytes:
    names = ["e", "t", "n", "r", "this.props", "Object.assign", "i.default", "window", "null"]
    parts: list[str] = []
    length = 0
    while length < min(size, 500_000):
        one, other = seeded.choice(names), seeded.choice(names)
        part = f"function({one[0]}){{return {one}&&{other}.call({one},{seeded.randrange(99)})}},"
        parts.append(part)
        length += len(part)
    some = "".join(parts).encode()
    return some * (size // len(some) + 1)


if __name__ == "__main__":
    main()
