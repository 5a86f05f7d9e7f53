"""How a verifier registers, follows the journal and comes to trust its memory (rules 1 to 5, 9)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.state import (
    OF_K,
    Beat,
    Node,
    Row,
    Server,
    State,
    row_of,
    valid,
    with_node,
    with_row,
)
from tests.model.world import NAMES, Model

ORDER = ("raise", "evict", "trust")


def steps(model: Model, state: State, index: int) -> Iterator[tuple[str, State]]:
    """Yield what a verifier may do about its row and its heartbeat."""
    node, who = state.nodes[index], NAMES[index]
    if node.joining:
        yield from _registered(model, state, index)
    elif not node.birth:
        if node.born >= model.world.births:
            return
        for what, after in _registering(model, state, index):
            if model.world.quick:
                yield from _registered(model, after, index)
            else:
                yield what, after
    elif node.beat is None:
        acks = len(node.seen)
        if model.keeps("8b") and node.ask is not None and node.ask.stage == "decided":
            acks = 0
        beat = Beat(model.lease(node), acks)
        if model.world.quick or index in model.world.silent:
            yield from _at_once(model, _beats(state, index, beat), index, beat)
            return
        yield f"{who} reads its clock (t0) for a heartbeat", _beats(state, index, beat)
    else:
        yield from _under_way(model, state, index, node.beat)


def _at_once(model: Model, state: State, index: int, beat: Beat) -> Iterator[tuple[str, State]]:
    """Have a whole heartbeat in one step, where a world isn't about what happens meanwhile."""
    if _behind(model, index):
        answers = [_relayed(model, state, index, beat)]
    else:
        answers = list(_committed(model, state, index, beat))
    for _, answered in answers:
        got = answered.nodes[index].beat
        assert got is not None
        for _, done in _acted(model, answered, index, got):
            gateway = done.gateway
            if gateway is not None and gateway.fresh and not index:
                done = done._replace(gateway=gateway._replace(renewed=True))  # noqa: PLW2901
            yield f"{NAMES[index]}'s heartbeat is committed, and acted on", done


def _beats(state: State, index: int, beat: Beat | None) -> State:
    return with_node(state, index, state.nodes[index]._replace(beat=beat))


def _registering(model: Model, state: State, index: int) -> Iterator[tuple[str, State]]:
    """Read head for P and F; the row is not committed yet."""
    node, server = state.nodes[index], state.primary
    read = server.journal if not _behind(model, index) else state.nodes[0].seen
    joins = node._replace(
        joining=1 if model.keeps("5a") else 1 + model.lease(node),
        seen=read,
        floor=len(read),
        timeline=server.timeline,
    )
    yield f"{NAMES[index]} reads head, to register", with_node(state, index, joins)


def _registered(model: Model, state: State, index: int) -> Iterator[tuple[str, State]]:
    """Commit the row; it trusts nothing before its first heartbeat."""
    node, server = state.nodes[index], state.primary
    if server.timeline != node.timeline or not server.journal.startswith(node.seen):
        lost = with_node(state, index, node._replace(joining=0))
        yield f"{NAMES[index]}'s registration fails with the old primary", lost
        return
    acked = 0 if model.keeps("8d") else len(node.seen)
    row = Row(index, node.born + 1, model.row_trust(index), acked, live=True)
    if not _behind(model, index) or model.keeps("9c"):
        server = server._replace(rows=tuple(sorted((*server.rows, row))))
    here = node._replace(
        name=index, birth=row.birth, born=row.birth, joining=0, trust=node.joining - 1
    )
    yield (
        f"{NAMES[index]}'s row is committed",
        with_node(state._replace(primary=server), index, here),
    )


def _behind(model: Model, index: int) -> bool:
    """Whether a verifier is an edge behind a relay."""
    return model.world.relay and index == 1


def _under_way(model: Model, state: State, index: int, beat: Beat) -> Iterator[tuple[str, State]]:
    """The heartbeat's transaction, its answer, or neither."""
    who, node = NAMES[index], state.nodes[index]
    if beat.got is not None:
        yield from _acted(model, state, index, beat)
        if beat.stage:
            return
        if _behind(model, index) and beat.live and not model.keeps("9b"):
            again = beat._replace(lease=model.lease(node))
            yield (
                f"{who} polls anew, and takes the late answer for the new one",
                _beats(state, index, again),
            )
    elif _behind(model, index):
        yield _relayed(model, state, index, beat)
    else:
        yield from _committed(model, state, index, beat)
        yield from _uncommitted(model, state, index, beat)
    if beat.got is not None:  # lost before, it might as well not have begun
        yield f"the answer to {who}'s heartbeat is lost", _beats(state, index, None)


def _committed(model: Model, state: State, index: int, beat: Beat) -> Iterator[tuple[str, State]]:
    """Write the own row and read epoch, head and rows past P, on the primary."""
    who, node, server = NAMES[index], state.nodes[index], state.primary
    row = row_of(server, node.name, node.birth)
    same = follows(model, node, server)
    live = same and ((row is not None and row.live) or not model.keeps("3d"))
    got = _answer(node, server)
    if row is not None and row.live and same:
        acks = beat.acks if model.keeps("8a") else len(got)
        if node.timeline == server.timeline or not model.keeps("15g"):
            server = with_row(server, row._replace(acked=max(row.acked, acks)))
    relay = model.world.relay and index == 0
    if relay:
        server, node = _for_edge(state.nodes, node, server)
    state = state._replace(primary=server)
    if server.told != server.timeline:
        state = noticed(model, state)
    gap = "g" in state.left and len(got) > len(node.seen)
    answered = beat._replace(got=got, since=len(node.seen), live=live, timeline=server.timeline)
    state = with_node(state, index, node._replace(beat=answered))
    yield f"{who}'s heartbeat is committed", state
    if gap:
        jumped = answered._replace(gap=True)
        after = with_node(state, index, node._replace(beat=jumped))
        yield (
            f"{who}'s heartbeat is committed; rows that it missed were pruned",
            after._replace(left=state.left.replace("g", "")),
        )
    if model.world.pages and live and len(got) > len(node.seen) + 1:
        page = answered._replace(
            got=got[: len(node.seen) + 1], lease=0 if model.keeps("3e") else beat.lease
        )
        after = with_node(state, index, node._replace(beat=page))
        yield f"{who}'s heartbeat is committed; its page ends before head", after


def _uncommitted(model: Model, state: State, index: int, beat: Beat) -> Iterator[tuple[str, State]]:
    """Where a heartbeat needs no commit: a replica, or a primary that was replaced."""
    node = state.nodes[index]
    servers: list[tuple[Server | None, str]] = []
    if not model.keeps("3b"):
        servers.append((state.old, "is answered by the old primary"))
    if not model.keeps("3c"):
        servers.append((state.old, "commits on the old primary, its wait cancelled"))
    for server, what in servers:
        if server is not None and follows(model, node, server):
            answered = beat._replace(
                got=_answer(node, server),
                since=len(node.seen),
                live=True,
                timeline=server.timeline,
            )
            yield f"{NAMES[index]}'s heartbeat {what}", _beats(state, index, answered)


def _answer(node: Node, server: Server) -> str:
    """Return what is followed after rows past P: the same journal where the hash at P is ours."""
    return node.seen + server.journal[len(node.seen) :]


def follows(model: Model, node: Node, server: Server) -> bool:
    """Whether the journal's hash at P is the verifier's own."""
    if not model.keeps("1a"):
        return True
    return not model.keeps("15a") or server.journal.startswith(node.seen)


def noticed(model: Model, state: State) -> State:
    """Write down that the timeline is another, not settled; forget acknowledgements; time it."""
    server = state.primary
    wait = model.wait(model.world.max_trust) if model.keeps("15c") else 0
    rows = server.rows
    if model.keeps("15g"):
        rows = tuple(row._replace(acked=0) for row in rows)
    if state.observer is not None and not model.keeps("15f"):
        wait = state.observer[1]
    told = server._replace(told=server.timeline, settled=False, rows=rows)
    return state._replace(primary=told, observer=(server.timeline, wait))


def _for_edge(nodes: tuple[Node, ...], relay: Node, server: Server) -> tuple[Server, Node]:
    """A relay's heartbeat carries its edge's acknowledgement, and sees whether its row lives."""
    row = row_of(server, 1, nodes[1].birth) if nodes[1].birth else None
    if row is not None and row.live:
        server = with_row(server, row._replace(acked=max(row.acked, relay.below)))
    return server, relay._replace(saw=row is not None and row.live)


def _relayed(model: Model, state: State, index: int, beat: Beat) -> tuple[str, State]:
    """A relay answers its edge from its own data, and tells their age."""
    relay, edge = state.nodes[0], state.nodes[index]
    age = model.lease(relay) - relay.trust
    live = relay.saw if model.keeps("9d") else bool(edge.birth)
    live = live or not model.keeps("9c")
    known = relay.seen.startswith(edge.seen)  # else it is behind its edge, or of another history
    answered = beat._replace(
        got=relay.seen if known else edge.seen,
        since=len(edge.seen),
        live=live and known and (relay.trust > 0 or not model.keeps("9a")),
        timeline=relay.timeline,
        age=age if model.keeps("9a") else 0,
    )
    state = _beats(state, index, answered)
    below = relay._replace(below=max(relay.below, beat.acks))
    return f"{NAMES[0]} answers {NAMES[index]}'s poll", with_node(state, 0, below)


def _acted(model: Model, state: State, index: int, beat: Beat) -> Iterator[tuple[str, State]]:
    """Act on a heartbeat's answer: all of it, or where a world is fine the next part of it."""
    node, who = state.nodes[index], NAMES[index]
    if not beat.live and not _behind(model, index):
        gone = node._replace(
            birth=0, trust=0, beat=None, held=None if model.keeps("10c") else node.held
        )
        yield f"{who} finds that its row is gone, and flushes", with_node(state, index, gone)
        return
    order = ORDER
    if not model.keeps("4a"):
        order = ("evict", "raise", "trust")
    if not model.keeps("4b"):
        order = ("trust", "raise", "evict")
    if not model.world.fine:
        for part in order:
            node = _part(model, node, beat, part)
        node = node._replace(beat=None)
        if model.world.refreshes and _changes(beat):
            yield from _refreshed(model, state, index, node)
            return
        what = f"{who} takes the answer: raises P, evicts, trusts"
        yield what, with_node(state, index, node)
        return
    part = order[beat.stage]
    node = _part(model, node, beat, part)
    after = beat._replace(stage=beat.stage + 1) if beat.stage < len(ORDER) - 1 else None
    words = {"raise": "raises P", "evict": "evicts", "trust": "trusts until t0 + M"}
    yield f"{who} {words[part]}", with_node(state, index, node._replace(beat=after))


def _changes(beat: Beat) -> bool:
    """Whether the rows that a heartbeat brought change K."""
    return beat.got is not None and not OF_K.isdisjoint(beat.got[beat.since :])


def _refreshed(model: Model, state: State, index: int, node: Node) -> Iterator[tuple[str, State]]:
    """Read anew what changed, before the answer counts, as a verifier does with the policy."""
    for server, where in ((state.primary, "the primary"), (state.old, "the old primary")):
        if server is None:
            continue
        if model.keeps("6f") and not server.journal.startswith(node.seen):
            before = with_node(state, index, state.nodes[index]._replace(beat=None))
            yield f"{NAMES[index]} reads K at {where}: older than its rows, no heartbeat", before
            continue
        held = server.journal if valid(server.journal) else None
        after = with_node(state, index, node._replace(held=held))
        yield f"{NAMES[index]} takes the answer, and K as it is at {where}", after


def _part(model: Model, node: Node, beat: Beat, part: str) -> Node:
    """Do one part of what a heartbeat's answer asks for."""
    assert beat.got is not None
    if part == "trust":
        lease = max(0, beat.lease - beat.age) if beat.live else 0
        if not model.keeps("3a"):
            lease = model.lease(node)
        if not model.keeps("2e"):
            lease += model.lease(node)
        return node._replace(trust=max(node.trust, lease))
    if part == "raise":
        if beat.timeline != node.timeline and model.keeps("15e"):
            ahead = node.held is not None and len(node.held) > len(node.seen)
            node = node._replace(held=None if ahead else node.held)
        floor = len(beat.got) if beat.gap else node.floor
        return node._replace(seen=beat.got, floor=floor, timeline=beat.timeline)
    if beat.gap:
        return node._replace(held=None if model.keeps("1d") else node.held)
    return node._replace(held=None if _changes(beat) else node.held)
