"""What goes wrong, and when: each scenario does something to a cluster that clients are using.

Rule of this file: a scenario breaks and mends; whether anything that must never be came of it is
found in the records, by `records.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from failover import newer
from failover.database import Member
from failover.rig import Load, Rig

BEFORE_SECONDS = 5.0  # until there are keys enough and every node knows them
HELD_SECONDS = 8.0  # of a fault: several leases and receipts, whoever lapses
AFTER_SECONDS = 3.0
_HOUR = 3_600.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault: its name, what happens in a sentence, and how; minutes it takes, about."""

    name: str
    what: str
    run: Callable[[Rig, Load], None]
    prepare: Callable[[Rig], None] = lambda _: None
    restore: Callable[[Rig], None] = lambda _: None


def _primary(rig: Rig) -> Member:
    found = rig.database.primary()
    if found is None:
        msg = "there is no primary"
        raise RuntimeError(msg)
    return found


def _replaced(rig: Rig, load: Load, old: Member) -> None:
    load.wait_for(lambda: rig.database.primary() not in {None, old}, "another primary")


def _primary_killed(rig: Rig, load: Load) -> None:
    old = _primary(rig)
    old.host.kill()
    load.note("primary killed")
    _replaced(rig, load, old)
    load.wait(HELD_SECONDS)
    old.start()
    load.note("old primary starts")


def _old_primary_cut_off(rig: Rig, load: Load) -> None:
    old, node, keeper = _primary(rig), rig.nodes[0], rig.keepers[0]
    alone = {old.host.name, node.host.name, keeper.name}
    old.abandon()  # or it would stop its server, which then could do no harm
    rig.network.cut(alone, set(rig.network.hosts) - alone - {rig.clients.name})
    load.note("primary and node1 cut off")
    _replaced(rig, load, old)
    load.wait(HELD_SECONDS)
    rig.network.heal()
    load.note("healed")
    load.wait(HELD_SECONDS / 2)  # with two primaries in reach of every node
    old.start()
    load.note("old primary is told")


def _node_killed(rig: Rig, load: Load) -> None:
    node = rig.nodes[0]
    node.host.kill()
    load.note("node1 killed")
    load.wait(HELD_SECONDS)
    node.start()
    load.note("node1 starts")


def _node_suspended(rig: Rig, load: Load) -> None:
    node = rig.nodes[0]
    node.host.suspend()
    load.note("node1 stopped")
    load.wait(HELD_SECONDS)
    node.host.resume()
    load.note("node1 goes on")
    load.wait(HELD_SECONDS / 2)
    node.host.suspend()
    load.note("stopped briefly")
    load.wait(1.0)  # less than its lease
    node.host.resume()
    load.note("goes on")


def _node_cut_off(rig: Rig, load: Load) -> None:
    rig.network.cut([rig.nodes[0].host.name], _members(rig))
    load.note("node1 cut off")
    load.wait(HELD_SECONDS)
    rig.network.heal()
    load.note("healed")


def _database_cut_off(rig: Rig, load: Load) -> None:
    rig.network.cut([node.host.name for node in rig.nodes], _members(rig))
    load.note("database cut off")
    load.wait(HELD_SECONDS)
    rig.network.heal()
    load.note("healed")


def _clock_stepped(rig: Rig, load: Load) -> None:
    for seconds, what in ((_HOUR, "an hour on"), (-_HOUR, "an hour back"), (0.0, "right again")):
        rig.step_clock(rig.nodes[0], seconds)
        load.note(f"node1's clock {what}")
        load.wait(HELD_SECONDS / 2)


def _disk_full(rig: Rig, load: Load) -> None:
    old = _primary(rig)
    ballast = rig.fill_disk(old)
    load.note("primary's disk full")
    load.wait(2 * HELD_SECONDS)
    ballast.unlink()
    load.note("room again")


def _pooler_restarted(rig: Rig, load: Load) -> None:
    for node, pooler in zip(rig.nodes, rig.poolers, strict=True):
        pooler.kill()
        load.note(f"{node.host.name}'s PgBouncer killed")
        load.wait(HELD_SECONDS / 2)
        pooler.start(_primary(rig))
        load.note("and back")
        load.wait(HELD_SECONDS / 2)


def _behind_poolers(rig: Rig) -> None:
    for node, pooler in zip(rig.nodes, rig.poolers, strict=True):
        node.stop()
        pooler.start(_primary(rig))
        node.use(pooler.uri, [rig.clients])
        node.start()


def _without_poolers(rig: Rig) -> None:
    for node, pooler in zip(rig.nodes, rig.poolers, strict=True):
        node.stop()
        pooler.kill()
        node.use(rig.uri, [rig.clients])
        node.start()


def _nodes_restarted(rig: Rig, load: Load) -> None:
    for node in rig.nodes:
        node.stop()
        load.note(f"{node.host.name} ended")
        node.start()
        load.wait_for(node.ready, f"{node.host.name} back")
        load.wait(HELD_SECONDS / 5)


def _rolling_upgrade(rig: Rig, load: Load) -> None:
    sources = newer.made(rig.folder)
    load.wait(HELD_SECONDS / 5)
    rig.nodes[0].migrate(sources)
    load.note("migrated")
    load.wait(HELD_SECONDS / 2)  # nodes of this version over the schema of the next
    for node in rig.nodes:
        node.stop()
        load.note(f"{node.host.name} ended")
        node.upgrade(sources)
        node.start()
        load.wait_for(node.ready, f"{node.host.name} back")
        load.wait(HELD_SECONDS / 5)


def _members(rig: Rig) -> list[str]:
    return [member.host.name for member in rig.database.members]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("primary-killed", "the primary's host loses power", _primary_killed),
        Scenario(
            "old-primary-cut-off",
            "the primary lives on, cut off with one node and without its Patroni, and is replaced;"
            " then all see both",
            _old_primary_cut_off,
        ),
        Scenario("node-killed", "one node's host loses power", _node_killed),
        Scenario("node-suspended", "one node is stopped, and goes on (SIGSTOP)", _node_suspended),
        Scenario("node-cut-off", "one node can't reach the database", _node_cut_off),
        Scenario("database-cut-off", "no node can reach the database", _database_cut_off),
        Scenario("clock-stepped", "one node's wall clock is wrong by an hour", _clock_stepped),
        Scenario("disk-full", "the primary's disk is full", _disk_full),
        Scenario(
            "pgbouncer-restarted",
            "nodes reach the database through PgBouncer, which is killed and started",
            _pooler_restarted,
            _behind_poolers,
            _without_poolers,
        ),
        Scenario("nodes-restarted", "nodes are ended and started in turn", _nodes_restarted),
        # The last: what would run after it were nodes of the next version.
        Scenario(
            "rolling-upgrade",
            "a migration while all nodes serve, then nodes of the next version in turn",
            _rolling_upgrade,
        ),
    )
}
