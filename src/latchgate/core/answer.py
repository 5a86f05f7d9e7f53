"""A decision worded for its caller."""

from __future__ import annotations

from dataclasses import replace

from latchgate.core.dialects import DIALECTS, Challenge, Public, Reply
from latchgate.core.dialects.table import TABLE, challenge_error, challenged
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.model import Decision, Succession
from latchgate.core.policy import Area
from latchgate.core.reason import Reason
from latchgate.core.timestamp import imf_fixdate


def refusal(decision: Decision, accept: str = "", api_url: str = "") -> Reply:
    """Word a refused decision in its dialect, with its challenges and `Allow` where they belong.

    `accept` is the request's own, for dialects that have more than one representation; `api_url`
    the API's address, where it is known: a challenge of Keystone's names the identity API.
    """
    public = replace(TABLE[decision.reason][decision.dialect], decision=decision.id)
    area = decision.area
    reply = DIALECTS[decision.dialect](public, _challenges(decision, public, api_url), accept)
    if decision.reason is Reason.METHOD_NOT_ALLOWED and area is not None:
        allow = ("Allow", ", ".join(area.methods))
        return Reply(reply.status, (*reply.headers, allow), reply.body)
    return reply


def _challenges(decision: Decision, public: Public, api_url: str) -> tuple[Challenge, ...]:
    """Challenge with each scheme that the area's kinds take, in their order."""
    area, rule = decision.area, decision.rule
    if area is None or not challenged(decision.reason, public.status):
        return ()
    return tuple(
        Challenge(
            scheme=scheme,
            realm=area.realm,
            error=challenge_error(decision.reason, public.status),
            scope=rule.scope if rule is not None and public.status == 403 else None,  # noqa: PLR2004 - RFC 6750 §3.1
            uri=_identity_url(area, api_url) if scheme == "Keystone" else None,
        )
        for scheme in dict.fromkeys(kind.scheme for kind in area.kinds)
        if public.status == 401 or scheme == "Bearer"  # noqa: PLR2004 - only Bearer has more to ask for
    )


def _identity_url(area: Area, api_url: str) -> str | None:
    for kind in area.kinds:
        if isinstance(kind, ProjectToken):
            return kind.reached_at(api_url)
    return None


def identity(decision: Decision) -> tuple[tuple[str, str], ...]:
    """Return the identity headers of an allowed decision; none where nobody was asked for."""
    grant, rule, area = decision.grant, decision.rule, decision.area
    if grant is None or area is None:
        return ()
    credential = grant.credential
    pairs = (
        ("X-Latchgate-Tenant", credential.tenant_id),
        ("X-Latchgate-Project", credential.project_id or None),
        ("X-Latchgate-User", grant.owner.id),
        ("X-Latchgate-Credential", credential.source_id),
        ("X-Latchgate-Kind", credential.kind),
        ("X-Latchgate-Application", grant.application.id if grant.application else None),
        ("X-Latchgate-Service", area.service),
        ("X-Latchgate-Scope", rule.scope if rule is not None else None),
        ("X-Latchgate-Environment", credential.environment),
        ("X-Latchgate-External-Id", credential.external_id),
    )
    return tuple((name, value) for name, value in pairs if value)


def notices(decision: Decision) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell a client that its secret was rotated, and until when it works.

    They belong on the answer to the client: `Deprecation` (RFC 9745) since when there is another,
    `Sunset` (RFC 8594) when this one ends. Of a user's secret and their program's key it is the one
    that ends first. None where the decision refuses, or the secrets are new.
    """
    grant = decision.grant
    if grant is None or not decision.allowed:
        return ()
    both = (grant.credential.succession, grant.application_succession)
    ending = min((one for one in both if one is not None), key=_until, default=None)
    if ending is None:
        return ()
    return (
        ("Deprecation", f"@{int(ending.since)}"),
        ("Sunset", imf_fixdate(ending.until)),
    )


def _until(succession: Succession) -> float:
    return succession.until
