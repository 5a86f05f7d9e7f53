"""The console's list of keys with 100,000 keys in one tenant: what its pages take on the server.

    python benchmarks/console.py [--keys 100000] [--rounds 15]

Starts the real server on a database of its own in a temporary folder, signs somebody in and opens
pages in turn; prints the medians and their ratio to the first page, with machine, date and commit.
Times are of whole requests over HTTP/1.1, one after the other, on a connection of its own each.
"""

from __future__ import annotations

import argparse
import re
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks.machine import facts
from tests import people
from tests.doors.console.visitor import Visitor
from tests.people import Person
from tests.world import FILES, Server, World, compiled

from latchgate.core.kinds.spec import Spec
from latchgate.core.scope import Scopes
from latchgate.manage import keys
from latchgate.manage.keys import KeySpec
from latchgate.manage.listing import _cursor

WANTED_MS = 150.0  # of the first page
WANTED_BYTES = 100_000
_BATCH = 5_000
_SERVICES = ("storage", "llm", "database", "dns", "gpu")
_DAY = 86_400.0


def fill(world: World, owner: Person, count: int) -> None:
    """Make keys of every service and state that time brings, many a transaction."""
    policy = compiled(FILES, 1)
    kind = policy.issued("wayscloud.service_key")
    now, left = time.time(), count
    while left > 0:
        with world.changing() as change:
            for number in range(left, max(left - _BATCH, 0), -1):
                service = _SERVICES[number % len(_SERVICES)]
                issued = kind.issue(Spec(service=service), secrets.token_bytes(kind.entropy_bytes))
                keys.insert(
                    change,
                    kind=kind,
                    issued=issued,
                    spec=KeySpec(
                        name=f"{secrets.token_hex(2)} key {number}",
                        services=[service],
                        description="Runs each night and writes to the bucket." * (number % 2),
                        environment="production" if number % 3 else "dev",
                    ),
                    scopes=Scopes.of(sorted(policy.scopes_of(service))),
                    networks=None,
                    expires_at=now + (number % 900 - 30) * _DAY if number % 4 else None,
                    owner=(owner.tenant_id, owner.project_id, owner.id),
                )
        left -= _BATCH


def pages(visitor: Visitor, count: int) -> dict[str, str]:
    """Return the addresses that are measured, by what they are."""
    after = "/keys"
    for _ in range(10):
        visitor.see(after)
        after = _following(visitor.page)
    middle = "/keys?sort=name&after=" + quote(_middle("name", "8000"))
    one = re.search(r'href="(/keys/[a-z0-9]{12})"', visitor.page)
    return {
        "first": "/keys",
        "by name": "/keys?sort=name",
        "by end": "/keys?sort=expires_at",
        "filtered by state": "/keys?state=active",
        "filtered by service": "/keys?service=dns",
        "filtered, nothing found": "/keys?external_id=nobody",
        "searched": f"/keys?q=key+{count // 2}",
        "searched, nothing found": "/keys?q=nowhere+at+all",
        "11th": after,
        "middle, by age": "/keys?sort=created_at&after="
        + quote(_middle("created_at", time.time() - 60)),
        "middle, by name": middle,
        "one key": one[1] if one else "/keys",
    }


def _middle(sort: str, value: str | float) -> str:
    """Return the mark of a place in a list; what anybody may make."""
    return _cursor(sort, [value], "")


def _following(page: str) -> str:
    found = re.search(r'href="(/keys\?[^"]*after=[^"]+)"[^>]*rel="next"', page)
    if found is None:
        raise SystemExit("there is no next page")
    return found[1]


def measured(visitor: Visitor, paths: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each page, round by round, in turn."""
    found: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            begun = time.perf_counter()
            answer = visitor.ask("GET", path)
            found[name].append((time.perf_counter() - begun) * 1000)
            if answer.status != 200:
                raise SystemExit(f"{path} was answered with {answer.status}")
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    told = parser.parse_args()
    for name, value in facts().items():
        print(f"{name}: {value}")
    with tempfile.TemporaryDirectory() as folder:
        server = Server.started(Path(folder) / "lg")
        world = World.beside(server)
        try:
            owner = people.owner(world)
            fill(world, owner, told.keys)
            other = people.colleague(world, owner, "own:keys.read")
            fill(world, other, 3)
            visitor, few = Visitor(server), Visitor(server, address="192.0.2.2")
            visitor.sign_in(owner)
            few.sign_in(other)
            paths = pages(visitor, told.keys)
            size = len(visitor.ask("GET", "/keys").body)
            found = measured(visitor, paths, told.rounds)
            found |= measured(few, {"of somebody with 3 of them": "/keys"}, told.rounds)
        finally:
            world.close()
            server.kill()
    first = statistics.median(found["first"])
    print(f"{told.keys} keys in a tenant; milliseconds of {told.rounds} requests each:")
    for name, times in found.items():
        median = statistics.median(times)
        ratio = f"{median / first:6.2f} × the first"
        print(f"  {name:<26} median {median:8.1f}  worst {max(times):8.1f}  {ratio}")
    reached = first <= WANTED_MS and size <= WANTED_BYTES
    print(f"the first page: {first:.1f} ms (wanted: {WANTED_MS:.0f}), {size} bytes")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
