"""What an OAuth2 endpoint answers when it refuses.

Rule of this file: a description is in our own words and never repeats what was sent, so that no
answer carries a secret and each is spelled as RFC 6749 §5.2 has it.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The error codes that programs read (RFC 6749 §4.1.2.1 and §5.2, and the RFCs named)."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_SCOPE = "invalid_scope"
    ACCESS_DENIED = "access_denied"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    SERVER_ERROR = "server_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    AUTHORIZATION_PENDING = "authorization_pending"  # RFC 8628 §3.5, with the two below
    SLOW_DOWN = "slow_down"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of an error
    INVALID_TARGET = "invalid_target"  # RFC 8707 §2
    UNSUPPORTED_TOKEN_TYPE = "unsupported_token_type"  # noqa: S105 - RFC 7009 §2.2.1
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - RFC 6750 §3.1, with the one below
    INSUFFICIENT_SCOPE = "insufficient_scope"
    LOGIN_REQUIRED = "login_required"  # OpenID Connect Core §3.1.2.6, with those below
    CONSENT_REQUIRED = "consent_required"
    INTERACTION_REQUIRED = "interaction_required"
    ACCOUNT_SELECTION_REQUIRED = "account_selection_required"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    REGISTRATION_NOT_SUPPORTED = "registration_not_supported"


class OAuthError(Exception):
    """A refusal: its code, words for whoever reads logs, and the HTTP status."""

    def __init__(self, code: Code, description: str, status: int = 400) -> None:
        self.code = code
        self.description = description
        self.status = status
        super().__init__(f"{code}: {description}")
