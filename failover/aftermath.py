"""What the whole cluster says of every key in the end, asked by a client.

    python -m failover.aftermath SPEC RECORDS

Reads the records of a run and adds to them: what the management API shows of each key, and what
each node answers about it. A node that does not answer rightly is asked again for a while.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
from failover.asking import Answer, once, spelled
from failover.load import KEYS, Node, Spec
from failover.records import Change, Record, Shown, read

_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
_AT_ONCE = 8


async def look(spec: Spec, keys: Iterable[str]) -> list[Record]:
    """Return what the cluster shows of keys; one of which nothing was told is left out."""
    waiting = asyncio.Semaphore(_AT_ONCE)
    nodes = spec.nodes

    async def one(number: int, key: str) -> Record | None:
        async with waiting:
            return await _shown(nodes[number % len(nodes)], spec.token, key)

    found = await asyncio.gather(*(one(number, key) for number, key in enumerate(keys)))
    return [record for record in found if record is not None]


async def _shown(node: Node, token: str, key: str) -> Record | None:
    begun = time.monotonic()
    while True:
        answer: Answer = await once(node.api, spelled("GET", f"{KEYS}/{key}", token), _SECONDS)
        if answer.status == 404:
            return Shown(key, "")
        if answer.status == 200:
            told = answer.json
            return Shown(key, told["state"], told["superseded_by"] or "")
        if time.monotonic() - begun > _PATIENCE_SECONDS:
            return None
        await asyncio.sleep(0.2)


def main() -> None:
    """Read what is told, ask, and add to the records."""
    told, file = (Path(name) for name in sys.argv[1:3])
    spec = msgspec.json.decode(told.read_bytes(), type=Spec)
    changes = [one for one in read(file) if isinstance(one, Change)]
    keys = sorted({name for one in changes for name in (one.key, one.made) if name})
    found = asyncio.run(look(spec, keys))
    with file.open("ab") as lines:
        lines.writelines(msgspec.json.encode(record) + b"\n" for record in found)


if __name__ == "__main__":
    main()
