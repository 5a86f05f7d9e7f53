"""WAYSCloud's errors: `{"error": …, "code": …}` (providers/wayscloud, "Authentication Errors")."""

from __future__ import annotations

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply

_encode = msgspec.json.Encoder().encode


def render(public: Public, challenge: Challenge | None) -> Reply:
    """Word a refusal in exactly the two members that the document shows."""
    headers: list[tuple[str, str]] = [("Content-Type", "application/json")]
    if challenge is not None:
        headers.append(("WWW-Authenticate", str(challenge)))
    body = _encode({"error": public.text, "code": public.code})
    return Reply(status=public.status, headers=tuple(headers), body=body)
