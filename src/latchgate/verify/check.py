"""The path of one decision, on one page.

A generator without I/O: it asks for records it lacks by yielding `Need`, and returns the
Decision. On a warm cache it yields nothing. Order matters: what is served there, then who
asks, then the secret, and only then anything about the credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from functools import lru_cache
from itertools import product

import msgspec

from latchgate.core.kinds import Kind
from latchgate.core.model import (
    Credential,
    Decision,
    Facts,
    Grant,
    Key,
    Noun,
    Presented,
    Project,
    Record,
    Refused,
    Request,
    Role,
    Tenant,
    TraceStep,
    User,
)
from latchgate.core.path import PathFault, read_path
from latchgate.core.policy import Area, Policy, Rule
from latchgate.core.reason import Reason, Step
from latchgate.core.scope import NONE
from latchgate.core.standing import assemble
from latchgate.verify.cache import Cache, Missing

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]*)(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]{2,45}\]")
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"})
# In every mix of dashes, underscores and dots: CGI, WSGI and PHP read them alike (D1.2, D1.3).
_OVERRIDES = frozenset(
    "".join(part + mark for part, mark in zip(words, (*marks, ""), strict=True))
    for words in (
        ("x", "http", "method"),
        ("x", "http", "method", "override"),
        ("x", "method", "override"),
    )
    for marks in product("-_.", repeat=len(words) - 1)
)
_MAX_PARENTS = 4
_MAX_PLACES = 8_192
_LONG = 512
_PORT_DIGITS = 5


Records = Mapping[Key, Record | None]


class Need(msgspec.Struct, frozen=True):
    """The records a decision lacks; the shell sends them back, None for one that isn't there."""

    keys: tuple[Key, ...]


class _Walk(msgspec.Struct):
    """One decision under way: what it was given, and what it has found so far."""

    request: Request
    policy: Policy
    now: float
    cache: Cache
    new_id: Callable[[], str]
    trace: list[TraceStep]
    dialect: str = "problem"
    area: Area | None = None
    rule: Rule | None = None
    credential: Credential | None = None

    def end(self, reason: Reason, grant: Grant | None = None) -> Decision:
        """Freeze what was found; only refusals get an id, and leave a trace behind."""
        return Decision(
            id="" if reason is Reason.ALLOWED else self.new_id(),
            reason=reason,
            area=self.area,
            rule=self.rule,
            grant=grant,
            dialect=self.dialect,
            policy_version=self.policy.version,
            journal=self.cache.position,
            trace=tuple(self.trace),
            credential=self.credential,
        )


def check(
    request: Request, *, policy: Policy, now: float, cache: Cache, new_id: Callable[[], str]
) -> Generator[Need, Records, Decision]:
    """Decide one request at one moment (`now`, Unix seconds); `new_id` names a refusal."""
    walk = _Walk(request, policy, now, cache, new_id, [])
    refused = _locate(walk)
    area = walk.area
    if refused is not None or area is None:
        return walk.end(refused.reason if refused is not None else Reason.NO_AREA)
    if _is_open(walk, area):
        return walk.end(Reason.ALLOWED)
    claims = _read(walk, area)
    if isinstance(claims, Refused):
        return walk.end(claims.reason)
    best: _Finding | None = None
    owner: str | None = None
    for kind, presented in claims:
        facts = cache.facts.get(presented.credential_id)
        if facts is None:
            facts = yield from _gather(walk, presented)
        found = _judge(walk, area, kind, presented, facts)
        if found.credential is not None:
            # Whose secret was right is a principal, even where the credential no longer stands.
            if owner is not None and owner != found.credential.owner_id:
                return walk.end(Reason.CREDENTIALS_AMBIGUOUS)
            owner = found.credential.owner_id
        # Of two credentials of one owner either suffices; of two refusals the nearer miss counts.
        if best is None or found.rank > best.rank:
            best = found
    if best is None:
        return walk.end(Reason.FAULT)
    walk.credential = best.credential
    return walk.end(best.reason, best.grant if best.reason is Reason.ALLOWED else None)


def _is_open(walk: _Walk, area: Area) -> bool:
    """Whether nobody is asked for here; a scope that the application asks for needs somebody."""
    request = walk.request
    if request.scope is None:
        return area.public or (area.preflight and _is_preflight(request))
    walk.rule = Rule(scope=request.scope)
    walk.trace.append((Step.RULE, True, (request.method, area, walk.rule)))
    return False


class _Finding(msgspec.Struct, frozen=True):
    """What one presented credential came to; `rank` orders how far it got."""

    rank: int
    reason: Reason
    credential: Credential | None
    grant: Grant | None


_UNPROVEN, _FALLEN, _LACKING, _OPENS = range(4)


class _Place(msgspec.Struct, frozen=True):
    """What was found for one method, host and target; the same for every request under a policy."""

    area: Area
    rule: Rule
    trace: tuple[TraceStep, ...]


def _locate(walk: _Walk) -> Refused | None:
    """Find the area and the rule, from memory where the same place was asked for before."""
    request, located = walk.request, walk.policy.located
    if request.fault is not None or not _OVERRIDES.isdisjoint(request.headers):
        return _search(walk)
    key = (request.method, request.host, request.target)
    place = located.get(key)
    if isinstance(place, _Place):
        walk.area, walk.rule, walk.dialect = place.area, place.rule, place.area.dialect
        walk.trace += place.trace
        return None
    refused = _search(walk)
    area, rule = walk.area, walk.rule
    # A preflight depends on its headers; long targets would fill memory as fast as a flood wants.
    if refused is not None or area is None or rule is None or len(request.target) >= _LONG:
        return refused
    if not (area.preflight and request.method == "OPTIONS"):
        if len(located) >= _MAX_PLACES:
            located.clear()
        located[key] = _Place(area, rule, tuple(walk.trace))
    return None


def _search(walk: _Walk) -> Refused | None:
    """Find the area and the rule, or say why there is none."""
    request, policy, trace = walk.request, walk.policy, walk.trace
    path = read_path(request.target)
    host = read_host(request.host)
    if isinstance(path, PathFault):
        raw = request.target.partition("?")[0]
        near = policy.match(host or "", raw)
        walk.dialect = near.dialect if near is not None else policy.dialect(raw)
        trace.append((Step.PATH, False, (path.why,)))
        return _faulty(walk) or Refused(Reason.PATH_AMBIGUOUS, path.why)
    area = policy.match(host or "", path.text)
    walk.dialect = area.dialect if area is not None else policy.dialect(path.text)
    refused = _faulty(walk)
    if refused is None and host is None:
        refused = Refused(Reason.HOST_INVALID)
        trace.append((Step.REQUEST, False, ("the Host header is not a host name",)))
    if refused is not None:
        return refused
    if area is None:
        trace.append((Step.AREA, False, (path.text, host)))
        return Refused(Reason.NO_AREA if policy.version else Reason.POLICY_MISSING)
    walk.area = area
    if path.encoded_slash:
        why = _slash_fault(walk, area, host or "", path.text)
        if why is not None:
            trace.append((Step.PATH, False, (why,)))
            return Refused(Reason.PATH_AMBIGUOUS, why)
    trace.append((Step.AREA, True, (area, policy.version)))
    return _find_rule(walk, area)


def _slash_fault(walk: _Walk, area: Area, host: str, path: str) -> str | None:
    """Say why an encoded slash can't stand: it never changes which area is chosen."""
    if not area.encoded_slash:
        return "it holds an encoded slash (%2F), which this area does not take"
    if walk.policy.match(host, path.replace("%2F", "/")) is not area:
        return "its encoded slash (%2F) would lead into another area"
    return None


def _faulty(walk: _Walk) -> Refused | None:
    """Refuse what the door could not read and what could be served as another method."""
    request = walk.request
    if request.fault is not None:
        walk.trace.append((Step.REQUEST, False, (request.fault[1],)))
        return Refused(*request.fault)
    if request.method not in _METHODS and not _METHOD.fullmatch(request.method):
        walk.trace.append((Step.REQUEST, False, ("the method is not an upper-case HTTP method",)))
        return Refused(Reason.METHOD_INVALID)
    if not _OVERRIDES.isdisjoint(request.headers):
        # A server behind the gateway may honour it: what was checked would not be served (D2.20).
        walk.trace.append((Step.REQUEST, False, ("a header asks for another method",)))
        return Refused(Reason.METHOD_INVALID)
    return None


def _find_rule(walk: _Walk, area: Area) -> Refused | None:
    method = walk.request.method
    rule = area.rule(method)
    if area.preflight and method == "OPTIONS" and (rule is None or _is_preflight(walk.request)):
        return _find_preflight(walk, area)
    walk.trace.append((Step.RULE, rule is not None, (method, area, rule)))
    if rule is None:
        return Refused(Reason.METHOD_NOT_ALLOWED)
    walk.rule = rule
    return None


def _find_preflight(walk: _Walk, area: Area) -> Refused | None:
    """A preflight carries no credential by design, so it must be one to the letter (Fetch §3.2)."""
    if not _is_preflight(walk.request):
        walk.trace.append((Step.RULE, False, ("OPTIONS", area, None)))
        return Refused(Reason.PREFLIGHT_MALFORMED)
    wanted = walk.request.headers["access-control-request-method"]
    known = area.rule(wanted) is not None
    walk.trace.append((Step.RULE, known, (wanted, area, None)))
    return None if known else Refused(Reason.METHOD_NOT_ALLOWED)


def _is_preflight(request: Request) -> bool:
    headers = request.headers
    return (
        request.method == "OPTIONS"
        and "origin" in headers
        and "access-control-request-method" in headers
    )


def _read(walk: _Walk, area: Area) -> list[tuple[Kind, Presented]] | Refused:
    """Let each accepted kind read the request; one that is ours but broken ends it."""
    request, trace = walk.request, walk.trace
    claims: list[tuple[Kind, Presented]] = []
    for kind in area.kinds:
        found = kind.parse(request)
        if found is None:
            continue
        if isinstance(found, Refused):
            trace.append((Step.READ, False, (kind.name, found.detail)))
            return found
        claims += [(kind, presented) for presented in found]
    if claims:
        for _, presented in claims:
            trace.append((Step.READ, True, (presented.kind, presented.credential_id)))
        return claims
    accepted = tuple(kind.name for kind in area.kinds)
    for kind in walk.policy.kinds.values():
        if kind not in area.kinds and kind.parse(request) is not None:
            trace.append((Step.READ, False, (kind.name, "this area does not accept it", accepted)))
            return Refused(Reason.CREDENTIAL_NOT_ACCEPTED)
    for name in dict.fromkeys(name for kind in area.kinds for name in kind.carriers):
        if name in request.headers:
            why = f"the header {name} holds nothing that this area accepts"
            trace.append((Step.READ, False, (None, why, accepted)))
            return Refused(Reason.CREDENTIAL_NOT_ACCEPTED)
    trace.append((Step.READ, False, (None, "no credential was sent", accepted)))
    return Refused(Reason.CREDENTIAL_MISSING)


def _gather(walk: _Walk, presented: Presented) -> Generator[Need, Records, Facts | None]:
    """Find a credential, its owner, tenant, project, roles and parents; None when unknown."""
    known: dict[Key, Record | None] = {}
    while True:
        lacking: list[Key] = []

        def get(key: Key, lacking: list[Key] = lacking) -> Record | None:
            found = known[key] if key in known else walk.cache.recall(key)
            if isinstance(found, Missing):
                lacking.append(key)
                return None
            return found

        record = get((Noun.CREDENTIAL, presented.credential_id))
        facts = _assemble(record, get, _MAX_PARENTS) if isinstance(record, Credential) else None
        if not lacking:
            break
        known.update((yield Need(tuple(dict.fromkeys(lacking)))))
    if facts is not None:
        walk.cache.derive(facts)
    return facts


def _assemble(
    credential: Credential, get: Callable[[Key], Record | None], parents_left: int
) -> Facts:
    owner = get((Noun.USER, credential.owner_id))
    tenant = get((Noun.TENANT, credential.tenant_id))
    project = get((Noun.PROJECT, credential.project_id))
    owner_rights = NONE
    if isinstance(owner, User):
        for project_id, role_id in owner.roles:
            if project_id == credential.project_id:
                role = get((Noun.ROLE, role_id))
                if isinstance(role, Role) and role.tenant_id in {None, credential.tenant_id}:
                    owner_rights |= role.scopes
    parent = None
    if credential.parent_id is not None and parents_left:
        above = get((Noun.CREDENTIAL, credential.parent_id))
        if isinstance(above, Credential):
            parent = _assemble(above, get, parents_left - 1)
    return assemble(
        credential,
        owner=owner if isinstance(owner, User) else None,
        tenant=tenant if isinstance(tenant, Tenant) else None,
        project=project if isinstance(project, Project) else None,
        owner_rights=owner_rights,
        parent=parent,
    )


def _judge(
    walk: _Walk, area: Area, kind: Kind, presented: Presented, facts: Facts | None
) -> _Finding:
    """Let the kind compare the secret and judge the credential, then see what it opens."""
    known = facts is not None and facts.credential.kind == presented.kind
    walk.trace.append((Step.RECORD, known, (presented.credential_id,)))
    if facts is None or not known:
        return _Finding(_UNPROVEN, Reason.CREDENTIAL_UNKNOWN, None, None)
    found = kind.verify(presented, facts, walk.request, walk.now, walk.trace)
    if isinstance(found, Refused):
        if found.reason is Reason.SECRET_WRONG:
            # It names nobody: its trace must not land with the key's owner as theirs.
            return _Finding(_UNPROVEN, found.reason, None, None)
        return _Finding(_FALLEN, found.reason, facts.credential, None)
    lacking = _authorize(walk, area, found, facts)
    if lacking is not None:
        return _Finding(_LACKING, lacking, facts.credential, found)
    return _Finding(_OPENS, Reason.ALLOWED, facts.credential, found)


def _authorize(walk: _Walk, area: Area, grant: Grant, facts: Facts) -> Reason | None:
    """Say what a verified credential lacks to open this area with this method, if anything."""
    rule, credential = walk.rule, grant.credential
    scope = rule.scope if rule is not None else None
    # A scope that the application asks for may be another service's than the area's.
    asked = walk.request.scope
    service = area.service if asked is None else asked.partition(":")[0]
    right_service = service in credential.services
    walk.trace.append((Step.SERVICE, right_service, (service, credential)))
    if not right_service:
        return Reason.SERVICE_NOT_GRANTED
    allowed = scope is not None and scope in grant.rights
    walk.trace.append((Step.SCOPE, allowed, (scope, facts)))
    if allowed:
        return None
    if scope is None or scope not in credential.scopes:
        return Reason.SCOPE_NOT_GRANTED
    if scope not in facts.owner_rights:
        return Reason.OWNER_LACKS_SCOPE
    return Reason.PARENT_LACKS_SCOPE


@lru_cache(maxsize=1024)
def read_host(text: str) -> str | None:
    """Return a Host header's name in lower case without port and final dot; None if it isn't one.

    An absent Host (HTTP/1.0) reads as the empty name, which only areas for every host match.
    """
    if not text.isascii():
        return None  # lower() would fold letters from elsewhere into ours
    name, port = text.lower(), ""
    if name.startswith("["):
        name, closed, rest = name.partition("]")
        name += closed
        if rest and not rest.startswith(":"):
            return None
        port = rest[1:]
    else:
        name, _, port = name.partition(":")
    if len(port) > _PORT_DIGITS or (port and not port.isdecimal()):
        return None
    if not text:
        return ""
    name = name.removesuffix(".")
    return name if _HOST.fullmatch(name) else None
