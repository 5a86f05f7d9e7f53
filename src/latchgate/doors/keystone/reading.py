"""What comes in: the body of a sign-in, queries and flags, read strictly.

Rule of this file: what can't be taken is worded as Keystone words it, and never repeats what was
sent: it may be a secret. Source: Keystone v3, "Password authentication", "Authenticating with an
Application Credential".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from latchgate.core.secret import Secret
from latchgate.doors.keystone.answers import RefusedError, bad_request

APPLICATION_CREDENTIAL = "application_credential"
PASSWORD = "password"  # noqa: S105 - the name of a method
TOKEN = "token"  # noqa: S105 - the name of a method
METHODS = (PASSWORD, TOKEN, APPLICATION_CREDENTIAL)
_NO_SCOPE = (
    "Error authenticating with application credential: Application credentials cannot request a"
    " scope."
)
_FALSE = frozenset({"0", "f", "false", "n", "no", "off"})
_decode = msgspec.json.Decoder().decode
_Object = Mapping[str, Any]


class Named(msgspec.Struct, frozen=True):
    """A domain by its id or its name; both None where nothing was said."""

    id: str | None = None
    name: str | None = None


class Whose(msgspec.Struct, frozen=True):
    """A user or a project: by its id, or by its name in a domain."""

    id: str | None
    name: str | None
    domain: Named


class KeyAsked(msgspec.Struct, frozen=True):
    """A sign-in with an access key: by its id, or by its name and user."""

    id: str | None
    name: str | None
    user: Whose | None
    secret: Secret


class PasswordAsked(msgspec.Struct, frozen=True):
    """A sign-in with a password; `project` None for a token without one."""

    user: Whose
    password: Secret
    project: Whose | None


class TokenAsked(msgspec.Struct, frozen=True):
    """A token for another project, asked for with a token."""

    text: Secret
    project: Whose | None


Asked = KeyAsked | PasswordAsked | TokenAsked


def check_media_type(told: str | None) -> None:
    """Refuse a body that says that it is something else than JSON; silence is taken for JSON."""
    if told is None:
        return
    if told.partition(";")[0].strip().lower() != "application/json":
        raise bad_request("Expecting to find application/json in Content-Type header.")


def read_object(body: bytes) -> _Object:
    """Read a body as a JSON object; an empty one is an empty object."""
    if not body.strip():
        return {}
    try:
        told = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_request("Expecting to find valid JSON in request body.") from error
    if not isinstance(told, dict):
        raise bad_request("Expecting to find valid JSON in request body.")
    return told


def read_sign_in(body: bytes) -> Asked:
    """Read what is asked of `POST auth/tokens`; RefusedError says what is wrong with it."""
    auth = member(read_object(body), "auth", "request body", known=None)
    only(auth, "auth", {"identity", "scope"})
    identity = member(auth, "identity", "auth", known=None)
    method = _method(identity)
    block = member(identity, method, "identity", known=None)
    if method == APPLICATION_CREDENTIAL:
        if auth.get("scope") is not None:
            raise RefusedError(401, _NO_SCOPE, more={"identity": {}})
        return _key(block)
    project = _scope(auth.get("scope"))
    if method == PASSWORD:
        user = member(block, "user", PASSWORD, known={"id", "name", "domain", "password"})
        who = _whose(user, "user")
        return PasswordAsked(who, _secret(user, "password", "user"), project)
    only(block, TOKEN, {"id"})
    text = _text(block, "id", TOKEN)
    if text is None:
        raise bad_request("Expecting to find id in token.")
    return TokenAsked(Secret(text), project)


def _method(identity: _Object) -> str:
    """Return the one method that is asked for.

    Several would have to be right all at once; one named twice is one (ATTACKS D4.33).
    """
    methods = identity.get("methods")
    if not isinstance(methods, list) or not methods:
        raise bad_request("Expecting to find methods in identity.")
    distinct = {method for method in methods if isinstance(method, str)}
    if len(distinct) == 1 and len(methods) == sum(isinstance(one, str) for one in methods):
        (method,) = distinct
        if method in METHODS:
            only(identity, "identity", {"methods", *METHODS})
            return method
    message = "Attempted to authenticate with an unsupported method."
    raise RefusedError(401, message, more={"identity": {"methods": list(METHODS)}})


def _key(block: _Object) -> KeyAsked:
    where = "application credential"
    only(block, APPLICATION_CREDENTIAL, {"id", "name", "secret", "user"})
    key_id, name = _text(block, "id", where), _text(block, "name", where)
    user = None
    if key_id is None:
        if name is None:
            raise bad_request("Expecting to find id or name in application credential.")
        if not isinstance(block.get("user"), dict):
            raise bad_request("Expecting to find user in application credential.")
        only(block["user"], "user", {"id", "name", "domain"})
        user = _whose(block["user"], "user")
    return KeyAsked(key_id, name, user, _secret(block, "secret", where))


def _scope(told: object) -> Whose | None:
    """Read the project that a token is asked for; tokens for anything else there are none of."""
    if told is None or told in ("unscoped", {"unscoped": {}}):
        return None
    if not isinstance(told, dict):
        raise bad_request("Expecting to find project in scope.")
    project = member(told, "project", "scope", known={"id", "name", "domain"})
    only(told, "scope", {"project"})
    return _whose(project, "project")


def _whose(told: _Object, what: str) -> Whose:
    found, name = _text(told, "id", what), _text(told, "name", what)
    if found is not None:
        return Whose(found, None, Named())
    if name is None:
        raise bad_request(f"Expecting to find id or name in {what}.")
    domain = told.get("domain")
    if not isinstance(domain, dict):
        raise bad_request(f"Expecting to find domain in {what}.")
    only(domain, "domain", {"id", "name"})
    named = Named(_text(domain, "id", "domain"), _text(domain, "name", "domain"))
    if named.id is None and named.name is None:
        raise bad_request("Expecting to find id or name in domain.")
    return Whose(None, name, named)


def member(told: _Object, name: str, where: str, *, known: set[str] | None) -> _Object:
    """Return a member that is an object, with no members but the known ones, None for any."""
    found = told.get(name)
    if not isinstance(found, dict):
        raise bad_request(f"Expecting to find {name} in {where}.")
    if known is not None:
        only(found, name, known)
    return found


def only(told: _Object, where: str, known: set[str]) -> None:
    """Refuse members that would be ignored: they may have been meant to narrow what is given."""
    unknown = sorted(set(told) - known)
    if unknown:
        raise RefusedError(400, unexpected(where, unknown[0]))


def unexpected(where: str, name: str) -> str:
    """Return the message about a member that nobody knows."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:64])
    return (
        f"Invalid input for field/attribute {where}. Additional properties are not allowed"
        f" ('{shown}' was unexpected)"
    )


def _text(told: _Object, name: str, where: str) -> str | None:
    found = told.get(name)
    if found is None:
        return None
    if not isinstance(found, str):
        raise RefusedError(400, f"Invalid input for field/attribute {name} of {where}: a string.")
    return found


def _secret(told: _Object, name: str, where: str) -> Secret:
    """Return a secret as it was typed; an absent one is a wrong one."""
    found = told.get(name)
    if found is not None and not isinstance(found, str):
        raise RefusedError(400, f"Invalid input for field/attribute {name} of {where}: a string.")
    return Secret(found or "")


def read_query(query: bytes) -> dict[str, str]:
    """Return the parameters of a query by name, of a repeated one the last."""
    if not query:
        return {}
    try:
        return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=64))
    except ValueError as error:
        raise bad_request("Expecting to find at most 64 parameters in the query.") from error


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether a parameter is set: its mere presence says so, but for a word that means no."""
    told = query.get(name)
    return told is not None and told.strip().lower() not in _FALSE
