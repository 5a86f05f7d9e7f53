"""Moving in: how many keys of another system `latchgate import` takes in a second, on SQLite.

    python benchmarks/imports.py [--keys 200000] [--write]

Makes a database in a temporary folder and a file of JSON lines, and imports it as the command does:
writing in durable transactions of 20,000, each key with its journal row, while another process
reads and judges; the CPU told is of the one that writes. The chain is checked afterwards by the
program's own auditor, and a second run of the same file is measured too. Prints what it measured
with machine, date and commit; `--write` adds it to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import secrets
import string
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks import results
from benchmarks.machine import facts

from latchgate.config import load
from latchgate.manage.chain import verify_database
from latchgate.manage.import_formats import jsonl
from latchgate.manage.import_lines import ImportLine
from latchgate.manage.imports import Defaults, Outcome
from latchgate.serve.importing import import_lines
from latchgate.serve.local import initialize

WANTED = 20_000
POLICY = """
provider = "acme"
title = "Acme"
dialect = "problem"

[kinds.imported_key]
pattern = "ak_live_[0-9A-Za-z]{40}"
hash = "sha256"

[services.acme]
title = "Acme"

[services.acme.scopes]
"acme:read" = "Read"

[[areas]]
path = "/acme"
service = "acme"
accepts = ["imported_key"]
rules = [{ methods = ["GET"], scope = "acme:read" }]
"""


def written(file: Path, count: int) -> None:
    """Write a file of keys as another system would export them: half raw, half as SHA-256."""
    letters = string.ascii_letters + string.digits
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            line: dict[str, object] = {
                "name": f"key {number}",
                "owner": "admin",
                "scopes": ["acme:read"],
                "external_id": f"customer-{number % 1000}",
                "metadata": {"plan": "pro"},
            }
            if number % 2:
                line["hash"] = secrets.token_hex(32)
            else:
                line["secret"] = "ak_live_" + "".join(secrets.choice(letters) for _ in range(40))
            out.write(json.dumps(line) + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        anywhere = "127.0.0.1:0"
        config = initialize(
            folder / "latchgate.toml",
            chosen=["wayscloud"],
            api=anywhere,
            console=anywhere,
            verify=anywhere,
        ).config
        assert isinstance(config.database, Path)
        _publish(config.database)
        file = folder / "keys.jsonl"
        written(file, told.keys)
        about = facts()
        lines = [
            f"## Imports, {about.pop('date')}",
            "",
            *(f"- {name}: {value}" for name, value in about.items()),
            "",
            f"    python benchmarks/imports.py --keys {told.keys}",
            "",
            f"{told.keys} keys, wanted {WANTED} a second:",
            "",
        ]
        for what in ("first run", "second run, everything there already"):
            begun, worked = time.perf_counter(), time.process_time()
            with file.open(encoding="utf-8") as source:
                done = import_lines(
                    load(folder / "latchgate.toml"),
                    jsonl(source, {}),
                    tenant=None,
                    who="benchmark",
                    defaults=Defaults(line=ImportLine(kind="acme.imported_key")),
                    dry_run=False,
                    on_batch=_nothing,
                )
            seconds = time.perf_counter() - begun
            busy = time.process_time() - worked
            assert not done.failed, done.failed[:3]
            assert done.imported + done.skipped == told.keys
            lines.append(
                f"- {what}: {told.keys / seconds:,.0f} keys/s in {seconds:.1f} s,"
                f" {told.keys / busy:,.0f} a second of the writer's CPU"
            )
        report = verify_database(config.database)
        assert report.sound, report.faults
        lines.append(f"- the chain of {report.rows} rows holds")
    text = "\n".join(lines)
    print(text)
    if told.write:
        results.write(text)


def _nothing(_count: int, _outcome: Outcome) -> None:
    pass


def _publish(database: Path) -> None:
    from latchgate.manage.policy import publish, published  # noqa: PLC0415 - of this step alone
    from latchgate.store.journal import Actor, Store  # noqa: PLC0415 - (same)

    store = Store(database, clock=time.time)
    _, _, files = published(store)
    with store.change(Actor(name="local:benchmark", tenant_id=None)) as change:
        publish(change, {**files, "acme.toml": POLICY})
    store.close()


if __name__ == "__main__":
    main()
