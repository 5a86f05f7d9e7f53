"""ATTACKS D7.62, D5.68: what nobody needs a key for costs little, however it is spelled."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.stack import Latchgate
from tests.e2e.wire import Wire, written

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

MB = 1 << 20


class Alone:
    """A Latchgate of one process, and what that process has used so far."""

    def __init__(self, server: Latchgate) -> None:
        self.server = server

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.server.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    @property
    def seconds(self) -> float:
        """Seconds of CPU, on all threads."""
        stat = Path(f"/proc/{self.server.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def flood(self, number: int, headers: Callable[[int], list[tuple[str, str]]]) -> None:
        """Ask as nginx does, `number` times; nothing of it may be allowed."""
        with Wire(self.server.verify, timeout=60) as wire:
            for first in range(0, number, 20):
                several = range(first, min(first + 20, number))
                wire.send(b"".join(written("GET", "/nginx", headers(at)) for at in several))
                assert {wire.answer().status for _ in several} <= {401, 403}
        time.sleep(0.5)  # the last batch of refusals


def told(**change: str) -> list[tuple[str, str]]:
    pairs = {
        "X-Original-Method": "GET",
        "X-Original-URI": "/v1/storage/b",
        "X-Original-Host": "localhost",
        "X-Original-Scheme": "https",
        "X-Real-IP": "192.0.2.1",
    }
    return list((pairs | change).items())


# Each tells a thing that has not been seen before, as long as it may be.
FLOODS: dict[str, Callable[[int], list[tuple[str, str]]]] = {
    "keys": lambda at: [*told(), ("Authorization", f"Bearer wayscloud_storage_{at:x}_nobody")],
    "long keys": lambda at: [
        *told(),
        ("Authorization", f"Bearer wayscloud_storage_{at:x}_{'a' * 450}"),
    ],
    "keys that are far too long": lambda at: [
        *told(),
        ("Authorization", f"Bearer wayscloud_storage_{at:x}_{'a' * 7_000}"),
    ],
    "ports": lambda at: told(**{"X-Original-Host": f"localhost:{at:07000}"}),
    "hosts": lambda at: told(**{"X-Original-Host": f"{at:x}.{'a' * 7_000}"}),
    "names of hosts": lambda at: told(**{"X-Original-Host": f"{at:x}.{'a' * 200}"}),
    "paths": lambda at: told(**{"X-Original-URI": f"/v1/storage/{at:x}/{'a' * 7_000}"}),
    "short paths": lambda at: told(**{"X-Original-URI": f"/v1/storage/{at:x}/{'a' * 450}"}),
    "paths of no area": lambda at: told(**{"X-Original-URI": f"/{at:x}/{'a' * 7_000}"}),
    "deep paths": lambda at: told(**{"X-Original-URI": f"/v1/storage/{at:x}{'/a' * 3_500}"}),
    "ambiguous paths": lambda at: told(**{"X-Original-URI": f"/v1/{at:x}/{'/a' * 3_500}"}),
    "encoded paths": lambda at: told(**{"X-Original-URI": f"/v1/storage/{at:x}/{'%41' * 2_300}"}),
    "paths that look like keys": lambda at: told(
        **{"X-Original-URI": f"/{at:x}/{'wayscloud_' * 700}"}
    ),
    "queries": lambda at: told(**{"X-Original-URI": f"/v1/storage/b?{at:x}{'a' * 7_000}"}),
    "methods": lambda at: told(**{"X-Original-Method": f"{'A' * (1 + at % 31)}"}),
    "addresses": lambda at: told(**{"X-Real-IP": f"2001:db8::{at:x}"}),
    "addresses that are none": lambda at: told(**{"X-Real-IP": f"{at:x}{'a' * 7_000}"}),
    "names of headers": lambda at: [*told(), (f"X-{at:x}-{'a' * 7_000}", "x")],
    "values of headers": lambda at: [*told(), ("User-Agent", f"{at:x}{'a' * 7_000}")],
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    with Latchgate(tmp_path_factory.mktemp("alone")) as server:
        server.serve(workers=1)
        found = Alone(server)
        found.flood(500, FLOODS["keys"])  # what a first request brings with it
        yield found


@pytest.mark.parametrize("what", FLOODS)
def test_d7_62_a_flood_of_refused_requests_costs_little(alone, what):
    number = 3_000
    memory, seconds = alone.memory, alone.seconds
    alone.flood(number, FLOODS[what])
    assert alone.memory - memory < 16 * MB
    # 0.1 ms is usual, its trace included; the longest there can be must stay in proportion.
    assert (alone.seconds - seconds) / number < 0.005
    assert alone.server.stderr == ""


def test_d7_62_it_ends_at_once_after_all_of_that(alone):
    begun = time.monotonic()
    alone.flood(1_000, FLOODS["paths"])
    alone.server.stop()
    assert time.monotonic() - begun < 10
