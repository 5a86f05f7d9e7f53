"""How a revoker waits for its receipt, and how rows are removed (rules 10 to 15)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.heartbeats import noticed
from tests.model.state import Revoker, Row, Server, State, row_of, stretched, valid
from tests.model.world import Model

DONE = Revoker("done")


def steps(model: Model, state: State) -> Iterator[tuple[str, State]]:
    """Yield what revokers may do."""
    if "r" in state.left:
        yield from _begins(model, state)
    for index, revoker in enumerate(state.revokers):
        if revoker.stage == "begun":
            yield _commits(model, state, index, revoker)
        elif revoker.stage == "returned":
            yield from _lists(model, state, index, revoker)
        elif revoker.stage == "listed":
            if all_done(model, state, revoker):
                yield _ends(model, state, index, revoker)
            if not model.keeps("11d"):
                yield from _relists(state, index, revoker)
        elif revoker.stage == "tail" and not revoker.tail:
            yield _receipt(state, index, revoker)


def _put(state: State, index: int, revoker: Revoker) -> State:
    revokers = state.revokers
    return state._replace(revokers=(*revokers[:index], revoker, *revokers[index + 1 :]))


def _begins(model: Model, state: State) -> Iterator[tuple[str, State]]:
    """A revocation is asked for: of what is valid, or once more of what is revoked."""
    server = state.primary
    index = len(state.revokers)
    left = state.left.replace("r", "", 1)
    new = Revoker("begun")
    asked = state._replace(left=left, revokers=(*state.revokers, new))
    if not valid(server.journal):
        again = Revoker("returned", len(server.journal))
        if model.keeps("14"):
            yield "revoke is asked for again: it waits from now", _put(asked, index, again)
        else:
            _, after = _receipt(asked, index, again)
            yield "revoke is asked for again, and answered at once: already revoked", after
    elif not model.world.begun:
        yield _commits(model, asked, index, new)
    else:
        if not model.keeps("1a"):
            taken = server._replace(journal=server.journal + "_")
            asked = asked._replace(primary=taken)
            new = new._replace(number=len(taken.journal))
        if not model.keeps("11b"):
            new = new._replace(listed=server.rows)
        yield "revoke begins", _put(asked, index, new)
    if state.old is not None and not model.keeps("11f") and valid(state.old.journal):
        old = state.old._replace(journal=state.old.journal + "r")
        told = Revoker("returned", len(old.journal))
        yield (
            "revoke's commit on the old primary is cancelled, and told as done",
            _put(asked._replace(old=old), index, told),
        )


def _commits(model: Model, state: State, index: int, revoker: Revoker) -> tuple[str, State]:
    """Commit, and have the commit return: sooner is the harder case."""
    server = state.primary
    if revoker.number:
        number = revoker.number
        journal = server.journal[: number - 1] + "r" + server.journal[number:]
    else:
        journal = server.journal + "r"
        number = len(journal)
    state = state._replace(primary=server._replace(journal=journal))
    returned = revoker._replace(stage="returned", number=number)
    if not model.keeps("11b"):
        returned = returned._replace(stage="listed")
    return "revoke's commit returns", _put(state, index, returned)


def _lists(model: Model, state: State, index: int, revoker: Revoker) -> Iterator[tuple[str, State]]:
    """List rows once, by a transaction that writes; compare the timeline in it."""
    servers: list[tuple[Server, str]] = [(state.primary, "the rows")]
    if state.old is not None and not model.keeps("11e"):
        servers.append((state.old, "the old primary's rows"))
    for server, what in servers:
        rows = tuple(row for row in server.rows if row.live or model.keeps("11c"))
        after = state
        full = not server.settled
        if server.told != server.timeline and model.keeps("15d"):
            full = True
            if server is state.primary:
                after = noticed(model, state)
        full = full and model.keeps("15b")
        gateway, edge = state.gateway, model.world.gateway
        told = gateway is None or edge is None or edge.fresh is None or gateway.told
        listed = revoker._replace(stage="listed", listed=rows, full=full, told=told)
        yield f"the revoker lists {what}", _put(after, index, listed)


def _relists(state: State, index: int, revoker: Revoker) -> Iterator[tuple[str, State]]:
    known = {row[:2] for row in revoker.listed}
    new = tuple(row for row in state.primary.rows if row[:2] not in known)
    if new:
        longer = revoker._replace(listed=(*revoker.listed, *new), timer=0)
        yield "the revoker lists the newcomers too", _put(state, index, longer)


def _acknowledged(model: Model, state: State, revoker: Revoker, row: Row) -> bool:
    now = row_of(state.primary, row.node, row.birth)
    if now is None:
        return not model.keeps("12d")
    number = revoker.number if model.keeps("12c") else revoker.number - 1
    return now.acked >= number


def all_done(model: Model, state: State, revoker: Revoker) -> bool:
    """Whether every listed row acknowledged, is gone, or had its time."""
    if revoker.full:
        return revoker.timer >= model.wait(model.world.max_trust)
    for row in revoker.listed:
        trust = row.trust
        if not model.keeps("12b"):
            trust = min(one.trust for one in revoker.listed)
        if revoker.timer >= model.wait(trust) or _acknowledged(model, state, revoker, row):
            continue
        if row_of(state.primary, row.node, row.birth) is not None:
            return False
    return True


def overdue(model: Model, state: State) -> bool:
    """Whether a receipt can't be given though 1.25 × the longest trust has passed."""
    return any(
        revoker.stage == "listed"
        and revoker.since >= stretched(model.world.max_trust)
        and not all_done(model, state, revoker)
        for revoker in state.revokers
    )


def _ends(model: Model, state: State, index: int, revoker: Revoker) -> tuple[str, State]:
    """All are done: wait the gateway tail, and give the receipt."""
    acked = tuple(row for row in revoker.listed if _acknowledged(model, state, revoker, row))
    has_tail = revoker.told and (bool(revoker.listed) or model.keeps("13a"))
    if not model.keeps("13b"):
        has_tail = has_tail and any(row.node == 0 for row in revoker.listed)
    waits = model.tail if has_tail else 0
    ended = revoker._replace(stage="tail", tail=waits, listed=acked)
    lapsed = len(acked) < len(revoker.listed)
    what = "by lapse" if lapsed else "by acknowledgement"
    if not revoker.listed:
        what = "with no row"
    if waits:
        return f"all are done {what}; the gateway tail begins", _put(state, index, ended)
    _, after = _receipt(state, index, ended)
    return f"revoke returns its receipt, {what}", after


def _receipt(state: State, index: int, revoker: Revoker) -> tuple[str, State]:
    """Revoke returns: from now on K is accepted nowhere."""
    acked = frozenset(row.node for row in revoker.listed)
    after = _put(state, index, DONE)._replace(closed=True, acked=state.acked | acked)
    return "revoke returns its receipt, after the gateway tail", after


def removal_steps(state: State) -> Iterator[tuple[str, State]]:
    """Delete the row that has waited long enough."""
    if state.removing == 0:
        rows = state.primary.rows[1:]
        after = state._replace(primary=state.primary._replace(rows=rows), removing=-1)
        yield "a's first row is deleted", after


def settling_steps(model: Model, state: State) -> Iterator[tuple[str, State]]:
    """Settle a timeline that was timed; time one that nobody times."""
    server = state.primary
    if server.told != server.timeline:
        yield "somebody sees that the timeline is new", noticed(model, state)
        return
    if server.settled:
        return
    if state.observer is None:
        yield "somebody times the new timeline", noticed(model, state)
    elif not state.observer[1]:
        after = state._replace(observer=None)
        if state.observer[0] == server.timeline:
            after = after._replace(primary=server._replace(settled=True))
        yield "the new timeline is settled", after
