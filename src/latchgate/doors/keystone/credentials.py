"""Access keys as Keystone's application credentials, and the access rules that they name.

Rule of this file: everybody sees to their own. A token of a key that is not unrestricted reads
them and changes nothing; whoever deletes one proves again that it is they. Source:
providers/kakaocloud, "Get access key", "Delete Access key"; Keystone v3, "Application credentials".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request as HttpRequest

from latchgate.core.timestamp import parse_rfc3339
from latchgate.doors.keystone.answers import (
    MALFORMED,
    NOT_AUTHORIZED,
    Answer,
    RefusedError,
    json_answer,
    not_found,
)
from latchgate.doors.keystone.call import Call
from latchgate.doors.keystone.reading import (
    APPLICATION_CREDENTIAL,
    member,
    only,
    read_object,
)
from latchgate.doors.keystone.users import own
from latchgate.doors.typed import hashed, proven
from latchgate.manage import access_keys, access_rules
from latchgate.manage.access_keys import AccessKeySpec, StoredAccessKey
from latchgate.manage.access_rules import StoredRule
from latchgate.manage.errors import NotFoundError, StepUpError
from latchgate.manage.granted import RoleNotHeldError, RoleUnknownError
from latchgate.manage.listing import MAX_PAGE, Query
from latchgate.store.errors import ConflictError

_FIELDS = {
    "name",
    "description",
    "expires_at",
    "roles",
    "secret",
    "unrestricted",
    "access_rules",
}
_RESTRICTED = (
    "Using method 'application_credential' is not allowed for managing additional application"
    " credentials.."
)
_UNASSIGNED = (
    "Invalid application credential: Cannot create an application credential with unassigned role"
)


async def keys(call: Call) -> Answer:
    """Answer the user's access keys, all of them: `GET users/{id}/application_credentials`."""
    user_id = own(call, "list_application_credentials")
    query = call.query
    filters = {"name": query["name"]} if "name" in query else {}
    found = await asyncio.to_thread(_all, call, filters)
    told = [_told(call, key) for key in found]
    path = f"/users/{user_id}/application_credentials"
    return call.identity.listed(path, "application_credentials", told)


def _all(call: Call, filters: dict[str, str]) -> list[StoredAccessKey]:
    door, found, after = call.door, list[StoredAccessKey](), None
    while True:
        query = Query(limit=MAX_PAGE, after=after, filters=filters)
        page, after = access_keys.listed(
            door.store, door.engine.policy, call.caller, query, now=door.clock()
        )
        found += page
        if after is None:
            return found


async def key(call: Call) -> Answer:
    """Answer one of the user's access keys."""
    own(call, "get_application_credential")
    return await _shown(call, call.path[1])


async def linked_key(call: Call) -> Answer:
    """Answer one of the user's access keys by the link that it is shown with."""
    return await _shown(call, call.path[0])


async def _shown(call: Call, key_id: str) -> Answer:
    door = call.door
    try:
        found = await asyncio.to_thread(
            access_keys.shown, door.store, door.engine.policy, call.caller, key_id
        )
    except NotFoundError as error:
        raise _no_key(key_id) from error
    return json_answer({APPLICATION_CREDENTIAL: _told(call, found)})


async def create(call: Call) -> Answer:
    """Make an access key of the token's project; its secret is in this answer only."""
    own(call, "create_application_credential")
    _check_may_manage(call)
    told = member(
        read_object(await call.body()), APPLICATION_CREDENTIAL, "request body", known=_FIELDS
    )
    door = call.door
    now = door.clock()
    spec = _spec(told, now)
    policy, caller = door.engine.policy, call.caller
    chosen = await asyncio.to_thread(access_keys.check_secret, policy, caller, spec)
    digest = await hashed(door, chosen) if chosen is not None else None
    try:
        made, secret, _ = await asyncio.to_thread(
            access_keys.create,
            door.store,
            policy,
            caller,
            spec,
            now=now,
            entropy=door.entropy,
            hashed=digest,
        )
    except ConflictError as error:
        raise RefusedError(409, _duplicate(spec.name)) from error
    except RoleUnknownError as error:
        raise not_found(f"Role {error.role[:64]} is not defined") from error
    except RoleNotHeldError as error:
        raise RefusedError(400, _UNASSIGNED) from error
    shown = _told(call, made)
    shown["unrestricted"] = told.get("unrestricted")
    shown["secret"] = secret.reveal() if secret is not None else spec.secret
    return json_answer({APPLICATION_CREDENTIAL: shown}, status=201)


def _check_may_manage(call: Call) -> None:
    """Refuse a token of a restricted key: it makes and deletes none (ATTACKS D5.38)."""
    if not call.grant.credential.issues:
        raise RefusedError(403, NOT_AUTHORIZED + _RESTRICTED)


def _spec(told: Mapping[str, Any], now: float) -> AccessKeySpec:
    """Read what a new key shall be; null and an empty list of rules stand for what isn't told."""
    given = {name: value for name, value in told.items() if value is not None}
    if "name" not in given:
        raise _invalid(APPLICATION_CREDENTIAL, "'name' is a required property")
    if given.get("access_rules") == []:
        del given["access_rules"]
    if "roles" in given:
        given["roles"] = _roles(given["roles"])
    if "expires_at" in given:
        given["expires_at"] = _end(given["expires_at"], now)
    try:
        return msgspec.convert(given, AccessKeySpec)
    except msgspec.ValidationError as error:
        raise _invalid(APPLICATION_CREDENTIAL, str(error)) from error


def _roles(told: object) -> list[str]:
    """Return the roles by id or name, of which each is told by one alone."""
    if not isinstance(told, list):
        raise _invalid("roles", "Expecting a list.")
    named: list[str] = []
    for one in told:
        if not isinstance(one, dict) or len(one) != 1 or not {"id", "name"} & set(one):
            raise _invalid("roles", "Expecting each role as its id or its name.")
        (text,) = one.values()
        if not isinstance(text, str):
            raise _invalid("roles", "Expecting each role as its id or its name.")
        named.append(text)
    return named


def _end(told: object, now: float) -> str:
    """Return a time with its offset: without one, as Keystone shows it, it is in UTC."""
    text = told if isinstance(told, str) else ""
    for read in (text, f"{text}Z"):
        try:
            at = parse_rfc3339(read)
        except ValueError:
            continue
        if at <= now:
            raise RefusedError(400, f"The 'expires_at' must not be before now. {MALFORMED}")
        return read
    raise RefusedError(400, f"Timestamp not in expected format. {MALFORMED}")


async def delete(call: Call) -> Answer:
    """Delete an access key and, with it, its tokens, and answer when no worker takes them."""
    own(call, "delete_application_credential")
    _check_may_manage(call)
    key_id, door = call.path[1], call.door
    told = read_object(await call.body())
    only(told, "request body", {"password"})
    password = told.get("password")
    if password is not None and not isinstance(password, str):
        raise _invalid("password", "Expecting a string.")
    request = HttpRequest(call.scope, call.receive)
    try:
        _, n = await asyncio.to_thread(
            access_keys.delete,
            door.store,
            door.engine.policy,
            call.caller,
            key_id,
            proven=await proven(door, request, password),
            now=door.clock(),
        )
    except NotFoundError as error:
        raise _no_key(key_id) from error
    except StepUpError as error:
        # Not 401: a client would sign in anew with the very key, and ask again for ever.
        raise RefusedError(403, _prove(str(error))) from error
    await door.acknowledged(n)
    return Answer(204)


def _prove(why: str) -> str:
    return (
        f"{NOT_AUTHORIZED}identity:delete_application_credential. {why} The password goes into the"
        ' body of this request: {"password": "…"}.'
    )


async def rules(call: Call) -> Answer:
    """Answer the user's access rules."""
    user_id = own(call, "list_access_rules")
    found = await asyncio.to_thread(access_rules.listed, call.door.store, call.caller)
    path = f"/users/{user_id}/access_rules"
    return call.identity.listed(path, "access_rules", [_rule(call, one) for one in found])


async def rule(call: Call) -> Answer:
    """Answer one of the user's access rules."""
    own(call, "get_access_rule")
    rule_id = call.path[1]
    try:
        found = await asyncio.to_thread(access_rules.shown, call.door.store, call.caller, rule_id)
    except NotFoundError as error:
        raise _no_rule(rule_id) from error
    return json_answer({"access_rule": _rule(call, found)})


async def delete_rule(call: Call) -> Answer:
    """Delete one of the user's access rules that no key names."""
    own(call, "delete_access_rule")
    _check_may_manage(call)
    rule_id = call.path[1]
    try:
        await asyncio.to_thread(access_rules.delete, call.door.store, call.caller, rule_id)
    except NotFoundError as error:
        raise _no_rule(rule_id) from error
    except ConflictError as error:
        told = f"{NOT_AUTHORIZED}May not delete access rule in use."
        raise RefusedError(403, told) from error
    return Answer(204)


def _invalid(field: str, detail: str) -> RefusedError:
    return RefusedError(400, f"Invalid input for field/attribute {field}. {detail}")


def _duplicate(name: str) -> str:
    return (
        "Conflict occurred attempting to store application_credential - Duplicate entry found with"
        f" name {name}."
    )


def _no_key(key_id: str) -> RefusedError:
    return not_found(f"Could not find Application Credential: {key_id[:64]}.")


def _no_rule(rule_id: str) -> RefusedError:
    return not_found(f"Could not find Access Rule: {rule_id[:64]}.")


def _told(call: Call, found: StoredAccessKey) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": found.id,
        "name": found.name,
        "description": found.description or None,
        "user_id": found.owner_id,
        "project_id": found.project_id,
        "system": None,
        "expires_at": _naive(found.expires_at),
        "unrestricted": found.unrestricted,
        "roles": [
            {
                "id": role.id,
                "name": role.name,
                "domain_id": None,
                "description": None,
                "options": {},
            }
            for role in found.roles
        ],
    }
    if found.access_rules is not None:
        told["access_rules"] = [msgspec.to_builtins(one) for one in found.access_rules]
    told["links"] = {"self": call.identity.link(f"/application_credentials/{found.id}")}
    return told


def _rule(call: Call, found: StoredRule) -> dict[str, Any]:
    path = f"/users/{call.path[0]}/access_rules/{found.id}"
    return {**msgspec.to_builtins(found), "links": {"self": call.identity.link(path)}}


def _naive(at: float | None) -> str | None:
    """Return a time as Keystone writes it here: in UTC, without saying so."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") if at else None
