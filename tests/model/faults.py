"""What may happen to anybody: time, other changes, crashes, failovers, restores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.state import Node, State, row_of, stretched, valid, with_node, with_row
from tests.model.world import Model

Happening = Callable[[Model, State], tuple[str, State] | None]


def tick(model: Model, state: State) -> tuple[str, State]:
    """Let one tick of the revoker's clock pass for everybody."""
    absolute = model.world.gateway is not None and model.world.gateway.absolute
    longest = stretched(model.world.max_trust)
    revokers = tuple(
        one
        if one.stage == "done" or (one.stage == "begun" and model.keeps("11a"))
        else one._replace(
            timer=min(one.timer + 1, longest),
            since=min(one.since + 1, longest) if one.stage != "begun" else 0,
            tail=max(one.tail - 1, 0),
        )
        for one in state.revokers
    )
    gateway = state.gateway
    if gateway is not None and (gateway.stored or gateway.reply >= 0):
        limit = max(gateway.limit - 1, 0)
        reply = gateway.reply
        if reply > 0 and absolute:
            reply -= 1
        gateway = gateway._replace(
            stored=max(gateway.stored - 1, 0), limit=limit, reply=reply if limit and reply else -1
        )
    if gateway is not None and (gateway.fresh or gateway.quiet):
        fresh = max(gateway.fresh - 1, 0) if model.keeps("13e") else gateway.fresh
        gateway = gateway._replace(fresh=fresh, quiet=max(gateway.quiet - 1, 0))
    observer = state.observer
    if observer is not None and observer[1]:
        observer = (observer[0], observer[1] - 1)
    return "a tick passes", state._replace(
        nodes=tuple(_older(node, absolute=absolute) for node in state.nodes),
        revokers=revokers,
        gateway=gateway,
        observer=observer,
        removing=state.removing - 1 if state.removing > 0 else state.removing,
    )


def _older(node: Node, *, absolute: bool) -> Node:
    beat, ask = node.beat, node.ask
    if beat is not None and beat.lease:
        beat = beat._replace(lease=beat.lease - 1)
    if ask is not None and ask.limit > 0:
        keep = max(ask.keep - 1, 0) if absolute else ask.keep
        ask = ask._replace(limit=ask.limit - 1, keep=keep)
    return node._replace(
        trust=max(node.trust - 1, 0),
        beat=beat,
        ask=ask,
        joining=max(node.joining - 1, 1) if node.joining else 0,
    )


def steps(model: Model, state: State) -> Iterator[tuple[str, State]]:
    """Yield the faults that are left."""
    yield tick(model, state)
    for letter in dict.fromkeys(state.left):
        happening = EVENTS.get(letter)
        if happening is None:
            continue
        done = happening(model, state._replace(left=state.left.replace(letter, "", 1)))
        if done is not None:
            yield done
    if not model.keeps("1b"):
        yield from _head_moves(state)


def _head_moves(state: State) -> Iterator[tuple[str, State]]:
    node = state.nodes[0]
    if node.birth and node.beat is None and node.seen != state.primary.journal:
        moved = node._replace(seen=state.primary.journal)
        yield "a reads another record, and takes its head for P", with_node(state, 0, moved)


def _other(model: Model, state: State) -> tuple[str, State] | None:
    server = state.primary
    changed = state._replace(primary=server._replace(journal=server.journal + "o"))
    node = state.nodes[0]
    if not model.keeps("1c") and node.birth and node.beat is None:
        changed = with_node(changed, 0, node._replace(seen=changed.primary.journal))
        return "a changes something else, and moves P to its number", changed
    return "something else is changed", changed


def _opened(state: State) -> State:
    """K may be valid again: what was promised of it is over."""
    nodes = tuple(
        node._replace(ask=node.ask._replace(late=False)) if node.ask else node
        for node in state.nodes
    )
    return state._replace(nodes=nodes, closed=False, acked=frozenset())


def _waiting(state: State) -> bool:
    return any(one.stage != "done" for one in state.revokers)


def _enabled(model: Model, state: State) -> tuple[str, State] | None:
    server = state.primary
    if valid(server.journal) or _waiting(state):
        return None
    changed = state._replace(primary=server._replace(journal=server.journal + "e"))
    return "K is made valid again", _opened(changed)


def _cancelled(model: Model, state: State) -> tuple[str, State] | None:
    server = state.old
    if server is None or valid(server.journal) or _waiting(state):
        return None
    changed = state._replace(old=server._replace(journal=server.journal + "e"))
    return "K is made valid on the old primary; the wait is cancelled, nobody knows", _opened(
        changed
    )


def _diverged(model: Model, state: State) -> tuple[str, State] | None:
    server = state.old
    if server is None:
        return None
    changed = state._replace(old=server._replace(journal=server.journal + "o"))
    return "something else is changed on the old primary; the wait is cancelled", changed


def _promoted(model: Model, state: State) -> tuple[str, State] | None:
    server = state.primary
    if any(one.stage == "begun" for one in state.revokers):
        return None
    new = server._replace(timeline=server.timeline + 1)
    return (
        "the standby is promoted; the old primary is cut off, and answers reads",
        state._replace(primary=new, old=server),
    )


def _killed(model: Model, state: State) -> tuple[str, State] | None:
    promoted = _promoted(model, state)
    if promoted is None:
        return None
    return "the primary dies, and the standby is promoted", promoted[1]._replace(old=None)


def _lossily(model: Model, state: State) -> tuple[str, State] | None:
    """Promote a standby that lacks changes; a revocation that returned is assumed to be there."""
    server, standby = state.primary, state.standby
    if standby is None or any(one.stage == "begun" for one in state.revokers):
        return None
    if "r" in server.journal[len(standby.journal) :] and state.revokers:
        return None
    new = standby._replace(timeline=server.timeline + 1)
    return (
        "a standby that lacks the last changes is promoted; the old primary answers reads",
        state._replace(primary=new, old=server, standby=None),
    )


def _shipped(model: Model, state: State) -> tuple[str, State] | None:
    return "the standby catches up", state._replace(standby=state.primary)


def _rewritten(model: Model, state: State) -> tuple[str, State] | None:
    """Restore an older copy as it was, and tell nobody; reads end with the server."""
    standby = state.standby
    if (
        state.nodes[0].read is not None
        or standby is None
        or state.revokers
        or standby.journal == state.primary.journal
    ):
        return None
    return "an older copy of the database is put back", state._replace(primary=standby)


def _crashed(model: Model, state: State) -> tuple[str, State] | None:
    node = state.nodes[0]
    fresh = node._replace(
        birth=0, trust=0, held=None, beat=None, read=None, ask=None, joining=0, seen="", floor=0
    )
    if not model.keeps("5c"):
        fresh = fresh._replace(held=node.held)
    if not model.keeps("5d"):
        fresh = node._replace(trust=model.lease(node), beat=None, read=None, ask=None)
    return "a is killed, and started again", with_node(state, 0, fresh)


def _forked(model: Model, state: State) -> tuple[str, State] | None:
    parent, child = state.nodes
    if child.born or parent.ask or parent.beat or not parent.birth:
        return None
    copy = parent._replace(read=None)
    if model.keeps("2a"):
        copy = child
    return "a forks b", with_node(state, 1, copy)


def _removed(model: Model, state: State) -> tuple[str, State] | None:
    row = row_of(state.primary, 0, 1)
    if row is None or not row.live:
        return None
    if not model.keeps("10a"):
        gone = state.primary._replace(rows=state.primary.rows[1:])
        return "a's row is deleted at once", state._replace(primary=gone)
    marked = with_row(state.primary, row._replace(live=False))
    if not model.keeps("10b"):
        marked = state.primary
    return "a's row is to be removed", state._replace(primary=marked, removing=stretched(row.trust))


def _drained(model: Model, state: State) -> tuple[str, State] | None:
    node = state.nodes[0]
    if node.ask or node.beat or not node.birth:
        return None
    rows = tuple(row for row in state.primary.rows if row.node or row.birth != node.birth)
    state = state._replace(primary=state.primary._replace(rows=rows))
    if not model.keeps("10d"):
        return "a deletes its own row, and goes on", state
    stopped = node._replace(birth=0, trust=0, held=None, read=None, born=9)
    return "a stops, drains, and deletes its own row", with_node(state, 0, stopped)


def _trimmed(model: Model, state: State) -> tuple[str, State] | None:
    node = state.nodes[0]
    if node.floor >= len(node.seen) or not node.birth:
        return None
    trimmed = node._replace(floor=len(node.seen))
    return "a forgets which changes it saw, and raises F", with_node(state, 0, trimmed)


def _longer(model: Model, state: State) -> tuple[str, State] | None:
    if model.keeps("2b"):
        return None
    node = state.nodes[0]
    return "a's M is doubled", with_node(state, 0, node._replace(trusts=node.trusts * 2))


def _unchecked(model: Model, state: State) -> tuple[str, State] | None:
    if model.keeps("2c"):
        return None
    node = state.nodes[0]
    more = node._replace(trusts=node.trusts + 2, trust=stretched(node.trusts + 2))
    return "a trusts longer than M_max", with_node(state, 0, more)


EVENTS: dict[str, Happening] = {
    "o": _other,
    "e": _enabled,
    "c": _cancelled,
    "q": _diverged,
    "p": _promoted,
    "P": _killed,
    "l": _lossily,
    "s": _shipped,
    "w": _rewritten,
    "x": _crashed,
    "f": _forked,
    "m": _removed,
    "d": _drained,
    "t": _trimmed,
    "M": _longer,
    "X": _unchecked,
}
