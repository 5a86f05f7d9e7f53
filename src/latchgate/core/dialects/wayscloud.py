"""WAYSCloud's errors: `{"error": …, "code": …}` (providers/wayscloud, "Authentication Errors")."""

from __future__ import annotations

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply, challenge_headers

_encode = msgspec.json.Encoder().encode


def render(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal in exactly the two members that the document shows."""
    headers = (("Content-Type", "application/json"), *challenge_headers(challenges))
    body = _encode({"error": public.text, "code": public.code})
    return Reply(status=public.status, headers=headers, body=body)
