"""The path of one decision, on one page.

A generator without I/O: it asks for records it lacks by yielding `Need`, for the slow digest of a
chosen password by yielding `Derive`, for that of whom a signed statement names by yielding `Prove`,
and returns the Decision. On a warm cache it yields
nothing. Order matters: what is served there (locate), then who asks, then the secret, only then
anything about the credential, and last the program that they ask with.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import msgspec

from latchgate.core.access_rule import permits
from latchgate.core.kinds import ApplicationKeyKind, Kind
from latchgate.core.model import (
    AccessRule,
    Credential,
    Decision,
    Facts,
    Grant,
    Presented,
    Refused,
    Request,
)
from latchgate.core.path import Path, read_path, without_parameters
from latchgate.core.policy import Area, Policy
from latchgate.core.reason import Reason, Step
from latchgate.core.secret import DIGEST_LENGTH, Secret
from latchgate.verify.cache import Cache, Missing
from latchgate.verify.gather import account, at_hand, gather, gather_application
from latchgate.verify.locate import is_preflight, locate
from latchgate.verify.passes import Passes
from latchgate.verify.walk import Claim, Derive, Found, Need, Prove, Steps, Told, Walk


def check(
    request: Request,
    *,
    policy: Policy,
    now: float,
    cache: Cache,
    new_id: Callable[[], str],
    claim: Claim | None = None,
    passes: Passes | None = None,
) -> Steps:
    """Decide one request at one moment (`now`, Unix seconds); `new_id` names a refusal.

    With a `claim`, whether that stands is decided instead of what the request's headers present.
    With `passes`, an acceptance is remembered there; not one of a claim.
    """
    begun = begin(
        request, policy=policy, now=now, cache=cache, new_id=new_id, claim=claim, passes=passes
    )
    return begun if isinstance(begun, Decision) else (yield from begun)


def begin(
    request: Request,
    *,
    policy: Policy,
    now: float,
    cache: Cache,
    new_id: Callable[[], str],
    claim: Claim | None = None,
    passes: Passes | None = None,
    found: Found | None = None,
) -> Decision | Steps:
    """Decide as `check` does where memory has all that it takes; else return the steps to go on by.

    Most requests end here, refused ones too: a generator would cost them as much as a look-up.
    `found` is where the request leads, where that was looked for already.
    """
    walk = Walk(request, policy, now, cache, new_id, [], found=found)
    if claim is not None:
        walk.claim = claim
        if claim.anywhere:
            return _stands(walk, claim)
    refused = locate(walk)
    area = walk.area
    if refused is not None or area is None:
        return walk.end(refused.reason if refused is not None else Reason.NO_AREA)
    if area.closed:
        return walk.end(Reason.AREA_CLOSED)
    if claim is None and _is_open(walk, area):
        return walk.end(Reason.ALLOWED)
    claims = _read(walk, area) if claim is None else _told(walk, claim)
    if isinstance(claims, Refused):
        return walk.end(claims.reason)
    kind, presented = claims[0]
    if len(claims) == 1 and presented.password is None and presented.assertion is None:
        facts = at_hand(walk, presented)
        if not isinstance(facts, Missing):
            best = _judge(walk, area, kind, presented, facts)
            if best.grant is None or area.application is None or best.reason is not _ALLOWED:
                return _concluded(walk, best, claims, passes)
            return _finished(walk, area, best, claims, passes)
    return _gone_on(walk, area, claims, passes)


_Claims = list[tuple[Kind, Presented]]
_ALLOWED = Reason.ALLOWED


def _gone_on(walk: Walk, area: Area, claims: _Claims, passes: Passes | None) -> Steps:
    """Decide where records have to be read, where work is slow, or several things were sent."""
    best = yield from _weigh(walk, area, claims)
    if isinstance(best, Refused):
        return walk.end(best.reason)
    return (yield from _finished(walk, area, best, claims, passes))


def _finished(
    walk: Walk, area: Area, best: _Finding, claims: _Claims, passes: Passes | None
) -> Steps:
    """Judge the program that was used, where the area asks for one, of whoever may come in."""
    if area.application is None or walk.claim is not None or best.reason is not _ALLOWED:
        return _concluded(walk, best, claims, passes)
    walk.credential = best.credential
    if best.grant is None:
        return walk.end(Reason.FAULT)
    grant = yield from _with_application(walk, area.application, best.grant)
    if isinstance(grant, Refused):
        return walk.end(grant.reason)
    return walk.end(Reason.ALLOWED, grant)


def _concluded(walk: Walk, best: _Finding, claims: _Claims, passes: Passes | None) -> Decision:
    """Decide by what was found, and remember an acceptance that may be repeated."""
    walk.credential = best.credential
    if best.reason is not _ALLOWED or best.grant is None:
        return walk.end(best.reason)
    decision = walk.end(Reason.ALLOWED, best.grant)
    if passes is not None and len(claims) == 1 and best.facts is not None:
        passes.remember(walk.request, walk.policy, walk.cache, claims[0][1], best.facts, decision)
    return decision


def _stands(walk: Walk, claim: Claim) -> Steps:
    """Decide whether a claim stands that no area is about."""
    best = yield from _weigh(walk, None, _told(walk, claim))
    if isinstance(best, Refused):
        return walk.end(best.reason)
    walk.credential = best.credential
    return walk.end(best.reason, best.grant if best.reason is Reason.ALLOWED else None)


def _is_open(walk: Walk, area: Area) -> bool:
    """Whether nobody is asked for here; a scope that the application asks for needs somebody."""
    request = walk.request
    if request.scope is None:
        rule = walk.rule
        opened = area.public or (rule is not None and rule.public)
        return opened or (area.preflight and is_preflight(request))
    walk.rule = walk.policy.rule_for(request.scope)
    walk.trace.append((Step.RULE, True, (request.method, area, walk.rule)))
    return False


class _Finding(msgspec.Struct, frozen=True):
    """What one presented credential came to; `rank` orders how far it got."""

    rank: int
    reason: Reason
    credential: Credential | None
    grant: Grant | None
    facts: Facts | None = None


_UNPROVEN, _FALLEN, _LACKING, _OPENS = range(4)
# Where one alone would be refused with another status than 401.
_OTHER_STATUS = frozenset({Reason.NETWORK_NOT_ALLOWED, Reason.CLIENT_ADDRESS_INVALID})


def _weigh(
    walk: Walk, area: Area | None, claims: list[tuple[Kind, Presented]]
) -> Generator[Need | Derive | Prove, Told, _Finding | Refused]:
    """Judge each claim, and then what they come to together; of what a door claims no area."""
    findings: list[_Finding] = []
    for kind, claimed in claims:
        presented = claimed
        if claimed.assertion is not None:
            # Before any look-up: whoever can't sign costs the store nothing.
            told = yield from _asked(walk, claimed, Prove(claimed.assertion, walk.now))
            if isinstance(told, Refused):
                return told
            presented = msgspec.structs.replace(claimed, digest=told)
        facts = yield from gather(walk, presented)
        if claimed.password is not None:
            told = yield from _derived(walk, claimed, claimed.password, facts)
            if isinstance(told, Refused):
                return told
            presented = msgspec.structs.replace(claimed, digest=told)
        findings.append(_judge(walk, area, kind, presented, facts))
    return findings[0] if len(findings) == 1 else _together(findings)


def _together(findings: list[_Finding]) -> _Finding | Refused:
    """Let what several credentials of one owner may do count together, if each of them stands.

    Whose secret was right is a principal, even where the credential no longer stands.
    """
    owners = {one.credential.owner_id for one in findings if one.credential is not None}
    if not findings or len(owners) > 1:
        return Refused(Reason.CREDENTIALS_AMBIGUOUS)
    nearest = max(findings, key=lambda one: one.rank)  # what one of them opens is open
    worst = min(findings, key=lambda one: one.rank)
    if worst.rank >= _LACKING:
        return nearest
    reason = worst.reason
    if reason in _OTHER_STATUS:
        reason = Reason.CREDENTIALS_AMBIGUOUS
    # Who sent both holds the one that is right, so its owner may see why it was refused.
    return _Finding(worst.rank, reason, worst.credential or nearest.credential, None)


def _told(walk: Walk, claim: Claim) -> list[tuple[Kind, Presented]]:
    walk.trace.append((Step.READ, True, (claim.presented.kind, claim.presented.label)))
    return [(claim.kind, claim.presented)]


def _read(walk: Walk, area: Area) -> list[tuple[Kind, Presented]] | Refused:
    """Let each accepted kind read the request; one that is ours but broken ends it."""
    request, trace = walk.request, walk.trace
    claims: list[tuple[Kind, Presented]] = []
    for kind in area.kinds if area.may_read(request) else ():
        found = kind.parse(request)
        if found is None:
            continue
        if isinstance(found, Refused):
            trace.append((Step.READ, False, (kind.name, found.detail)))
            return found
        claims += [(kind, presented) for presented in found]
    if claims:
        for _, presented in claims:
            trace.append((Step.READ, True, (presented.kind, presented.label)))
        stray = _stray(request, area)
        return claims if stray is None else _unread(walk, area, stray)
    # Most who send nothing send nothing of any kind.
    others = walk.policy.others(area)
    for other in others.kinds if others.may_read(request) else ():
        if other.parse(request):
            why = "this area does not accept it"
            trace.append((Step.READ, False, (other.name, why, area.accepted)))
            return Refused(Reason.CREDENTIAL_NOT_ACCEPTED)
    for name in area.carriers:
        if name in request.headers:
            return _unread(walk, area, name)
    trace.append((Step.READ, False, (None, "no credential was sent", area.accepted)))
    return Refused(Reason.CREDENTIAL_MISSING)


def _unread(walk: Walk, area: Area, name: str) -> Refused:
    why = f"the header {name} holds nothing that this area accepts"
    walk.trace.append((Step.READ, False, (None, why, area.accepted)))
    return Refused(Reason.CREDENTIAL_NOT_ACCEPTED)


def _stray(request: Request, area: Area) -> str | None:
    """Return a second header that should carry a credential and carries none of the area's.

    Every one that is sent must be valid. `Authorization` of a scheme that the area doesn't take was
    meant for somebody else: clients add Basic by themselves (.netrc).
    """
    if len(area.carriers) < 2:  # noqa: PLR2004 - one alone is what was read
        return None
    headers, number = request.headers, 0
    for name in area.carriers:
        if name in headers:
            number += 1
    if number < 2:  # noqa: PLR2004 - as above
        return None
    for name in area.carriers:
        if name not in headers:
            continue
        value = request.headers[name]
        alone = msgspec.structs.replace(request, headers={name: value})
        if any(kind.parse(alone) for kind in area.kinds):
            continue
        if name != "authorization" or value.partition(" ")[0].lower() in area.schemes:
            return name
    return None


def _derived(
    walk: Walk, presented: Presented, password: Secret, facts: Facts | None
) -> Generator[Derive | Prove, Told, bytes | Refused]:
    """Have the digest of a chosen password worked out; the same work for an unknown account."""
    like = facts.credential.digest if facts is not None else None
    if like is not None and len(like) == DIGEST_LENGTH:
        like = None  # nothing that anybody chose is like it
    whose = facts.credential.id if facts is not None and like is not None else ""
    guess = Derive(password, like, account(walk, presented), walk.request.client, whose)
    return (yield from _asked(walk, presented, guess))


def _asked(
    walk: Walk, presented: Presented, need: Derive | Prove
) -> Generator[Derive | Prove, Told, bytes | Refused]:
    """Have a digest worked out by the shell, or be told why there is none."""
    told = yield need
    if isinstance(told, Refused):
        walk.trace.append((Step.READ, False, (presented.kind, told.detail)))
    elif not isinstance(told, bytes):
        return Refused(Reason.FAULT)
    return told


def _with_application(
    walk: Walk, kind: ApplicationKeyKind, grant: Grant
) -> Generator[Need, Told, Grant | Refused]:
    """Judge the program that a verified user asks with, and put it into the grant."""
    found = kind.parse(walk.request)
    if found is None:
        walk.trace.append((Step.READ, False, (None, "no API key was sent", (kind.name,))))
        return Refused(Reason.APPLICATION_MISSING)
    if isinstance(found, Refused):
        walk.trace.append((Step.READ, False, (kind.name, found.detail)))
        return found
    (presented,) = found
    walk.trace.append((Step.READ, True, (presented.kind, presented.label)))

    facts = yield from gather_application(walk, presented)
    walk.trace.append((Step.RECORD, facts is not None, (presented.credential_id,)))
    if facts is None:
        return Refused(Reason.APPLICATION_UNKNOWN)
    application = kind.verify(presented, facts, grant.owner, walk.now, walk.trace)
    if isinstance(application, Refused):
        return application
    return walk.cache.together(grant, application, facts.key)


def _judge(
    walk: Walk, area: Area | None, kind: Kind, presented: Presented, facts: Facts | None
) -> _Finding:
    """Let the kind compare the secret and judge the credential, then see what it opens."""
    known = facts is not None and facts.credential.kind == presented.kind
    walk.trace.append((Step.RECORD, known, (presented.label,)))
    if facts is None or not known:
        return _Finding(_UNPROVEN, Reason.CREDENTIAL_UNKNOWN, None, None)
    found = kind.verify(presented, facts, walk.request, walk.now, walk.trace)
    if isinstance(found, Refused):
        if found.reason is Reason.SECRET_WRONG:
            # It names nobody: its trace must not land with the key's owner as theirs.
            return _Finding(_UNPROVEN, found.reason, None, None)
        return _Finding(_FALLEN, found.reason, facts.credential, None)
    lacking = None
    if walk.claim is None:
        lacking = _authorize(walk, area, found, facts) if area is not None else Reason.NO_AREA
    if lacking is not None:
        return _Finding(_LACKING, lacking, facts.credential, found)
    return _Finding(_OPENS, Reason.ALLOWED, facts.credential, found, facts)


def _authorize(walk: Walk, area: Area, grant: Grant, facts: Facts) -> Reason | None:
    """Say what a verified credential lacks to open this area with this method, if anything."""
    rule, credential = walk.rule, grant.credential
    if credential.access_rules is not None and not _is_named(walk, area, credential.access_rules):
        return Reason.ACCESS_RULE_MISSING
    scope = rule.scope if rule is not None else None
    if rule is not None and scope is None:
        return None  # whoever may come in
    # A scope that the application asks for may be another service's than the area's.
    asked = walk.request.scope
    service = area.service if asked is None else asked.partition(":")[0]
    right_service = credential.services is None or service in credential.services
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


def _is_named(walk: Walk, area: Area, rules: tuple[AccessRule, ...]) -> bool:
    """Whether one of a credential's access rules names this request."""
    path = read_path(without_parameters(walk.request.target))
    text = path.text if isinstance(path, Path) else ""
    named = permits(rules, area.service, walk.request.method, text)
    walk.trace.append((Step.ACCESS_RULE, named, (area.service, walk.request.method, text)))
    return named
