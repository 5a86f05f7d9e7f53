"""The routes of the identity API, and the ASGI application that holds them.

Rule of this folder: the gate decides who may come in; a handler reads strictly, calls one function
of `manage` or asks the engine, and words what it returns. Plain ASGI, because tokens are given out
and validated by the thousand.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from latchgate.core.kinds.project_token import IDENTITY_PATH
from latchgate.core.model import Decision
from latchgate.core.policy import Policy
from latchgate.doors.door import Door
from latchgate.doors.keystone import credentials, documents, sign_in, tokens, users
from latchgate.doors.keystone.answers import (
    NOT_AUTHORIZED,
    RefusedError,
    error_answer,
    forbidden,
    not_found,
    send_answer,
    unavailable,
)
from latchgate.doors.keystone.bodies import Validated
from latchgate.doors.keystone.call import Call, Handler
from latchgate.doors.keystone.identity import Identity
from latchgate.manage.errors import InvalidError, ManageError, NotFoundError, TooManyError
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError, UnstorableError

# The paths that these routes are below.
BELOW = ("/identity", "/v3")
_log = logging.getLogger(__name__)
_Methods = Mapping[str, Handler]

# Of a collection that tokens of members don't open: what one of it is called.
_CLOSED = {
    "users": "user",
    "projects": "project",
    "domains": "domain",
    "roles": "role",
    "role_assignments": "role_assignment",
    "services": "service",
    "endpoints": "endpoint",
    "regions": "region",
    "groups": "group",
    "credentials": "credential",
}
_ACTS = {"POST": "create", "PATCH": "update", "PUT": "update", "DELETE": "delete"}

# By the path below `/v3`; `*` stands for one segment.
ROUTES: Mapping[tuple[str, ...], _Methods] = {
    (): {"GET": documents.version},
    ("auth", "tokens"): {
        "POST": sign_in.issue,
        "GET": tokens.validate,
        "DELETE": tokens.delete,
    },
    ("auth", "projects"): {"GET": users.own_projects},
    ("auth", "catalog"): {"GET": documents.catalog},
    ("auth", "domains"): {"GET": documents.domains},
    ("auth", "system"): {"GET": documents.system},
    ("users", "*"): {"GET": users.user},
    ("users", "*", "projects"): {"GET": users.user_projects},
    ("users", "*", "application_credentials"): {
        "GET": credentials.keys,
        "POST": credentials.create,
    },
    ("users", "*", "application_credentials", "*"): {
        "GET": credentials.key,
        "DELETE": credentials.delete,
    },
    # As the keys' own links are written.
    ("application_credentials", "*"): {"GET": credentials.linked_key},
    ("users", "*", "access_rules"): {"GET": credentials.rules},
    ("users", "*", "access_rules", "*"): {
        "GET": credentials.rule,
        "DELETE": credentials.delete_rule,
    },
    ("projects", "*"): {"GET": users.project},
}
# The most asked for, found at once.
_EXACT = {f"{below}/auth/tokens": ROUTES["auth", "tokens"] for below in (IDENTITY_PATH, "/v3")}
_DEPTH = max(len(path) for path in ROUTES)


def application(door: Door) -> ASGIApp:
    """Return the ASGI application of the routes, which stands behind the gate."""
    validated = Validated()
    known: list[tuple[Policy, str, Identity]] = []

    def identity(provider: str) -> Identity:
        policy = door.engine.policy
        for under, named, found in known:
            if under is policy and named == provider:
                return found
        made = Identity.of(policy, provider, door.api_url)
        known[:] = [one for one in known if one[0] is policy]
        known.append((policy, provider, made))
        return made

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        decision: Decision = scope["latchgate.decision"]
        url = f"{door.api_url}{IDENTITY_PATH}"
        try:
            provider = decision.area.provider if decision.area is not None else ""
            here = identity(provider)
            url = here.url
            handler, path = _find(scope["path"], scope["method"])
            told = await handler(Call(door, here, validated, scope, receive, path))
        except RefusedError as error:
            told = error_answer(error, url)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - whatever fails is answered in Keystone's words
            told = error_answer(_worded(error), url)
        await send_answer(told, scope, send, door.entropy(16))

    return answer


def _worded(error: Exception) -> RefusedError:
    if isinstance(error, HTTPException):
        return RefusedError(error.status_code, error.detail)
    if isinstance(error, OutcomeUnknownError):
        _log.exception("a commit failed")
        told = "The commit failed; look whether the change happened before you repeat it."
        return RefusedError(503, told)
    if isinstance(error, StoreError) and not isinstance(error, ConflictError):
        _log.exception("the store failed")
        return unavailable()
    if isinstance(error, ManageError):
        return _refused(error)
    if isinstance(error, UnstorableError):
        return RefusedError(400, f"The request can't be taken: {error}.")
    if isinstance(error, ConflictError):
        return RefusedError(409, error.detail)
    _log.error("a request of the identity API failed", exc_info=error)
    return RefusedError(500, "An unexpected error prevented the server from fulfilling it.")


def _refused(error: ManageError) -> RefusedError:
    """Word what a change was refused for; whoever asked again what Keystone words, did before."""
    if isinstance(error, InvalidError):
        field, detail = error.faults[0]
        return RefusedError(400, f"Invalid input for field/attribute {field}. {detail}")
    if isinstance(error, NotFoundError):
        return not_found()
    if isinstance(error, TooManyError):
        wait = str(error.retry_after)
        told = f"{error}; try again in {wait} s."
        return RefusedError(429, told, headers=((b"retry-after", wait.encode()),))
    return RefusedError(403, f"{NOT_AUTHORIZED}{error}")


def _find(path: str, method: str) -> tuple[Handler, tuple[str, ...]]:
    """Return the handler of a path, and what stands there for each `*`."""
    exact = _EXACT.get(path)
    if exact is not None:
        return _chosen(exact, method), ()
    parts = tuple(path.strip("/").split("/"))
    if parts == ("identity",):
        return _chosen({"GET": documents.versions}, method), ()
    below = parts[2:] if parts[0] == "identity" else parts[1:]
    if (parts[1:2] != ("v3",)) if parts[0] == "identity" else (parts[0] != "v3"):
        raise not_found()
    methods = ROUTES.get(below)
    if methods is not None:
        return _chosen(methods, method), ()
    if len(below) <= _DEPTH:
        for route, handlers in ROUTES.items():
            if len(route) == len(below) and _fits(route, below):
                named = tuple(told for one, told in zip(route, below, strict=True) if one == "*")
                return _chosen(handlers, method), named
    return _closed(below, method), ()


def _fits(route: tuple[str, ...], below: tuple[str, ...]) -> bool:
    return all(one in {"*", told} for one, told in zip(route, below, strict=True))


def _chosen(methods: _Methods, method: str) -> Handler:
    found = methods.get("GET" if method == "HEAD" else method)
    if found is None:
        names = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
        message = "The method is not allowed for the requested URL."
        raise RefusedError(405, message, headers=((b"allow", names.encode()),))
    return found


def _closed(below: tuple[str, ...], method: str) -> Handler:
    """Refuse what only Keystone's administrators do there, and what there is nothing of here."""
    one = _CLOSED.get(below[0]) if below else None
    if one is None or len(below) > 2:  # noqa: PLR2004 - a collection and one of it
        raise not_found()
    if method in {"GET", "HEAD"}:
        raise forbidden(f"identity:{f'get_{one}' if below[1:] else f'list_{below[0]}'}")
    act = _ACTS.get(method)
    if act is None:
        raise not_found()
    raise forbidden(f"identity:{act}_{one}")
