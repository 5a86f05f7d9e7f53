"""The compiled policy: which area a request falls into, and what it needs there.

Rule of this file: prefixes end at segment borders (`/v1/storage` is not `/v1/storage-admin`),
the longest wins, an area that names the host goes before one that doesn't, and what no area
covers is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from latchgate.core.kinds import AnyKind, ApplicationKeyKind, IssuedKind, Kind
from latchgate.core.model import Request
from latchgate.core.network import Networks
from latchgate.core.price import Price
from latchgate.core.shadow import Shadow

_MAX_ASKED = 10_000
_LONG = 512  # characters, from which on looking at all of them is what takes the time


@dataclass(frozen=True, slots=True)
class Rule:
    """What some methods of an area need: a scope, any credential that stands, or nobody (`public`).

    Where `scope` is None and it is not public, whoever may come in may do it. `price` is what one
    allowed request costs, None where it costs nothing.
    """

    scope: str | None
    public: bool = False
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Area:
    """Hosts and a path prefix, and how requests there are decided and answered.

    `rules` maps a method to its rule, `*` to the rule of every other method. Nobody gets in where
    it is `closed`, everybody where it is `public`. `application` is the kind of key that a program
    must bring beside its user's credential; `logins` the namespace in which login names are looked
    up; `tls` says that requests must have come over TLS, but from the networks `plain`;
    `parameters` that the last segment may have matrix parameters. While there is a `shadow`, what
    that old system decides is enforced, and what Latchgate decides is compared with it.
    `environment` is a label that keys are compared with afterwards, and decides nothing.
    `carriers` are the headers that its kinds read, in their order, and `schemes` what stands before
    a credential in `Authorization`, in lower case; `accepted` are the names of its kinds.
    """

    provider: str
    realm: str
    hosts: tuple[str, ...]
    path: str
    exact: bool
    service: str | None
    kinds: tuple[Kind, ...]
    application: ApplicationKeyKind | None
    logins: str
    rules: Mapping[str, Rule]
    dialect: str
    public: bool
    closed: bool
    preflight: bool
    encoded_slash: bool
    parameters: bool
    tls: bool
    plain: Networks
    shadow: Shadow | None = None
    environment: str | None = None
    accepted: tuple[str, ...] = field(init=False, repr=False, compare=False)
    carriers: tuple[str, ...] = field(init=False, repr=False, compare=False)
    schemes: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "accepted", tuple(kind.name for kind in self.kinds))
        carriers = dict.fromkeys(name for kind in self.kinds for name in kind.carriers)
        object.__setattr__(self, "carriers", tuple(carriers))
        schemes = frozenset(kind.scheme.lower() for kind in self.kinds)
        object.__setattr__(self, "schemes", schemes)

    @property
    def name(self) -> str:
        """What reports know it by: its path, and its hosts where it has some."""
        return f"{self.path} on {', '.join(self.hosts)}" if self.hosts else self.path

    def rule(self, method: str) -> Rule | None:
        """Return what `method` needs, or None when the area does not take it."""
        return self.rules.get(method) or self.rules.get("*")

    def takes(self, request: Request) -> bool:
        """Whether a request may come over the connection that it came over."""
        if not self.tls or request.tls:
            return True
        return request.client is not None and request.client in self.plain

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the area takes, for `Allow`."""
        return tuple(sorted({*self.rules, "OPTIONS"} if self.preflight else self.rules))

    def may_read(self, request: Request) -> bool:
        """Whether any of its kinds may find something in a request: where not, none need try."""
        return not request.headers.keys().isdisjoint(self.carriers)


@dataclass(frozen=True, slots=True)
class Service:
    """A named API: its title, its provider, its scopes in words, and what they cost."""

    id: str
    title: str
    provider: str
    scopes: Mapping[str, str]
    prices: Mapping[str, Price] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Others:
    """The kinds that an area takes nothing of, and the headers that any of them is read from.

    `targets` says that one of them is read from the request target too.
    """

    kinds: tuple[AnyKind, ...]
    carriers: frozenset[str]
    targets: bool

    @classmethod
    def of(cls, area: Area, kinds: Mapping[str, AnyKind]) -> Others:
        """Find them among all kinds of the policy."""
        found = tuple(
            kind
            for kind in kinds.values()
            if kind not in area.kinds and kind is not area.application
        )
        targets = any(
            isinstance(kind, ApplicationKeyKind) and kind.matrix_parameter is not None
            for kind in found
        )
        return cls(found, frozenset(name for kind in found for name in kind.carriers), targets)

    def may_read(self, request: Request) -> bool:
        """Whether any of them may find something in a request: where not, none need try."""
        if self.targets and (";" in request.target or "%3" in request.target):
            return True
        return not request.headers.keys().isdisjoint(self.carriers)


@dataclass(frozen=True, slots=True)
class Policy:
    """All policy files at one version, ready to be asked."""

    version: int
    areas: tuple[Area, ...]
    services: Mapping[str, Service]
    kinds: Mapping[str, AnyKind]
    covers: Mapping[str, str]  # path prefix -> dialect of what no area covers below it
    # What was found for a method, host and path, and for a method in an area (by its identity),
    # remembered by the decision (verify/locate).
    located: dict[tuple[str, str, str], Any] = field(repr=False)
    places: dict[tuple[int, str], object] = field(repr=False)
    # One rule for each scope that applications ask for themselves: use is counted by the rule.
    _asked: dict[str, Rule] = field(repr=False)
    _by_host: Mapping[str | None, Mapping[str, Area]] = field(repr=False)
    _depth: int = field(repr=False)
    _shadowed: bool = field(repr=False)
    _others: Mapping[int, Others] = field(repr=False)

    @classmethod
    def compiled(
        cls,
        *,
        version: int,
        areas: tuple[Area, ...],
        services: Mapping[str, Service],
        kinds: Mapping[str, AnyKind],
        covers: Mapping[str, str],
    ) -> Policy:
        """Index the areas by host and path."""
        by_host: dict[str | None, dict[str, Area]] = {}
        for area in areas:
            for host in area.hosts or (None,):
                by_host.setdefault(host, {})[area.path] = area
        prefixes = [area.path for area in areas] + list(covers)
        depth = max((prefix.count("/") for prefix in prefixes), default=0)
        shadowed = any(area.shadow is not None for area in areas)
        others = {id(area): Others.of(area, kinds) for area in areas}
        return cls(
            version=version,
            areas=areas,
            services=services,
            kinds=kinds,
            covers=covers,
            located={},
            places={},
            _asked={},
            _by_host=by_host,
            _depth=depth,
            _shadowed=shadowed,
            _others=others,
        )

    @property
    def shadowed(self) -> bool:
        """Whether any area has an old system."""
        return self._shadowed

    def others(self, area: Area) -> Others:
        """Return the kinds that one of its areas takes nothing of."""
        return self._others[id(area)]

    def match(self, host: str, path: str) -> Area | None:
        """Return the area of a host (lower case, no port) and a decoded path."""
        named = self._by_host.get(host)
        if named is not None:
            found = self._longest(named, path)
            if found is not None:
                return found
        every = self._by_host.get(None)
        return self._longest(every, path) if every is not None else None

    def _longest(self, areas: Mapping[str, Area], path: str) -> Area | None:
        found = areas.get(path)
        if found is not None:
            return found
        head = self._head(path)
        if head is path:
            head = head[: head.rfind("/")]
        while len(head) > 1:
            found = areas.get(head)
            if found is not None and not found.exact:
                return found
            head = head[: head.rfind("/")]
        found = areas.get("/")
        return found if found is not None and path[:1] == "/" and not found.exact else None

    def dialect(self, path: str) -> str:
        """Return the dialect that answers for a path which no area covers."""
        head = self._head(path)
        while len(head) > 1:
            found = self.covers.get(head)
            if found is not None:
                return found
            head = head[: head.rfind("/")]
        return self.covers.get("/", "problem")

    def _head(self, path: str) -> str:
        """Return the part of a path that an area's could equal: no area is deeper than that."""
        if path[:1] != "/":
            return ""
        if len(path) < _LONG and path.count("/") <= self._depth:
            return path
        most = self._depth + 1  # of slashes: what follows is not looked at
        parts = path.split("/", most)
        return path if len(parts) <= most else path[: -1 - len(parts[most])]

    def issued(self, name: str) -> IssuedKind:
        """Return a kind whose credentials are issued; KeyError when the policy has none of it."""
        kind = self.kinds[name]
        if not isinstance(kind, IssuedKind):
            raise KeyError(name)
        return kind

    def patterns(self) -> list[str]:
        """Return what leaked credentials look like, for whoever masks them."""
        return [kind.pattern for kind in self.kinds.values() if kind.pattern is not None]

    def rule_for(self, scope: str) -> Rule:
        """Return what a request needs whose application asks for a scope itself, with its price."""
        found = self._asked.get(scope)
        if found is not None:
            return found
        service = self.services.get(scope.partition(":")[0])
        made = Rule(scope=scope, price=service.prices.get(scope) if service is not None else None)
        if len(self._asked) < _MAX_ASKED:
            self._asked[scope] = made
        return made

    def scopes_of(self, service: str) -> frozenset[str]:
        """Return every scope of a service; empty when there is no such service."""
        found = self.services.get(service)
        return frozenset(found.scopes) if found is not None else frozenset()
