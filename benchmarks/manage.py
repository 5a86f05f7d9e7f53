"""The management plane: a late page of a long list, and durable writes a second.

    python benchmarks/manage.py [--keys 100000] [--writes 1000]

Works on a database of its own in a temporary folder, and prints what it measured with machine, date
and commit. Writes are whole management changes (record and journal row in one transaction,
`synchronous=FULL`), one caller after the other.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

import sqlalchemy as sa
from benchmarks.machine import facts

from latchgate import providers
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Credential, Grant, Noun, User
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.scope import ALL
from latchgate.manage import keys, setup, users
from latchgate.manage.actor import Caller
from latchgate.manage.keys import KeySpec
from latchgate.manage.listing import Query
from latchgate.store import schema
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate
from latchgate.store.reads import read_records
from latchgate.store.sqlite import connect

PAGE = 100
_BATCH = 5_000


def opened(folder: Path) -> tuple[Store, Policy, Caller]:
    """Make a database with its first records, and its administrator as the caller."""
    database = folder / "latchgate.db"
    migrate(database, "main")
    store = Store(database, clock=time.time)
    files = {f"{name}.toml": providers.text(f"{name}.toml") for name in providers.SHIPPED}
    policy = with_built_in(files, providers.text(providers.BUILT_IN), version=1)
    setup.initialize(
        store, policy, files, entropy=secrets.token_bytes, hash_password=lambda _: "none"
    )
    table = schema.credential
    with store.reading() as connection:
        row = connection.execute(
            sa.select(table.c.id, table.c.owner_id).where(table.c.kind == "latchgate.service_key")
        ).one()
    wanted = [(Noun.CREDENTIAL, row.id), (Noun.USER, row.owner_id)]
    reader = connect(database, durable=True, read_only=True)
    credential, owner = read_records(reader, wanted).records.values()
    reader.close()
    assert isinstance(credential, Credential)
    assert isinstance(owner, User)
    return store, policy, Caller(Grant(credential=credential, owner=owner, rights=ALL), None)


def fill(store: Store, policy: Policy, caller: Caller, count: int) -> None:
    """Make keys, many a transaction: only the list is measured."""
    kind = policy.issued("wayscloud.service_key")
    holder = caller.credential
    left = count
    while left > 0:
        with store.change(caller.actor) as change:
            for number in range(min(left, _BATCH)):
                issued = kind.issue(
                    Spec(service="storage"), secrets.token_bytes(kind.entropy_bytes)
                )
                keys.insert(
                    change,
                    kind=kind,
                    issued=issued,
                    spec=KeySpec(name=f"key {number}", services=["storage"]),
                    scopes=ALL,
                    networks=None,
                    expires_at=None,
                    owner=(holder.tenant_id, holder.project_id, caller.owner.id),
                )
        left -= _BATCH


def pages(store: Store, caller: Caller, last: int) -> tuple[list[float], list[float]]:
    """Page through and return the milliseconds of every page, and of the last one repeated."""
    each: list[float] = []
    after: str | None = None
    for _ in range(last - 1):
        begun = time.perf_counter()
        _, after = keys.listed(store, caller, Query(limit=PAGE, after=after), now=time.time())
        each.append((time.perf_counter() - begun) * 1000)
        if after is None:
            break
    repeated: list[float] = []
    for _ in range(50):
        begun = time.perf_counter()
        keys.listed(store, caller, Query(limit=PAGE, after=after), now=time.time())
        repeated.append((time.perf_counter() - begun) * 1000)
    return each, repeated


def writes(store: Store, policy: Policy, caller: Caller, count: int) -> dict[str, float]:
    """Return how many changes of each sort were done in a second."""
    spec = KeySpec(name="n", services=["storage"])
    rates: dict[str, float] = {}
    begun = time.perf_counter()
    made = [
        keys.issue(store, policy, caller, spec, now=time.time(), entropy=secrets.token_bytes)[0]
        for _ in range(count)
    ]
    rates["keys made"] = count / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for number, key in enumerate(made):
        keys.change_key(store, caller, key.id, keys.KeyPatch(name=f"n {number}"))
    rates["keys changed"] = count / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for key in made:
        keys.revoke(store, caller, key.id)
    rates["keys revoked"] = count / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for number in range(count):
        user = users.UserSpec(name=f"user {number}")
        users.create(store, caller, user, now=time.time(), entropy=secrets.token_bytes)
    rates["users made"] = count / (time.perf_counter() - begun)
    return rates


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--writes", type=int, default=1_000)
    parser.add_argument("--folder", type=Path, help="where the database goes: the disk measured")
    told = parser.parse_args()
    for name, value in facts().items():
        print(f"{name}: {value}")
    with tempfile.TemporaryDirectory(dir=told.folder) as folder:
        store, policy, caller = opened(Path(folder))
        try:
            for name, rate in writes(store, policy, caller, told.writes).items():
                print(f"{name:<14} {rate:8.0f} a second")
            fill(store, policy, caller, told.keys)
            each, repeated = pages(store, caller, told.keys // PAGE)
        finally:
            store.close()
    print(f"pages of {PAGE} of {told.keys} keys, milliseconds:")
    print(f"  all {len(each)}: median {statistics.median(each):.2f}, worst {max(each):.2f}")
    median = statistics.median(repeated)
    print(f"  page {told.keys // PAGE}: median {median:.2f}, worst {max(repeated):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
