"""A decision worded for its caller."""

from __future__ import annotations

from latchgate.core.dialects import DIALECTS, Challenge, Reply
from latchgate.core.dialects.table import TABLE, challenge_error, challenged
from latchgate.core.model import Decision
from latchgate.core.reason import Reason


def refusal(decision: Decision) -> Reply:
    """Word a refused decision in its dialect, with its challenge and `Allow` where they belong."""
    public = TABLE[decision.reason][decision.dialect]
    area = decision.area
    challenge = None
    if area is not None and area.kinds and challenged(decision.reason, public.status):
        rule = decision.rule
        challenge = Challenge(
            scheme=area.kinds[0].scheme,
            realm=area.realm,
            error=challenge_error(decision.reason, public.status),
            scope=rule.scope if rule is not None and public.status == 403 else None,  # noqa: PLR2004 - RFC 6750 §3.1
        )
    reply = DIALECTS[decision.dialect](public, challenge)
    if decision.reason is Reason.METHOD_NOT_ALLOWED and area is not None:
        allow = ("Allow", ", ".join(area.methods))
        return Reply(reply.status, (*reply.headers, allow), reply.body)
    return reply


def identity(decision: Decision) -> tuple[tuple[str, str], ...]:
    """Return the identity headers of an allowed decision; none where nobody was asked for."""
    grant, rule, area = decision.grant, decision.rule, decision.area
    if grant is None or area is None:
        return ()
    credential = grant.credential
    pairs = (
        ("X-Latchgate-Tenant", credential.tenant_id),
        ("X-Latchgate-Project", credential.project_id),
        ("X-Latchgate-User", grant.owner.id),
        ("X-Latchgate-Credential", credential.id),
        ("X-Latchgate-Kind", credential.kind),
        ("X-Latchgate-Service", area.service),
        ("X-Latchgate-Scope", rule.scope if rule is not None else None),
        ("X-Latchgate-Environment", credential.environment),
        ("X-Latchgate-External-Id", credential.external_id),
    )
    return tuple((name, value) for name, value in pairs if value)
