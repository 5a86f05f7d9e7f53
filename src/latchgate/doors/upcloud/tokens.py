"""API tokens: make, list, show, delete, in the provider's own fields.

Recorded answers name members in alphabetical order, leave `last_used_at` out until the first use,
and show the text of a token in the answer that makes it alone.
"""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.door import Door, caller
from latchgate.doors.upcloud.call import Call
from latchgate.doors.upcloud.wire import answer, nothing, read_body
from latchgate.manage import tokens
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError
from latchgate.manage.tokens import StoredToken, TokenSpec
from latchgate.store.usage import LastUse

_PATH = "/1.3/account/tokens"
_DEFAULT, _MOST = 20, 100
_FARTHEST = 1_000_000_000
_SORTS = ("created_at", "expires_at", "last_used_at", "name")
_EVERYWHERE = ["0.0.0.0/0", "::/0"]


async def create_token(door: Door, request: HttpRequest) -> Response:
    """Make a token; its text is in this answer only."""
    spec = await read_body(request, TokenSpec, "token")
    who = caller(request)
    token, issued, _ = await run_in_threadpool(
        tokens.create,
        door.store,
        door.engine.policy,
        who,
        spec,
        now=door.clock(),
        entropy=door.entropy,
    )
    assert issued is not None  # noqa: S101 - only a repeat has none
    told = _told(who, token, None) | {"token": issued.secret.reveal()}
    return answer(request, "token", dict(sorted(told.items())), status=201, wrapped=False)


async def list_tokens(door: Door, request: HttpRequest) -> Response:
    """Answer a part of the own tokens, as an array without a wrapper."""
    limit, offset, sort, gui = _window(request.query_params.multi_items())
    who = caller(request)
    found = await run_in_threadpool(tokens.every, door.store, door.engine.policy, who)
    uses = await run_in_threadpool(door.usage.last_uses, [one.id for one in found])
    for name, falls in reversed(sort):
        found.sort(key=lambda one, by=name: _key(one, uses, by), reverse=falls)  # type: ignore[misc]
    part = [] if gui else found[offset : offset + limit]
    told = [_told(who, one, uses.get(one.id)) for one in part]
    return answer(request, "tokens", told, wrapped=False)


async def show_token(door: Door, request: HttpRequest) -> Response:
    """Show one of one's own tokens."""
    who, token_id = caller(request), request.path_params["token_id"]
    token = await run_in_threadpool(tokens.shown, door.store, door.engine.policy, who, token_id)
    uses = await run_in_threadpool(door.usage.last_uses, [token.id])
    return answer(request, "token", _told(who, token, uses.get(token.id)), wrapped=False)


async def delete_token(door: Door, request: HttpRequest) -> Response:
    """Delete one of one's own tokens; when this answers, nobody accepts it any more."""
    token_id = request.path_params["token_id"]
    _, n = await run_in_threadpool(
        tokens.delete, door.store, door.engine.policy, caller(request), token_id
    )
    await door.acknowledged(n)
    return nothing()


def _told(who: Caller, token: StoredToken, use: LastUse | None) -> dict[str, Any]:
    ranges = token.allowed_ip_ranges
    if ranges is None:
        limits = who.owner.networks
        ranges = _EVERYWHERE if limits is None else limits.listed()
    told: dict[str, Any] = {
        "allowed_ip_ranges": [_bare(one) for one in ranges],
        "can_create_tokens": token.can_create_tokens,
        "created_at": rfc3339(token.created_at),
        "expires_at": rfc3339(token.expires_at),
        "gui": False,
        "id": token.id,
        "name": token.name,
        "type": "workspace",
    }
    if use is not None:
        told["last_used_at"] = rfc3339(use.at)
    if token.scopes is not None:
        told["scopes"] = token.scopes
    return dict(sorted(told.items()))


def _bare(network: str) -> str:
    """Return a network of one address as that address, the way it is mostly asked for."""
    address, _, length = network.partition("/")
    return address if length == ("128" if ":" in address else "32") else network


def _key(token: StoredToken, uses: dict[str, LastUse], name: str) -> Any:  # noqa: ANN401 - text or time
    if name == "last_used_at":
        use = uses.get(token.id)
        return use.at if use is not None else 0.0
    return getattr(token, name)


def _window(
    items: list[tuple[str, str]],
) -> tuple[int, int, list[tuple[str, bool]], bool]:
    """Read limit, offset, sort (field, whether it falls) and gui; InvalidError names each fault."""
    faults: list[tuple[str, str]] = []
    told = dict(items)
    if len(told) < len(items):
        faults.append(("query", "a parameter is given twice"))
    unknown = sorted(set(told) - {"limit", "offset", "sort", "gui"})
    faults += [(one[:64], "there is no such parameter") for one in unknown]
    limit = _whole(told, "limit", _DEFAULT, (1, _MOST), faults)
    offset = _whole(told, "offset", 0, (0, _FARTHEST), faults)
    gui = told.get("gui", "false")
    if gui not in {"true", "false"}:
        faults.append(("gui", "must be true or false"))
    sort = [_sorted_by(one) for one in told["sort"].split(",")] if "sort" in told else []
    names = [name for name, _ in sort]
    if not set(names) <= set(_SORTS) or len(set(names)) < len(names):
        known = ", ".join(_SORTS)
        faults.append(("sort", f"takes {known}, each once, with + to rise and - to fall"))
    if faults:
        raise InvalidError(faults)
    return limit, offset, sort or [("created_at", False)], "gui" in told and gui == "true"


def _sorted_by(text: str) -> tuple[str, bool]:
    """Read one field to sort by; without a sign it falls. A plus arrives as a space, often."""
    rises = text[:1] in {"+", " "}
    return (text[1:] if rises or text[:1] == "-" else text), not rises


def _whole(
    told: dict[str, str],
    name: str,
    default: int,
    bounds: tuple[int, int],
    faults: list[tuple[str, str]],
) -> int:
    text = told.get(name, str(default))
    fits = text.isascii() and text.isdecimal() and len(text) < 11  # noqa: PLR2004 - past it is too much
    if not fits or not bounds[0] <= int(text) <= bounds[1]:
        faults.append((name, f"must be a whole number from {bounds[0]} to {bounds[1]}"))
        return default
    return int(text)


CALLS = (
    Call("POST", _PATH, create_token),
    Call("GET", _PATH, list_tokens),
    Call("GET", f"{_PATH}/{{token_id}}", show_token),
    Call("DELETE", f"{_PATH}/{{token_id}}", delete_token),
)
