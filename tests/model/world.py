"""A world: a small configuration of verifiers and faults, and the rules that are kept in it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.state import Gateway, Node, Row, Server, State, stretched


@dataclass(frozen=True, slots=True)
class Edge:
    """How a gateway remembers accepts: `keep` is max-age, `limit` the sub-request's whole time.

    `absolute`: the answer names the moment at which it ends, as nginx is told, rather than an age.
    `fresh`: for how long one declaration of the tail counts; None where all know it from the start.
    """

    keep: int
    limit: int
    absolute: bool = False
    fresh: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What there is, and what may happen.

    `trusts`: M of each verifier, in ticks of its own clock. `faults`: letters of `faults.EVENTS`,
    each once. `late`: verifiers that join later. `relay`: verifier 1 is an edge behind verifier 0.
    `fine`: a heartbeat's answer is acted on in parts between which anything may happen. `begun`: so
    is a revocation. `held`: every verifier starts with K in memory, trust and a full lease.
    `births`: incarnations that each may have. `refreshes`: what a heartbeat
    says has changed is read anew with it, as the policy is. `slow`: reads take time, so that
    anything may happen before their answers come; `quick`: heartbeats take none, nor do those of
    who is `silent` and gets no requests.
    """

    name: str
    about: str
    trusts: tuple[int, ...]
    faults: str
    needs: tuple[str, ...]
    journal: str = ""
    longest: int = 0
    late: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()
    relay: bool = False
    fine: bool = False
    begun: bool = False
    pages: bool = False
    replica: bool = False
    held: bool = True
    births: int = 1
    refreshes: bool = False
    slow: bool = True
    quick: bool = False
    gateway: Edge | None = None

    @property
    def max_trust(self) -> int:
        """Return M_max, the longest trust that any row may tell."""
        return self.longest or max(self.trusts)


@dataclass(frozen=True, slots=True)
class Model:
    """A world under the rules, but for those left out."""

    world: World
    without: frozenset[str] = frozenset()

    def keeps(self, rule: str) -> bool:
        """Whether a rule is followed."""
        return rule not in self.without

    @property
    def tail(self) -> int:
        """Return G: how long a gateway may go on after its verifier stopped."""
        gateway = self.world.gateway
        if gateway is None:
            return 0
        time_out = gateway.limit if self.keeps("16a") and not gateway.absolute else 0
        return gateway.keep + time_out + (1 if self.keeps("16b") else 0)

    def row_trust(self, index: int) -> int:
        """Return the M that a verifier's row tells."""
        trust = self.world.trusts[index]
        return trust if self.keeps("2d") else trust // 2

    def lease(self, node: Node) -> int:
        """Return the ticks of the revoker's clock that the slowest verifier trusts a heartbeat."""
        return stretched(node.trusts)

    def wait(self, trust: int) -> int:
        """Return the ticks that a revoker waits for a row of that M."""
        return stretched(trust) if self.keeps("12a") else trust

    def start(self) -> State:
        """Return the first state: whoever isn't late is registered."""
        world = self.world
        rows = tuple(
            Row(index, 1, self.row_trust(index), 0, live=True)
            for index in range(len(world.trusts))
            if index not in world.late and not (index == 1 and world.relay and not self.keeps("9c"))
        )
        server = Server(world.journal, 1, rows, 1, settled=True)
        nodes = tuple(self._node(index, trust) for index, trust in enumerate(world.trusts))
        return State(
            primary=server,
            old=None,
            standby=server,
            nodes=nodes,
            revokers=(),
            gateway=Gateway(0, -1, 0) if world.gateway else None,
            observer=None,
            removing=-1,
            left=world.faults,
            closed=False,
            acked=frozenset(),
            broken="",
        )

    def _node(self, index: int, trust: int) -> Node:
        world = self.world
        here = index not in world.late
        held = here and world.held
        return Node(
            name=index,
            birth=1 if here else 0,
            born=1 if here else 0,
            trusts=trust,
            seen=world.journal if here else "",
            floor=len(world.journal) if here else 0,
            timeline=1,
            trust=stretched(trust) if held else 0,
            held=world.journal if held else None,
            beat=None,
            read=None,
            ask=None,
            joining=0,
            sample=False,
            below=0,
            saw=1 not in world.late,
        )


NAMES = "ab"
