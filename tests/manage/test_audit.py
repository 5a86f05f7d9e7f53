"""The audit trail: who sees which rows, what is signed, and exports of any length."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from contextlib import closing

import msgspec
import pytest
from tests.manage.journals import Journal
from tests.world import World

from latchgate.core.model import Noun
from latchgate.core.scope import Scopes
from latchgate.keyring.errors import KeyringError
from latchgate.keyring.signing import read, signed
from latchgate.manage import audit, chain, keys
from latchgate.manage.audit import Filter
from latchgate.manage.errors import ForbiddenError, NotFoundError
from latchgate.store.evidence import COLUMNS
from latchgate.store.journal import Actor
from latchgate.store.journal import chain as chained
from latchgate.store.sqlite import connect

TENANT_ADMIN = Scopes.of(["manage:audit.read"])


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    yield made
    made.close()


def numbers(rows):
    return [row.n for row in rows]


def everything(world, caller, **wanted):
    rows, following = audit.listed(world.store, caller, Filter(**wanted), limit=1000, after=0)
    assert following is None
    return rows


# --- lists


def test_a_row_tells_who_what_from_where_with_what_before_and_after(world):
    caller = world.acting(world.admin)
    caller = type(caller)(caller.grant, "192.0.2.7")
    key = world.key()
    keys.revoke(world.store, caller, key.id)
    row = everything(world, caller, record=key.id)[-1]
    assert (row.actor, row.action, row.noun, row.record) == (
        f"user:{world.owner.user_id} key:{world.admin.id}",
        "key.revoke",
        "credential",
        key.id,
    )
    assert (row.credential_id, row.address) == (world.admin.id, "192.0.2.7")
    assert row.tenant_id == world.owner.tenant_id
    assert row.detail == {"before": {"revoked_at": None}, "after": {"revoked_at": row.at}}
    assert row.hash == world.journal()[-1].hash.hex()


def test_the_operator_sees_every_row_and_a_tenants_administrator_their_own(world):
    other = world.somebody()
    theirs = world.key(owner=other)
    operator = world.acting(world.admin)
    assert numbers(everything(world, operator)) == [row.n for row in world.journal()]
    administrator = world.acting(theirs, TENANT_ADMIN)
    rows = everything(world, administrator)
    assert theirs.id in {row.record for row in rows}
    assert {row.tenant_id for row in rows} == {other.tenant_id}
    assert everything(world, administrator, tenant=other.tenant_id) == rows
    assert everything(world, operator, tenant=other.tenant_id) == rows


def test_no_filter_leads_to_another_tenants_rows(world):
    administrator = world.acting(world.key(owner=world.somebody()), TENANT_ADMIN)
    with pytest.raises(ForbiddenError, match=r"operator:audit\.read"):
        everything(world, administrator, tenant=world.owner.tenant_id)
    for wanted in (
        {"record": world.admin.id},
        {"credential": world.admin.id},
        {"actor": "local:init"},
        {"action": "policy.apply"},
        {"noun": "policy"},
    ):
        assert everything(world, administrator, **wanted) == []


def test_filters_narrow_and_combine(tmp_path):
    ticks = itertools.count(1000)
    world = World(tmp_path, clock=lambda: float(next(ticks)))
    begun = world.head()
    for name, action, record in [
        ("user:u-1 key:k-1", "key.create", "a"),
        ("user:u-1 key:k-2", "key.revoke", "a"),
        ("user:u-10 key:k-3", "key.create", "b"),
        ("user:u-%", "key.create", "b"),
    ]:
        origin = name.partition("key:")[2] or None
        with world.store.change(Actor(name, None, credential_id=origin)) as change:
            change.note(action, Noun.CREDENTIAL, record, tenant_id=None, detail={})
    caller = world.acting(world.admin)

    def found(**wanted):
        return [row.n - begun for row in everything(world, caller, **wanted) if row.n > begun]

    assert found() == [1, 2, 3, 4]
    assert found(actor="user:u-1") == [1, 2]
    assert found(actor="user:u-1 key:k-2") == [2]
    assert found(actor="user:u-%") == [4]
    assert found(actor="USER:u-1") == []
    assert found(action="key.create", record="b") == [3, 4]
    assert found(credential="k-3") == [3]
    assert found(noun="tenant") == []
    (second,) = everything(world, caller, actor="user:u-1 key:k-2")
    assert found(since=second.at) == [2, 3, 4]
    assert 2 not in found(until=second.at)
    world.close()


def test_pages_follow_each_other_while_rows_are_added(world):
    caller = world.acting(world.admin)
    seen, after = [], 0
    while True:
        rows, following = audit.listed(world.store, caller, Filter(), limit=3, after=after)
        seen += numbers(rows)
        if len(seen) < 10:
            world.key()
        if following is None:
            break
        after = following
    assert seen == [row.n for row in world.journal()]


def test_the_newest_rows_come_first_where_that_is_asked(world):
    other = world.somebody()
    theirs = world.key(owner=other)
    for caller in (world.acting(world.admin), world.acting(theirs, TENANT_ADMIN)):
        expected = numbers(everything(world, caller))[::-1]
        seen, following = [], 0
        while True:
            rows, after = audit.listed(
                world.store, caller, Filter(), limit=2, after=following, newest_first=True
            )
            seen += numbers(rows)
            if after is None:
                break
            following = after
        assert seen == expected


def test_one_row_is_shown_to_whoever_may_list_it(world):
    theirs = world.key(owner=world.somebody())
    operator, administrator = world.acting(world.admin), world.acting(theirs, TENANT_ADMIN)
    (row,) = everything(world, administrator, record=theirs.id)
    assert audit.shown(world.store, administrator, row.n) == row
    assert audit.shown(world.store, operator, row.n) == row
    assert audit.shown(world.store, operator, 1).n == 1
    for n in (1, world.head() + 1):
        with pytest.raises(NotFoundError, match=f"no row {n} "):
            audit.shown(world.store, administrator, n)


def test_a_row_whose_detail_was_altered_is_listed_all_the_same(world):
    with closing(connect(world.database, durable=True)) as connection:
        connection.execute("UPDATE journal SET detail = 'no JSON' WHERE n = 2")
        connection.execute("UPDATE journal SET detail = '[1]' WHERE n = 3")
    rows = everything(world, world.acting(world.admin))
    assert rows[1].detail == {"unreadable": "no JSON"}
    assert rows[2].detail == {"unreadable": "[1]"}


# --- the head


def test_a_head_is_signed_over_what_it_says_and_over_nothing_else(journal):
    journal.note(3)
    head = journal.head()
    assert head.n == journal.n
    told = {name: getattr(head, name) for name in ("at", "epoch", "format", "hash", "key_id", "n")}
    message = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    assert head.message() == b"latchgate:audit-head:1\0" + message
    assert signed(read(head.public_key, 32), head.message(), read(head.signature, 64))


def test_without_its_master_key_or_signing_key_nothing_is_signed_and_all_else_works(journal):
    journal.master_file.rename(journal.master_file.with_name("elsewhere"))
    with pytest.raises(KeyringError, match="decided as before"):
        journal.head()
    journal.note(1)
    assert chain.verify_database(journal.database).sound
    journal.master_file.with_name("elsewhere").rename(journal.master_file)
    with closing(connect(journal.database, durable=True)) as connection:
        connection.execute("UPDATE signing_key SET retired_at = 1.0")
    with pytest.raises(KeyringError, match="signing-key replace makes one"):
        journal.head()


# --- exports


def test_an_export_holds_every_row_as_it_is_hashed_and_ends_in_the_head(journal):
    journal.note(3)
    *lines, last = [json.loads(line) for line in journal.export().splitlines()]
    assert [one["n"] for one in lines] == list(range(1, journal.n + 1))
    assert set(lines[0]) == set(COLUMNS)
    assert last["head"]["n"] == journal.n
    assert last["head"]["hash"] == lines[-1]["hash"]


def test_an_export_ends_where_its_head_was_signed_whatever_is_added_meanwhile(journal):
    journal.note(3)
    head = journal.head()
    lines = audit.exported(journal.store, head)
    journal.note(2)
    *rows, _last = b"".join(lines).splitlines()
    assert len(rows) == head.n


PASS = r"""
import json, re, sys, time
from pathlib import Path
from latchgate.manage import audit, chain
from latchgate.store.journal import Store
folder = Path(sys.argv[1])
store = Store(folder / "latchgate.db", clock=time.time)
head = audit.head(store, folder / "master.key", now=time.time())
with (folder / "export.jsonl").open("wb") as out:
    for chunk in audit.exported(store, head):
        out.write(chunk)
store.close()
exported = chain.verify_export(folder / "export.jsonl", against=head)
stored = chain.verify_database(folder / "latchgate.db", against=head)
# Not ru_maxrss, which counts the parent that was forked.
peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps([exported.sound, exported.rows, stored.sound, stored.rows, peak]))
"""


def test_100_000_rows_are_exported_and_checked_in_a_few_megabytes(tmp_path):
    peaks, sizes = [], []
    for count in (1_000, 100_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        journal = Journal(folder)
        rows = _fill(journal, count) + count
        journal.close()
        done = subprocess.run(
            [sys.executable, "-c", PASS, str(folder)], capture_output=True, text=True, check=True
        )
        *told, peak = json.loads(done.stdout)
        assert told == [True, rows, True, rows]
        peaks.append(peak)
        sizes.append((folder / "export.jsonl").stat().st_size)
    # The export alone is some 40 MB.
    assert peaks[1] - peaks[0] < 12_000_000 < sizes[1]


def _fill(journal, count):
    """Add many rows at once; returns how many there were."""
    with closing(connect(journal.database, durable=False)) as connection:
        n, digest = connection.execute("SELECT n, hash FROM journal_head").fetchone()
        rows = []
        for at in range(n + 1, n + 1 + count):
            row = dict.fromkeys(COLUMNS) | {"n": at, "at": time.time(), "actor": "local:test"}
            row |= {"action": "test.change", "noun": "user", "record": f"u-{at}"}
            row |= {"detail": msgspec.json.encode({"after": {"name": "x" * 50}}).decode()}
            previous, digest = digest, chained(digest, row)
            rows.append((*(row[name] for name in COLUMNS[:-2]), previous, digest))
        connection.execute("BEGIN")
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(
            f"INSERT INTO journal ({', '.join(COLUMNS)}) VALUES ({marks})",  # noqa: S608
            rows,
        )
        connection.execute("UPDATE journal_head SET n = ?, hash = ?", (n + count, digest))
        connection.execute("COMMIT")
    return n
