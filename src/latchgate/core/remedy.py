"""The smallest change that would have let a refused request pass, for each reason.

Rule of this file: it words what a kept decision says, and looks nothing up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from latchgate.core.reason import Reason, Step


def remedy(kept: Mapping[str, Any]) -> str:
    """Return what would help, of a decision as it is kept (`core.explain.record`)."""
    return _REMEDIES[Reason(kept["reason"])](kept)


def named(kept: Mapping[str, Any]) -> dict[str, str]:
    """Return the ids of the records that a change may be made at, by what they are to the decision.

    `owner`, `application` and `successor`, as far as the decision got to them.
    """
    facts = {
        "owner": _fact(kept, Step.OWNER, 0),
        "application": _fact(kept, Step.APPLICATION, 0),
        "successor": _fact(kept, Step.STATE, 4),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _fact(kept: Mapping[str, Any], step: Step, index: int) -> Any:  # noqa: ANN401 - facts are JSON
    """Return one fact of the last step of a name, None when the decision did not get there."""
    for taken in reversed(kept["steps"]):
        if taken["step"] == step and len(taken["facts"]) > index:
            return taken["facts"][index]
    return None


def _say(text: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _kept: text


def _other_method(kept: Mapping[str, Any]) -> str:
    area = _fact(kept, Step.RULE, 1) or {"methods": [], "path": kept["path"]}
    method = _fact(kept, Step.RULE, 0) or kept["method"]
    return f"Use one of {', '.join(area['methods'])}, or add a rule for {method} to the area."


def _send_accepted(kept: Mapping[str, Any]) -> str:
    accepted = _fact(kept, Step.READ, 2) or []
    return f"Send a credential of a kind the area accepts: {', '.join(accepted)}."


def _mend(kept: Mapping[str, Any]) -> str:
    return f"Mend what was sent: {_fact(kept, Step.READ, 1) or 'see the steps'}."


def _known_one(kept: Mapping[str, Any]) -> str:
    if str(_fact(kept, Step.READ, 0)).endswith(".oidc_bearer"):
        return f"Link {_fact(kept, Step.READ, 1)} with a user: latchgate user link."
    return "Check the key for typing mistakes, or make a new one."


def _other_network(kept: Mapping[str, Any]) -> str:
    return f"Call from one of its networks, or make a key that allows {kept['client']}."


def _other_service(kept: Mapping[str, Any]) -> str:
    return f"Make a key for the service {_fact(kept, Step.SERVICE, 0)}."


def _wider_key(kept: Mapping[str, Any]) -> str:
    return f"Make a key with the scope {kept['scope']}; its owner {_owner_clause(kept)}."


def _owner_clause(kept: Mapping[str, Any]) -> str:
    held = (_fact(kept, Step.SCOPE, 1) or {}).get("owner", [])
    return "may hold it" if "*" in held or kept["scope"] in held else "would need it in a role too"


def _wider_role(kept: Mapping[str, Any]) -> str:
    owner = (_fact(kept, Step.SCOPE, 1) or {}).get("owner_id")
    return f"Give {owner} a role in the credential's project that holds {kept['scope']}."


def _name_request(kept: Mapping[str, Any]) -> str:
    asked = [_fact(kept, Step.ACCESS_RULE, index) or "it" for index in range(3)]
    return f"Make an access key with a rule for {asked[1]} {asked[2]} of {asked[0]}, or without."


def _successor(kept: Mapping[str, Any]) -> str:
    return f"Use {_fact(kept, Step.STATE, 4) or 'its successor'}, which is in its place."


_NEW_KEY = "Make a new key, and use it instead."
_OPERATOR = "Nothing about the request; the operator finds the cause in Latchgate's log."

_REMEDIES: Mapping[Reason, Callable[[Mapping[str, Any]], str]] = {
    Reason.ALLOWED: _say("None: the request is allowed."),
    Reason.PATH_AMBIGUOUS: _say("Send the path in its one plain form, as the steps say."),
    Reason.HOST_INVALID: _say("Send a plain host name in Host."),
    Reason.METHOD_INVALID: _say("Send the method itself, in upper case, and no override header."),
    Reason.CLIENT_ADDRESS_INVALID: _say("Have the gateway forward the client's bare address."),
    Reason.REQUEST_INVALID: _say("Mend the request as the steps say."),
    Reason.NO_AREA: _say("Use a path that a policy file covers, or add an area for it."),
    Reason.AREA_CLOSED: _say("Use another path, or give the area kinds that it accepts."),
    Reason.METHOD_NOT_ALLOWED: _other_method,
    Reason.TLS_REQUIRED: _say("Use https:// (TLS 1.2 or later)."),
    Reason.DESTINATION_OUTSIDE: _say("Send a Destination in the area that the path is in."),
    Reason.PREFLIGHT_MALFORMED: _say("Send Origin and Access-Control-Request-Method."),
    Reason.CREDENTIAL_MISSING: _send_accepted,
    Reason.CREDENTIAL_MALFORMED: _mend,
    Reason.CREDENTIAL_REPEATED: _say("Send the header once."),
    Reason.CREDENTIALS_AMBIGUOUS: _say(
        "Send one credential, or two of one owner that both may be used."
    ),
    Reason.CREDENTIAL_NOT_ACCEPTED: _send_accepted,
    Reason.CREDENTIAL_UNKNOWN: _known_one,
    Reason.SECRET_WRONG: _say("Check the key for typing mistakes, or make a new one."),
    Reason.PASSWORD_THROTTLED: _say("Wait up to 15 minutes, then send the right password."),
    Reason.CREDENTIAL_REVOKED: _say(_NEW_KEY),
    Reason.CREDENTIAL_EXPIRED: _say(_NEW_KEY),
    Reason.CREDENTIAL_SUPERSEDED: _successor,
    Reason.CREDENTIAL_DISABLED: _say("Enable the credential again, or make a new one."),
    Reason.OWNER_MISSING: _say(_NEW_KEY),
    Reason.OWNER_DISABLED: _say("Enable the credential's owner."),
    Reason.OWNER_WITHOUT_API: _say("Allow the credential's owner to use the API."),
    Reason.TENANT_SUSPENDED: _say("Have the operator reinstate the tenant."),
    Reason.PROJECT_DISABLED: _say("Enable the credential's project."),
    Reason.PARENT_GONE: _say("Make a new credential; the one this came from no longer stands."),
    Reason.ROLES_WITHDRAWN: _say("Give the owner one of its roles in its project again."),
    Reason.ACCESS_RULE_MISSING: _name_request,
    Reason.BASIC_NOT_ENABLED: _say(
        "Enable Basic for the user, and send the app password instead of their account's."
    ),
    Reason.NETWORK_NOT_ALLOWED: _other_network,
    Reason.SERVICE_NOT_GRANTED: _other_service,
    Reason.SCOPE_NOT_GRANTED: _wider_key,
    Reason.OWNER_LACKS_SCOPE: _wider_role,
    Reason.PARENT_LACKS_SCOPE: _say("Make the credential from a parent that holds the scope."),
    Reason.APPLICATION_MISSING: _say("Send the API key of a registered application as well."),
    Reason.APPLICATION_MALFORMED: _mend,
    Reason.APPLICATION_UNKNOWN: _say("Check the API key for typing mistakes."),
    Reason.APPLICATION_KEY_REVOKED: _say("Use a version of the program with its present API key."),
    Reason.APPLICATION_KEY_OF_ANOTHER: _say("Use the application's own key, or one for this user."),
    Reason.APPLICATION_NOT_APPROVED: _say("Use another program, or ask the operator about it."),
    Reason.APPLICATION_BLOCKED: _say("Unblock the application, or use another program."),
    Reason.PASSWORDS_BUSY: _say("Try again in a moment, or use a key, which needs no slow hash."),
    Reason.GATEWAY_INCOMPLETE: _say("Have the gateway send what the steps name."),
    Reason.GATEWAY_NOT_TRUSTED: _say("Add the gateway's address to gateways.trusted."),
    Reason.STORE_UNAVAILABLE: _say(_OPERATOR),
    Reason.POLICY_MISSING: _say("Publish the policy with latchgate policy apply."),
    Reason.SHADOW_UNANSWERED: _say("Tell the operator: the old system that decides here is down."),
    Reason.FAULT: _say(_OPERATOR),
}
