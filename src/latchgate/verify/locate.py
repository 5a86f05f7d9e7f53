"""Where a request leads: its path, its area, its rule, the connection it may come over.

Rule of this file: nothing is repaired. What could be read or served in two ways is refused before
anybody is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import TypeVar

from latchgate.core.model import Refused, Request
from latchgate.core.path import (
    MAX_TARGET,
    Path,
    PathFault,
    is_plain,
    read_path,
    without_parameters,
)
from latchgate.core.policy import Area, Policy, Rule
from latchgate.core.reason import Reason, Step
from latchgate.verify.walk import Found, Nowhere, Place, Walk

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
_TWO_PATHS = frozenset({"COPY", "MOVE"})
# A destination on another host is for the server behind to refuse: here only the path counts.
_ABSOLUTE = re.compile(r"\A(?i:https?)://[^/?#]*")
_MAX_PLACES = 32_768
_LONG = 512
_PORT_DIGITS = 5


_UNKNOWN = Nowhere()
_NO_AREA = Refused(Reason.NO_AREA)
_POLICY_MISSING = Refused(Reason.POLICY_MISSING)
_METHOD_NOT_ALLOWED = Refused(Reason.METHOD_NOT_ALLOWED)
_Kept = TypeVar("_Kept", Place, Nowhere)


def locate(walk: Walk) -> Refused | None:
    """Find the area and the rule, from memory where the same place was asked for before."""
    request = walk.request
    if request.fault is not None or is_overridden(request.headers):
        return _search(walk)
    place = walk.found or find(request, walk.policy)
    if isinstance(place, Nowhere):
        if place.refused is not None:
            walk.area, walk.dialect = place.area, place.dialect
            walk.trace += place.trace
            return place.refused
    else:
        walk.area, walk.rule, walk.dialect = place.area, place.rule, place.area.dialect
        walk.trace += place.trace
        return None if not place.area.tls else _in_the_clear(walk, place.area)
    refused = _search(walk)
    area, rule = walk.area, walk.rule
    if refused is None and area is not None:
        refused = _in_the_clear(walk, area)
    if refused is None and area is not None and rule is not None:
        path = request.target.partition("?")[0]
        _remember(request, walk.policy, path, area, rule)
    return refused


def find(request: Request, policy: Policy) -> Found:
    """Return where a request leads whose path reads as it stands, or was read before.

    An unknown place is one that `locate` has to look for. Whether the request may come as it does,
    its headers and its connection, is not looked at.
    """
    target = request.target
    if len(target) > MAX_TARGET:
        return _UNKNOWN
    # The query leads nowhere else, and is kept nowhere.
    path = target if "?" not in target else target[: target.index("?")]
    if len(path) >= _LONG:
        return _straight(request, policy, path)
    known: Found | None = policy.located.get((request.method, request.host, path))
    return known or _straight(request, policy, path)


def _straight(request: Request, policy: Policy, path: str) -> Found:
    """Find what `_search` would, where the path and the method leave nothing to argue about."""
    method, host = request.method, read_host(request.host)
    if host is None or method not in _METHODS or not is_plain(path):
        return _UNKNOWN
    area = policy.match(host, path)
    if area is None:
        trace = ((Step.AREA, False, (path, host)),)
        refused = _NO_AREA if policy.version else _POLICY_MISSING
        nowhere = Nowhere(None, policy.dialect(path), trace, refused)
        return _keep(request, policy, path, nowhere)
    rule = area.rule(method)
    if rule is None:
        if area.preflight and method == "OPTIONS":
            return _UNKNOWN
        steps = (Step.AREA, True, (area, policy.version)), (Step.RULE, False, (method, area, None))
        nowhere = Nowhere(area, area.dialect, steps, _METHOD_NOT_ALLOWED)
        return _keep(request, policy, path, nowhere)
    return _remember(request, policy, path, area, rule) or _UNKNOWN


def _keep(request: Request, policy: Policy, path: str, found: _Kept) -> _Kept:
    # Long paths would fill memory as fast as a flood wants.
    if len(path) < _LONG:
        located = policy.located
        if len(located) >= _MAX_PLACES:
            located.clear()
        located[request.method, request.host, path] = found
    return found


def _remember(request: Request, policy: Policy, path: str, area: Area, rule: Rule) -> Place | None:
    """Keep where a request leads, if its path and method alone say so."""
    method = request.method
    # A preflight depends on its headers; COPY names a second path.
    if (area.preflight and method == "OPTIONS") or method in _TWO_PATHS:
        return None
    # Matrix parameters may hold a secret, which is remembered nowhere.
    if area.parameters:
        return None
    places = policy.places
    place = places.get((id(area), method))
    if not isinstance(place, Place):
        if len(places) >= _MAX_PLACES:
            places.clear()
        trace = ((Step.AREA, True, (area, policy.version)), (Step.RULE, True, (method, area, rule)))
        place = places[id(area), method] = Place(area, rule, trace, _carriers(area, rule))
    return _keep(request, policy, path, place)


def is_overridden(headers: Mapping[str, str]) -> bool:
    """Whether a header asks for another method than the request's own."""
    return not _OVERRIDES.isdisjoint(headers)


def _carriers(area: Area, rule: Rule) -> tuple[str, ...]:
    if area.closed or area.public or rule.public or area.application or area.shadow:
        return ()
    return area.carriers


def _search(walk: Walk) -> Refused | None:
    """Find the area and the rule, or say why there is none."""
    request, policy, trace = walk.request, walk.policy, walk.trace
    host = read_host(request.host)
    path = _read_path(request.target, policy, host or "")
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
        return _NO_AREA if policy.version else _POLICY_MISSING
    walk.area = area
    if path.encoded_slash:
        why = _slash_fault(walk, area, host or "", path.text)
        if why is not None:
            trace.append((Step.PATH, False, (why,)))
            return Refused(Reason.PATH_AMBIGUOUS, why)
    trace.append((Step.AREA, True, (area, policy.version)))
    return _find_rule(walk, area)


def _read_path(target: str, policy: Policy, host: str) -> Path | PathFault:
    """Read the path, without the last segment's matrix parameters where the area allows them."""
    path = read_path(target)
    if isinstance(path, Path):
        return path
    plain = without_parameters(target)
    if plain == target.partition("?")[0]:
        return path
    bare = read_path(plain)
    if isinstance(bare, PathFault):
        return path
    area = policy.match(host, bare.text)
    return bare if area is not None and area.parameters else path


def _in_the_clear(walk: Walk, area: Area) -> Refused | None:
    """Refuse what came without TLS where the area asks for it."""
    if not area.tls:
        return None
    taken = area.takes(walk.request)
    walk.trace.append((Step.TLS, taken, (walk.request.tls, walk.request.client)))
    return None if taken else Refused(Reason.TLS_REQUIRED)


def _slash_fault(walk: Walk, area: Area, host: str, path: str) -> str | None:
    """Say why an encoded slash can't stand: it never changes which area is chosen."""
    if not area.encoded_slash:
        return "it holds an encoded slash (%2F), which this area does not take"
    if walk.policy.match(host, path.replace("%2F", "/")) is not area:
        return "its encoded slash (%2F) would lead into another area"
    return None


def _faulty(walk: Walk) -> Refused | None:
    """Refuse what the door could not read and what could be served as another method."""
    request = walk.request
    if request.fault is not None:
        walk.trace.append((Step.REQUEST, False, (request.fault[1],)))
        return Refused(*request.fault)
    if request.method not in _METHODS and not _METHOD.fullmatch(request.method):
        walk.trace.append((Step.REQUEST, False, ("the method is not an upper-case HTTP method",)))
        return Refused(Reason.METHOD_INVALID)
    if is_overridden(request.headers):
        # A server behind the gateway may honour it: what was checked would not be served (D2.20).
        walk.trace.append((Step.REQUEST, False, ("a header asks for another method",)))
        return Refused(Reason.METHOD_INVALID)
    return None


def _find_rule(walk: Walk, area: Area) -> Refused | None:
    method = walk.request.method
    rule = area.rule(method)
    if area.preflight and method == "OPTIONS" and (rule is None or is_preflight(walk.request)):
        return _find_preflight(walk, area)
    walk.trace.append((Step.RULE, rule is not None, (method, area, rule)))
    if rule is None:
        return _METHOD_NOT_ALLOWED
    walk.rule = rule
    if method in _TWO_PATHS and "destination" in walk.request.headers:
        return _check_destination(walk, area)
    return None


def _check_destination(walk: Walk, area: Area) -> Refused | None:
    """Refuse a COPY or MOVE (RFC 4918 §10.3) that would write where another area's rule holds."""
    request = walk.request
    told = _ABSOLUTE.sub("", request.headers["destination"], count=1)
    path = read_path(told)
    if isinstance(path, Path) and "destination" not in request.repeated:
        found = walk.policy.match(read_host(request.host) or "", path.text)
        if found is area and (not path.encoded_slash or area.encoded_slash):
            return None
    walk.trace.append((Step.PATH, False, ("its Destination is not in the same area",)))
    return Refused(Reason.DESTINATION_OUTSIDE)


def _find_preflight(walk: Walk, area: Area) -> Refused | None:
    """A preflight carries no credential by design, so it must be one to the letter (Fetch §3.2)."""
    if not is_preflight(walk.request):
        walk.trace.append((Step.RULE, False, ("OPTIONS", area, None)))
        return Refused(Reason.PREFLIGHT_MALFORMED)
    wanted = walk.request.headers["access-control-request-method"]
    known = area.rule(wanted) is not None
    walk.trace.append((Step.RULE, known, (wanted, area, None)))
    return None if known else _METHOD_NOT_ALLOWED


def is_preflight(request: Request) -> bool:
    """Whether it is a CORS preflight, which asks before a browser may send the request."""
    headers = request.headers
    return (
        request.method == "OPTIONS"
        and "origin" in headers
        and "access-control-request-method" in headers
    )


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
