"""Signatures of tokens: checked where the library for it is installed, refused where it isn't."""

from __future__ import annotations

import logging

from latchgate.core.model import SigningKey

_log = logging.getLogger(__name__)


def is_signed(key: SigningKey, message: bytes, signature: bytes) -> bool:
    """Whether the holder of a key for tokens signed this very message.

    Project tokens are signed with Ed25519 (RFC 8032), OAuth2 access tokens as JWTs (RFC 7515).
    """
    try:
        # The base install, which decides in process, has no cryptography.
        from latchgate.keyring.signing import Purpose, signed  # noqa: PLC0415 - see above

        if key.purpose == Purpose.OAUTH:
            from latchgate.keyring.jwt import signed_jwt  # noqa: PLC0415 - and no joserfc

            return signed_jwt(key.public, message, signature)
    except ModuleNotFoundError:
        _log.error("tokens can't be checked: install latchgate[server]")
        return False
    return key.purpose == Purpose.TOKEN and signed(key.public, message, signature)
