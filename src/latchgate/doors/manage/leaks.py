"""Leaks: reported, looked up by digest, listed; what shall happen then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.doors.typed import is_right
from latchgate.manage import leak_proof, leak_rules, leaks
from latchgate.manage.errors import InvalidError
from latchgate.manage.leak_rules import LeakRule, LeakRuleSpec
from latchgate.manage.leaks import Known, LeakedToken, LeakLookup, LeakReport

_PATH = "/manage/v1/leaks"
_RULES = "/manage/v1/leak-rules"


class Leak(msgspec.Struct, frozen=True):
    """A proven leak; `action` is what was done: revoke, notify, or none where it had ended."""

    id: str
    created_at: str
    noun: str
    record: str
    kind: str
    tenant_id: str | None
    source: str
    url: str
    reporter: str
    action: str


class LeakPage(msgspec.Struct, frozen=True):
    """A page of leaks, oldest first; `next` is the `after` of the following page."""

    leaks: list[Leak]
    next: str | None


class Handled(msgspec.Struct, frozen=True):
    """One secret was handled; `leak` is null where it is not yours, or no secret at all."""

    status: Literal["handled"]
    leak: Leak | None


class LeaksHandled(msgspec.Struct, frozen=True):
    """What became of each secret, in order, and who follows."""

    handled: list[Handled]
    receipt: ReceiptShape


class KnownDigests(msgspec.Struct, frozen=True):
    """Those digests which are a credential's that is the caller's to see."""

    known: list[Known]


class LeakRules(msgspec.Struct, frozen=True):
    """A tenant's rules; a kind without one, and without one for `*`, is revoked."""

    rules: list[LeakRule]


async def report_leaks(door: Door, request: HttpRequest) -> Response:
    """Handle secrets that were found, and wait until every verifier follows."""
    spec = await read_body(request, LeakReport)
    who = caller(request)
    right = await _worked_out(door, request, spec.tokens)
    seen: list[Handled] = []
    last = 0
    for at, one in enumerate(spec.tokens):
        leak, n = await run_in_threadpool(
            leaks.report,
            door.store,
            door.engine.policy,
            who.actor,
            one,
            redact=door.redact,
            entropy=door.entropy,
            worked_out=at in right,
        )
        mine = leak is not None and (
            leak.tenant_id == who.tenant_id or leaks.EVERYWHERE in who.rights
        )
        shown = told(leak, Leak) if leak is not None and mine else None
        seen.append(Handled("handled", shown))
        last = max(last, n)
    return json_answer(LeaksHandled(seen, await receipt(door, last)))


async def _worked_out(door: Door, request: HttpRequest, tokens: list[LeakedToken]) -> set[int]:
    """Return which secrets are those of the access keys they are said to be of, by slow work.

    Before anything is handled, for it may be too much. InvalidError, TooManyError.
    """
    named = [(at, one, one.id) for at, one in enumerate(tokens) if one.id is not None]
    if len(named) > leaks.MAX_WORK:
        why = f"{len(named)} secrets have an id; send {leaks.MAX_WORK} of those at a time"
        raise InvalidError([("tokens", why)])
    right: set[int] = set()
    for at, one, record in named:
        guess = await run_in_threadpool(
            leak_proof.guessed, door.store, door.engine.policy, one.token, record
        )
        if guess is not None and await is_right(
            door,
            guess.password,
            account=guess.account,
            like=guess.stored,
            client=request.scope["latchgate.client"],
        ):
            right.add(at)
    return right


async def look_up_leaks(door: Door, request: HttpRequest) -> Response:
    """Say which digests are known."""
    asked = await read_body(request, LeakLookup)
    found = await run_in_threadpool(
        leaks.known, door.store, caller(request), asked, now=door.clock()
    )
    return json_answer(KnownDigests(found))


async def list_leaks(door: Door, request: HttpRequest) -> Response:
    """Page through leaks."""
    query = read_query(request.query_params.multi_items(), leaks.LISTING)
    found, following = await run_in_threadpool(
        leaks.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(LeakPage([told(one, Leak) for one in found], following))


async def list_leak_rules(door: Door, request: HttpRequest) -> Response:
    """List the tenant's rules."""
    return json_answer(
        LeakRules(await run_in_threadpool(leak_rules.rules, door.store, caller(request)))
    )


async def set_leak_rule(door: Door, request: HttpRequest) -> Response:
    """Set the tenant's rule for a kind."""
    spec = await read_body(request, LeakRuleSpec)
    rule = await run_in_threadpool(
        leak_rules.set_rule,
        door.store,
        door.engine.policy,
        caller(request),
        request.path_params["kind"],
        spec,
    )
    return json_answer(rule, version=rule.version)


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        report_leaks,
        "Report leaked secrets, with a receipt",
        "manage:leaks.write",
        body=LeakReport,
        answer=LeaksHandled,
        refusals=(413, 415, 422, 429),
    ),
    Operation(
        "GET",
        _PATH,
        list_leaks,
        "List leaks",
        "manage:leaks.read",
        answer=LeakPage,
        listing=leaks.LISTING,
        refusals=(422,),
    ),
    Operation(
        "POST",
        f"{_PATH}/lookup",
        look_up_leaks,
        "Ask which digests are a credential's",
        "manage:leaks.read",
        body=LeakLookup,
        answer=KnownDigests,
        refusals=(413, 415, 422),
    ),
    Operation(
        "GET",
        _RULES,
        list_leak_rules,
        "List what happens when a secret leaks",
        "manage:leaks.read",
        answer=LeakRules,
    ),
    Operation(
        "PUT",
        _RULES + "/{kind}",
        set_leak_rule,
        "Say what happens when a secret of a kind leaks",
        "manage:leaks.write",
        body=LeakRuleSpec,
        answer=LeakRule,
        refusals=(413, 415, 422),
    ),
)

_LEAK = {
    "id": "leak-6g1t0c8m5x2kq7v9t3hd",
    "created_at": "2026-10-01T09:30:00Z",
    "noun": "credential",
    "record": "k3v9q1m7x2ab",
    "kind": "wayscloud.service_key",
    "tenant_id": "t-9f3kq2m7x1vb4c8d",
    "source": "log",
    "url": "https://logs.example.com/2026/10/01",
    "reporter": "user:u-7h4c0p2rw9x5f3am key:49s7swh4t3k4",
    "action": "revoke",
}
_RECEIPT = {
    "journal": 48,
    "at": "2026-10-01T09:30:00Z",
    "elapsed_ms": 0.412,
    "verifiers": [
        {
            "id": "5b0f4c1d2e3a6978",
            "process": 811,
            "state": "acknowledged",
            "kind": "node",
            "node": "node-1",
            "trust_seconds": 2.0,
            "stale": False,
        }
    ],
    "known": True,
    "waited": True,
}
_RULE = {"kind": "wayscloud.service_key", "action": "notify", "version": 51}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    LeakReport: {
        "tokens": [
            {
                "token": "the whole secret",
                "url": "https://logs.example.com/2026/10/01",
                "source": "log",
            }
        ]
    },
    Leak: _LEAK,
    LeakPage: {"leaks": [_LEAK], "next": None},
    LeaksHandled: {"handled": [{"status": "handled", "leak": _LEAK}], "receipt": _RECEIPT},
    LeakLookup: {"digests": [{"kind": "wayscloud.service_key", "digest": "9f" * 32}]},
    KnownDigests: {
        "known": [
            {
                "kind": "wayscloud.service_key",
                "digest": "9f" * 32,
                "credential_id": "k3v9q1m7x2ab",
                "tenant_id": "t-9f3kq2m7x1vb4c8d",
                "owner_id": "u-7h4c0p2rw9x5f3am",
                "name": "Uploader",
                "state": "active",
            }
        ]
    },
    LeakRuleSpec: {"action": "notify"},
    LeakRule: _RULE,
    LeakRules: {"rules": [_RULE]},
}
