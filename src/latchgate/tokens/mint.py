"""Minting: what a token says, signed with this Latchgate's key for tokens.

Rule of this file: nothing is written. What a token may do is decided when it is used, from what it
says and from what it was minted from (`verify/gather.py`); here it is only signed.
"""

from __future__ import annotations

from collections.abc import Callable

from latchgate.core.kinds.project_token import ProjectToken, payload_of
from latchgate.core.model import Credential, Token
from latchgate.core.secret import Secret
from latchgate.keyring.signing import Signer, read, spell

_ID_BYTES = 16
_KEY_ID_BYTES = 32


def draft(
    kind: ProjectToken,
    source: Credential,
    *,
    project_id: str,
    roles: tuple[str, ...],
    issues: bool,
    now: float,
    entropy: Callable[[int], bytes],
) -> Token:
    """Return what a new token shall say; it ends with its source, if that ends earlier.

    Its id is an audit id as Keystone writes it: 16 random bytes as base64url.
    """
    expires_at = now + kind.lifetime
    if source.expires_at is not None:
        expires_at = min(expires_at, source.expires_at)
    return Token(
        id=spell(entropy(_ID_BYTES)),
        credential_id=source.id,
        project_id=project_id,
        roles=roles,
        issues=issues,
        issued_at=now,
        expires_at=expires_at,
    )


def sign(kind: ProjectToken, token: Token, signer: Signer) -> Secret:
    """Return the token's text, which is shown to whoever asked for it and kept nowhere."""
    payload, message = payload_of(token)
    key_id = read(signer.id, _KEY_ID_BYTES)
    return Secret(kind.spell(key_id, signer.sign(message), payload))
