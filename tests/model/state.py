"""What the model remembers at one moment: databases, verifiers, a revocation, a gateway.

Rule of this file: values only. Time is in whole ticks of the revoker's clock, and every clock
that runs is kept as what is left of it, so that states which differ only in the date are one.

One credential is enough: K. The journal is a text, one letter a change, its position its number:
`r` K revoked, `e` K made valid again, `o` a change of something else, `_` a number that was taken
but whose change is not committed. A text stands for its hash chain: equal up to a number is equal
there. K's state follows from the journal, so a record read at number S is the journal up to S.
"""

from __future__ import annotations

from typing import NamedTuple

OF_K = frozenset("re")


def valid(journal: str) -> bool:
    """Whether K may be used by this history."""
    return journal.rfind("r") <= journal.rfind("e")


def stretched(trust: int) -> int:
    """Return the revoker's ticks in which the slowest allowed clock counts `trust` ticks.

    Whole ticks: below 4 both are the same, and worlds that need no unequal clocks are smaller.
    """
    return trust * 5 // 4


class Row(NamedTuple):
    """A verifier's row: `node` and `birth` name its incarnation."""

    node: int
    birth: int
    trust: int
    acked: int
    live: bool


class Server(NamedTuple):
    """One PostgreSQL: its journal, its timeline (an epoch counts as one), rows, the promise row."""

    journal: str
    timeline: int
    rows: tuple[Row, ...]
    told: int
    settled: bool


class Beat(NamedTuple):
    """A heartbeat on its way: `lease` is what is left of t0 + M, `got` the journal that it read.

    `since` is P when that was read, `gap` says that rows in between were pruned, `age` is that of a
    relay's data; `stage` counts the parts of the answer that were acted on.
    """

    lease: int
    acks: int
    got: str | None = None
    since: int = 0
    live: bool = False
    timeline: int = 0
    age: int = 0
    gap: bool = False
    stage: int = 0


class Read(NamedTuple):
    """A record being read: `at` is its S (None: not read yet), `value` where that was read alone.

    `through` is a read that commits a write on the verifier's own row.
    """

    through: bool
    at: str | None = None
    value: str | None = None
    timeline: int = 0
    replica: bool = False


class Ask(NamedTuple):
    """A request: whether it started after a receipt, and where its decision stands.

    `stage`: "memory" (trust was good after it arrived), "waits" (for a read), "decided" (accepted,
    not sent). Behind a gateway `limit` is what is left of the sub-request's time, else -1; `keep`
    how long the gateway may remember the answer.
    """

    late: bool
    stage: str
    limit: int
    keep: int


class Node(NamedTuple):
    """One cache: its incarnation, its position (the journal followed so far), what it trusts.

    Its row goes by the node `name` and `birth` (0: it has none). `joining`: 1 while its
    registration is not committed (and what a lease would be, where a registration gives one).
    `floor` is F; `held` the S at which K was read, if K is remembered as valid. `sample`: a clock
    was read before any request came, and trust was good. `below` is what an edge acknowledged to
    this relay, `saw` whether its data saw the edge's row live.
    """

    name: int
    birth: int
    born: int
    trusts: int
    seen: str
    floor: int
    timeline: int
    trust: int
    held: str | None
    beat: Beat | None
    read: Read | None
    ask: Ask | None
    joining: int
    sample: bool
    below: int
    saw: bool


class Revoker(NamedTuple):
    """A revocation: `stage` is "begun", "returned" (its commit has), "listed", "tail" or "done".

    `timer` counts from the commit's return, `since` likewise but is never put back; `full`:
    acknowledgements don't shorten the wait. `told`: a gateway tail was read with the rows.
    """

    stage: str
    number: int = 0
    timer: int = 0
    since: int = 0
    listed: tuple[Row, ...] = ()
    full: bool = False
    tail: int = 0
    told: bool = True


class Gateway(NamedTuple):
    """A gateway's memory of one accept: how long it lasts, and an answer on its way to it.

    Where its tail has to be declared: `told`: the database says it; `fresh` for how long the
    verifier may go by that, `renewed` whether a heartbeat has come since; `quiet` what is left
    until it is withdrawn, if it is not declared again.
    """

    stored: int
    reply: int
    limit: int
    told: bool = False
    fresh: int = 0
    renewed: bool = False
    quiet: int = 0


class State(NamedTuple):
    """Everything at one moment. `left` are faults that may still happen, a letter each.

    `closed`: a revoke of K returned, and nobody made K valid again since; `acked` the verifiers
    that its receipt calls acknowledged. `observer`: the timeline that somebody saw first, and
    what is left until it counts as settled. `removing`: a row on its way out.
    """

    primary: Server
    old: Server | None
    standby: Server | None
    nodes: tuple[Node, ...]
    revokers: tuple[Revoker, ...]
    gateway: Gateway | None
    observer: tuple[int, int] | None
    removing: int
    left: str
    closed: bool
    acked: frozenset[int]
    broken: str


def row_of(server: Server, index: int, birth: int) -> Row | None:
    """Find an incarnation's row."""
    for row in server.rows:
        if row.node == index and row.birth == birth:
            return row
    return None


def with_row(server: Server, row: Row) -> Server:
    """Write a row that is there."""
    rows = tuple(row if one[:2] == row[:2] else one for one in server.rows)
    return server._replace(rows=rows)


def with_node(state: State, index: int, node: Node) -> State:
    """Put a verifier back."""
    nodes = state.nodes
    return state._replace(nodes=(*nodes[:index], node, *nodes[index + 1 :]))
