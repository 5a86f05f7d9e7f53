"""How a verifier decides a request: from memory, or by reading (rules 6 to 8, 16, 17)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.state import (
    OF_K,
    Ask,
    Gateway,
    Node,
    Read,
    Server,
    State,
    row_of,
    valid,
    with_node,
)
from tests.model.world import NAMES, Model


def steps(model: Model, state: State, index: int) -> Iterator[tuple[str, State]]:
    """Yield what may happen to a verifier's requests and reads."""
    if index in model.world.silent:
        return
    node = state.nodes[index]
    ask, read = node.ask, node.read
    if read is not None and not model.world.slow:
        yield from _at_once(model, state, index, read)
        return
    if ask is None:
        if node.birth:
            yield from _arrives(model, state, index)
    elif ask.stage == "memory":
        yield _decides(model, state, index, ask)
    elif ask.stage == "waits":
        yield f"{NAMES[index]}'s client gives up", _put(state, index, node._replace(ask=None))
    else:
        yield _sends(model, state, index, ask)
    if read is not None:
        yield from _reads(model, state, index, read)


def _put(state: State, index: int, node: Node) -> State:
    return with_node(state, index, node)


def _arrives(model: Model, state: State, index: int) -> Iterator[tuple[str, State]]:
    """A request starts; the verifier reads its clock after that."""
    node, who = state.nodes[index], NAMES[index]
    if not model.keeps("7a") and not node.sample and node.trust:
        yield f"{who} reads its clock", _put(state, index, node._replace(sample=True))
    gateway = model.world.gateway
    limit, through = -1, ""
    if gateway is not None and state.gateway is not None:
        if state.gateway.stored:
            return
        if state.gateway.reply >= 0:
            return
        limit, through = gateway.limit + 1, "through the gateway, "
    late = "a request that starts after the receipt" if state.closed else "a request"
    what = f"{through}{who} gets {late}"
    if node.trust or node.sample:
        ask = Ask(state.closed, "memory", limit, 0)
        after = _put(state, index, node._replace(ask=ask, sample=False))
        yield f"{what}; its trust is good", after
    elif not model.keeps("7d"):
        ask = Ask(state.closed, "memory", limit, 0)
        after = _put(state, index, node._replace(ask=ask))
        yield f"{what}; the primary can't be reached, so it asks its memory", after
    else:
        joins = node.read is not None and not model.keeps("7b")
        read = node.read if joins else Read(through=True)
        ask = Ask(state.closed, "waits", limit, 0)
        yield (
            f"{what}; past its trust it {'joins a read under way' if joins else 'reads'}",
            _put(state, index, node._replace(ask=ask, read=read)),
        )


def _decides(model: Model, state: State, index: int, ask: Ask) -> tuple[str, State]:
    """Look into memory: accept, or read."""
    node, who = state.nodes[index], NAMES[index]
    if node.held is not None:
        return f"{who} accepts from memory", accepted(model, state, index, node, through=False)
    if not node.birth:
        return f"{who} refuses: it has no row", _put(state, index, node._replace(ask=None))
    read = node.read or Read(through=False)
    after = node._replace(ask=ask._replace(stage="waits"), read=read)
    return f"{who} doesn't remember K, and reads", _put(state, index, after)


def accepted(model: Model, state: State, index: int, node: Node, *, through: bool) -> State:
    """Decide to accept; what is sent is another step."""
    ask = node.ask
    assert ask is not None
    keep = 0
    if model.world.gateway is not None:
        keep = model.world.gateway.keep
        if model.keeps("17"):
            keep = 0 if through else min(keep, node.trust)
        if not _may_remember(model, state):
            keep = 0
        if keep and model.world.gateway.absolute:
            keep += 1  # a gateway's clock may be slow
    decided = ask._replace(stage="decided", keep=keep)
    broken = _wrong(state, index, ask, "decided")
    return _put(state, index, node._replace(ask=decided))._replace(broken=broken)


def _may_remember(model: Model, state: State) -> bool:
    """Whether the tail was declared, not too long ago, and memory was renewed since (rule 13)."""
    edge, gateway = model.world.gateway, state.gateway
    if edge is None or gateway is None or edge.fresh is None or not model.keeps("13c"):
        return True
    return bool(gateway.fresh) and (gateway.renewed or not model.keeps("13d"))


def _declared(model: Model, gateway: Gateway, fresh: int) -> Gateway:
    """Write the tail down; what nobody goes by any more, and nobody remembers, is withdrawn."""
    quiet = fresh + (model.tail if model.keeps("13f") else 0)
    new = not gateway.told or not gateway.fresh
    return gateway._replace(
        told=True, fresh=fresh, quiet=quiet, renewed=gateway.renewed and not new
    )


def _wrong(state: State, index: int, ask: Ask, what: str) -> str:
    if ask.late:
        return f"{NAMES[index]} accepted a request that started after the receipt"
    if state.closed and index in state.acked:
        return f"{NAMES[index]}, which the receipt calls acknowledged, {what} an accept after it"
    return ""


def _sends(model: Model, state: State, index: int, ask: Ask) -> tuple[str, State]:
    node = state.nodes[index]
    broken = _wrong(state, index, ask, "sent")
    after = _put(state, index, node._replace(ask=None))._replace(broken=broken)
    if ask.limit > 0 and ask.keep > 0:
        told = state.gateway or Gateway(0, -1, 0)
        on_its_way = told._replace(stored=0, reply=ask.keep, limit=ask.limit)
        after = after._replace(gateway=on_its_way)
    return f"{NAMES[index]} sends: accepted", after


def gateway_steps(model: Model, state: State) -> Iterator[tuple[str, State]]:
    """An answer reaches the gateway in time, is remembered, and given again."""
    gateway, edge = state.gateway, model.world.gateway
    if gateway is not None and edge is not None and edge.fresh is not None:
        if gateway.quiet < _declared(model, gateway, edge.fresh).quiet:
            yield (
                "a declares the gateway tail",
                state._replace(gateway=_declared(model, gateway, edge.fresh)),
            )
        if gateway.told and not gateway.quiet:
            gone = gateway._replace(told=False, renewed=False)
            yield "the gateway tail is withdrawn", state._replace(gateway=gone)
    if gateway is not None and gateway.stored:
        broken = "a request that started after the receipt was accepted by a gateway"
        hit = state._replace(broken=broken if state.closed else "")
        yield "the gateway answers a request from its own memory: accepted", hit
    if gateway is not None and gateway.reply > 0:
        # One more: a slow clock, and whole seconds. An absolute end has it since the decision.
        more = 0 if model.world.gateway is None or model.world.gateway.absolute else 1
        kept = gateway._replace(stored=gateway.reply + more, reply=-1, limit=0)
        yield "the gateway gets the answer, and remembers it", state._replace(gateway=kept)


def _reads(model: Model, state: State, index: int, read: Read) -> Iterator[tuple[str, State]]:
    """The database answers a read, or its answer reaches the verifier."""
    node = state.nodes[index]
    if read.at is not None and read.value is not None:
        yield from _answered(model, state, index, read)
        return
    for server, where, replica in _servers(model, state, node, read):
        yield from _read_at(model, state, index, server, where, replica=replica)


def _at_once(model: Model, state: State, index: int, read: Read) -> Iterator[tuple[str, State]]:
    """Read and decide in one step, where a world isn't about what happens meanwhile."""
    for server, where, replica in _servers(model, state, state.nodes[index], read):
        for what, after in _read_at(model, state, index, server, where, replica=replica):
            got = after.nodes[index].read
            if got is None:
                yield what, after
                continue
            for then, decided in _answered(model, after, index, got):
                yield f"{then} (read at {where})", decided
    gone = state.nodes[index]._replace(ask=None, read=None)
    yield f"{NAMES[index]} can't read, and answers 503", _put(state, index, gone)


def _servers(
    model: Model, state: State, node: Node, read: Read
) -> Iterator[tuple[Server, str, bool]]:
    """Which databases may serve a read; one that was begun goes on where it began."""
    row = row_of(state.primary, node.name, node.birth)
    live = row is not None and row.live
    if not read.through or live or not model.keeps("7c"):
        yield state.primary, "the primary", False
    if state.old is not None:
        row = row_of(state.old, node.name, node.birth)
        untouched = row is None or not row.live
        free = not read.through or not model.keeps("7c")
        if free or (untouched and not model.keeps("7g")):
            yield state.old, "the old primary", False
    within = not read.through or not model.keeps("7e")
    if model.world.replica and state.standby is not None and within:
        yield state.standby, "the replica", True


def _read_at(
    model: Model, state: State, index: int, server: Server, where: str, *, replica: bool
) -> Iterator[tuple[str, State]]:
    """Read S and the record at once; in two statements where the rules on that are left out."""
    node, who = state.nodes[index], NAMES[index]
    read = node.read
    assert read is not None
    journal = server.journal
    begun = read.at is not None or read.value is not None
    if begun and read.timeline != server.timeline:
        return
    tagged = read._replace(timeline=server.timeline, replica=replica)
    if not begun and not model.keeps("6a"):
        first = tagged._replace(value=journal)
        yield f"{who} reads the record at {where}", _reading(state, index, first)
    elif not begun and not model.keeps("6d"):
        yield f"{who} reads S at {where}", _reading(state, index, tagged._replace(at=journal))
    whole = tagged._replace(
        at=read.at if read.at is not None else journal,
        value=read.value if read.value is not None else journal,
    )
    assert whole.value is not None
    if valid(whole.value):
        yield f"{who}'s read is done at {where}: K is valid", _reading(state, index, whole)
    elif node.ask is not None and node.ask.stage == "waits":
        refused = node._replace(ask=None, read=None)
        yield f"{who} reads at {where}: K is revoked; refused", _put(state, index, refused)
    else:
        yield f"{who} reads at {where}: K is revoked", _reading(state, index, None)


def _reading(state: State, index: int, read: Read | None) -> State:
    return _put(state, index, state.nodes[index]._replace(read=read))


def _answered(model: Model, state: State, index: int, read: Read) -> Iterator[tuple[str, State]]:
    """A record that was valid when read: remember it, decide by it, or repeat the read."""
    node, who = state.nodes[index], NAMES[index]
    assert read.at is not None
    if not node.birth:
        return
    waits = node.ask is not None and node.ask.stage == "waits"
    done = node._replace(read=None)
    if read.replica and not _replica_serves(model, node, read.at):
        if waits:
            done = done._replace(read=Read(not node.trust))
        yield f"{who} gets K from the replica, which may not serve", _put(state, index, done)
        return
    if _loses(model, node, read):
        repeats = model.keeps("8e" if read.through and not node.trust else "8c")
        if not waits:
            yield f"{who} gets K, too old to remember", _put(state, index, done)
        elif repeats:
            again = Read(read.through)
            yield (
                f"{who} gets K, too old, and reads again",
                _put(state, index, done._replace(read=again)),
            )
        else:
            after = accepted(model, state, index, done, through=read.through)
            yield f"{who} gets K, too old to remember, and accepts", after
        return
    trust = node.trust if model.keeps("5b") or not read.through else model.lease(node)
    done = done._replace(held=read.at, trust=trust)
    if not waits:
        yield f"{who} gets K, and remembers it", _put(state, index, done)
        return
    after = accepted(model, state, index, done, through=read.through)
    yield f"{who} gets K, remembers it, and accepts", after


def _replica_serves(model: Model, node: Node, at: str) -> bool:
    if not node.trust and model.keeps("7e"):
        return False
    return len(at) >= len(node.seen) or not model.keeps("7f")


def _loses(model: Model, node: Node, read: Read) -> bool:
    """Rule 6: below the floor, past a known change, or of another timeline."""
    assert read.at is not None
    number = len(read.at)
    if model.keeps("6e") and read.timeline != node.timeline:
        return True
    if model.keeps("6b") and number < node.floor:
        return True
    known = node.seen[max(number, node.floor) :]
    return model.keeps("6c") and not OF_K.isdisjoint(known)
