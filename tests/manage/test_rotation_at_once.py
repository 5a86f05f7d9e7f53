"""Rotations against each other, revocations and uses, from processes that share one database."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from tests.world import FILES, World, asking, chain_faults, compiled

from latchgate.core.reason import Reason
from latchgate.manage import keys
from latchgate.manage.graces import retire
from latchgate.manage.rotation import Asked, rotate
from latchgate.manage.rotation_terms import RotationSpec
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor

POLICY = compiled(FILES, 1)
ROUNDS = 5
LIMIT = 30.0
# One more process over the same files: does what it is told to each key that it reads the id of.
PROCESS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from tests.manage.test_rotation_at_once import acted
from tests.world import World

world = World.beside(SimpleNamespace(folder=Path(sys.argv[1]), token=""))
print("ready", flush=True)
for line in sys.stdin:
    print(acted(world, sys.argv[2], line.strip()), flush=True)
world.close()
"""


def acted(world, act, record) -> str:
    """Rotate or revoke a key; returns what came of it as JSON."""
    admin = world.acting(world.admin)
    if act == "revoke":
        keys.revoke(world.store, admin, record)
        return json.dumps({"revoked": record})
    asked = Asked(record, RotationSpec(grace=act), world.clock())
    try:
        made, issued, _ = rotate(
            world.store, POLICY, admin, asked, rows=keys.rows(admin), entropy=secrets.token_bytes
        )
    except ConflictError as error:
        return json.dumps({"conflict": error.detail})
    assert issued is not None
    return json.dumps({"successor": made.successor.id, "secret": issued.secret.reveal()})


class Another:
    """A process that rotates or revokes, over the database of a world."""

    def __init__(self, world: World, act: str) -> None:
        assert isinstance(world.database, Path)
        command = [sys.executable, "-c", PROCESS, str(world.database.parent), act]
        root, pipe = Path(__file__).parents[2], subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root, text=True)

    def tell(self, record: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{record}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate(timeout=LIMIT)


@pytest.fixture
def at_once(world):
    """Start processes; what is returned has all act on one key and returns what came of it."""
    started: list[Another] = []

    def start(*acts):
        started.extend(Another(world, act) for act in acts)
        assert {one.hear() for one in started} == {"ready"}

        def together(record):
            for one in started:
                one.tell(record)
            return [json.loads(one.hear()) for one in started]

        return together

    yield start
    for one in started:
        one.end()


def row_of(world, record):
    return world.one(sa.select(schema.credential).where(schema.credential.c.id == record))


def decide(engine, text):
    return engine.decide(asking(headers={"authorization": f"Bearer {text}"}))


def test_of_two_rotations_at_once_one_wins_and_the_other_is_told_the_successor(world, at_once):
    act, engine = at_once("7d", "7d"), world.engine()
    for _ in range(ROUNDS):
        key = world.key()
        told = act(key.id)
        (won,) = [one for one in told if "successor" in one]
        (lost,) = [one for one in told if "conflict" in one]
        assert won["successor"] in lost["conflict"]
        successors = sa.select(schema.credential.c.id)
        found = world.all(successors.where(schema.credential.c.predecessor_id == key.id))
        assert [row.id for row in found] == [won["successor"]]
        assert decide(engine, key.text).allowed
        assert decide(engine, won["secret"]).allowed
    assert chain_faults(world.database) == []


def test_after_a_rotation_and_a_revocation_at_once_the_old_one_is_dead(world, at_once):
    act, engine = at_once("7d", "revoke"), world.engine()
    for _ in range(ROUNDS):
        key = world.key()
        assert decide(engine, key.text).allowed
        turned, _ = act(key.id)
        old = row_of(world, key.id)
        assert old.revoked_at is not None
        reason = decide(engine, key.text).reason
        if "conflict" in turned:  # the revocation came first, and there is no successor
            assert "is revoked" in turned["conflict"]
            assert (old.superseded_by, reason) == (None, Reason.CREDENTIAL_REVOKED)
        else:  # both happened, and the successor stays
            assert (old.superseded_by, reason) == (
                turned["successor"],
                Reason.CREDENTIAL_SUPERSEDED,
            )
            assert decide(engine, turned["secret"]).allowed


def test_after_a_rotation_without_a_grace_returned_no_use_is_let_in(world, at_once):
    act, key = at_once("0"), world.key()
    done, wrong, used = threading.Event(), [], threading.Semaphore(0)
    engines = [world.engine() for _ in range(3)]

    def use(engine):
        for after in iter(done.is_set, None):
            allowed = decide(engine, key.text).allowed
            if after and allowed:
                wrong.append(engine)
            used.release()
            if after:
                return

    threads = [threading.Thread(target=use, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    assert used.acquire(timeout=LIMIT)
    (told,) = act(key.id)
    done.set()
    for thread in threads:
        thread.join(LIMIT)
    assert wrong == []
    assert all(decide(engine, told["secret"]).allowed for engine in engines)


def test_each_use_at_the_edge_of_the_grace_is_judged_by_its_own_time(tmp_path):
    """Whatever runs beside it: the job that would end the grace early comes too late."""
    clock = SimpleNamespace(now=time.time())
    world = World(tmp_path, clock=lambda: clock.now)
    try:
        key = world.key()
        told = json.loads(acted(world, "2h", key.id))
        ends_at = row_of(world, key.id).expires_at
        seen: list[tuple[float, Reason]] = []
        start = threading.Barrier(5)

        def use(offset):
            # Each with a clock of its own, as each verifier has.
            engine = world.engine(clock=lambda: ends_at + offset)
            start.wait(LIMIT)
            seen.extend((offset, decide(engine, key.text).reason) for _ in range(50))

        def end():
            start.wait(LIMIT)
            clock.now = ends_at
            with world.store.change(Actor("latchgate", None)) as change:
                retire(change, key.id, entropy=secrets.token_bytes)

        offsets = (-1.0, -0.001, 0.0, 1.0)
        threads = [threading.Thread(target=use, args=(offset,)) for offset in offsets]
        threads.append(threading.Thread(target=end))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert set(seen) == {
            (-1.0, Reason.ALLOWED),
            (-0.001, Reason.ALLOWED),
            (0.0, Reason.CREDENTIAL_SUPERSEDED),
            (1.0, Reason.CREDENTIAL_SUPERSEDED),
        }
        assert row_of(world, key.id).revoked_at is None
        assert decide(world.engine(), told["secret"]).allowed
    finally:
        world.close()


def test_what_came_to_its_own_end_is_not_rotated_at_that_instant(tmp_path):
    clock = SimpleNamespace(now=time.time())
    world = World(tmp_path, clock=lambda: clock.now)
    try:
        key = world.key(expires_at=clock.now + 3_600)
        clock.now += 3_600
        assert "has expired" in json.loads(acted(world, "7d", key.id))["conflict"]
    finally:
        world.close()
