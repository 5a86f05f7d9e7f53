"""The private, exact outcomes of a decision and the steps that lead to them."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The exact cause; `core.dialects.table` maps it, many to one, to what a caller is told."""

    ALLOWED = "allowed"

    # The request could not be read without doubt.
    PATH_AMBIGUOUS = "path_ambiguous"
    HOST_INVALID = "host_invalid"
    METHOD_INVALID = "method_invalid"
    CLIENT_ADDRESS_INVALID = "client_address_invalid"
    REQUEST_INVALID = "request_invalid"

    # Nothing is served there.
    NO_AREA = "no_area"
    AREA_CLOSED = "area_closed"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TLS_REQUIRED = "tls_required"
    DESTINATION_OUTSIDE = "destination_outside"
    PREFLIGHT_MALFORMED = "preflight_malformed"

    # Nobody is known by what was presented.
    CREDENTIAL_MISSING = "credential_missing"
    CREDENTIAL_MALFORMED = "credential_malformed"
    CREDENTIAL_REPEATED = "credential_repeated"
    CREDENTIALS_AMBIGUOUS = "credentials_ambiguous"
    CREDENTIAL_NOT_ACCEPTED = "credential_not_accepted"
    CREDENTIAL_UNKNOWN = "credential_unknown"
    SECRET_WRONG = "secret_wrong"  # noqa: S105 - the name of an outcome
    PASSWORD_THROTTLED = "password_throttled"  # noqa: S105 - the name of an outcome

    # The secret is right, and the credential does not stand.
    CREDENTIAL_REVOKED = "credential_revoked"
    CREDENTIAL_EXPIRED = "credential_expired"
    CREDENTIAL_SUPERSEDED = "credential_superseded"
    CREDENTIAL_DISABLED = "credential_disabled"
    OWNER_MISSING = "owner_missing"
    OWNER_DISABLED = "owner_disabled"
    OWNER_WITHOUT_API = "owner_without_api"
    TENANT_SUSPENDED = "tenant_suspended"
    PROJECT_DISABLED = "project_disabled"
    PARENT_GONE = "parent_gone"
    ROLES_WITHDRAWN = "roles_withdrawn"
    BASIC_NOT_ENABLED = "basic_not_enabled"
    NETWORK_NOT_ALLOWED = "network_not_allowed"

    # It stands, and does not open this.
    SERVICE_NOT_GRANTED = "service_not_granted"
    SCOPE_NOT_GRANTED = "scope_not_granted"
    OWNER_LACKS_SCOPE = "owner_lacks_scope"
    PARENT_LACKS_SCOPE = "parent_lacks_scope"
    ACCESS_RULE_MISSING = "access_rule_missing"

    # Whoever asks may do it, and the program they ask with may not.
    APPLICATION_MISSING = "application_missing"
    APPLICATION_MALFORMED = "application_malformed"
    APPLICATION_UNKNOWN = "application_unknown"
    APPLICATION_KEY_REVOKED = "application_key_revoked"
    APPLICATION_KEY_OF_ANOTHER = "application_key_of_another"
    APPLICATION_NOT_APPROVED = "application_not_approved"
    APPLICATION_BLOCKED = "application_blocked"

    # Latchgate could not decide.
    PASSWORDS_BUSY = "passwords_busy"
    GATEWAY_INCOMPLETE = "gateway_incomplete"
    GATEWAY_NOT_TRUSTED = "gateway_not_trusted"
    STORE_UNAVAILABLE = "store_unavailable"
    POLICY_MISSING = "policy_missing"
    SHADOW_UNANSWERED = "shadow_unanswered"
    FAULT = "fault"


class Step(StrEnum):
    """One thing a decision looked at; `core.explain` words it."""

    REQUEST = "request"
    PATH = "path"
    AREA = "area"
    RULE = "rule"
    READ = "read"
    RECORD = "record"
    SECRET = "secret"  # noqa: S105 - the name of a step
    STATE = "state"
    OWNER = "owner"
    NETWORK = "network"
    BASIC = "basic"
    SERVICE = "service"
    SCOPE = "scope"
    ACCESS_RULE = "access_rule"
    APPLICATION = "application"
    TLS = "tls"


def _direct(names: type[StrEnum]) -> None:
    """Let members be found as any attribute of a class is.

    Python 3.11 finds them by way of a property, which takes 0.1 µs and more each time: a decision
    names twenty of them. 3.12 does this by itself.
    """
    for member in names:
        type.__setattr__(names, member.name, member)


_direct(Reason)
_direct(Step)
