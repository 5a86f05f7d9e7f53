"""Reads the decision vectors, the contract that verifiers in other languages keep too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.core.worlds import decide, derived

from latchgate import providers
from latchgate.core.model import (
    AccessRule,
    Application,
    ApplicationKey,
    Credential,
    Decision,
    Key,
    Login,
    Noun,
    Project,
    Record,
    Refused,
    Request,
    Role,
    Tenant,
    User,
)
from latchgate.core.network import Networks, parse_address
from latchgate.core.policy import Policy
from latchgate.core.policy_file import read_policy
from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.verify.cache import Cache
from latchgate.verify.walk import Derive

FILE = Path(__file__).parents[1] / "vectors" / "decisions.json"
WHOLE: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Vector:
    """One request, the world it is decided in, and what must come out."""

    name: str
    policy: Policy
    now: float
    request: Request
    records: Mapping[Key, Record]
    refused: Refused | None
    expected: Mapping[str, Any]

    def decided(
        self,
        records: Mapping[Key, Record] | None = None,
        *,
        cache: Cache | None = None,
        needed: list[Key] | None = None,
    ) -> Decision:
        """Return what is decided, over other `records` or with a memory where they are given."""
        return decide(
            self.request,
            self.records if records is None else records,
            policy=self.policy,
            now=self.now,
            cache=cache,
            needed=needed,
            derive=self._derive,
        )

    def _derive(self, need: Derive) -> bytes | Refused:
        return self.refused if self.refused is not None else derived(need)


@cache
def _policy(name: str) -> Policy:
    told = WHOLE["policies"][name]
    files = {file: providers.text(file) for file in told.get("shipped", ())}
    return read_policy({**files, **told.get("texts", {})}, version=told["version"])


def _record(told: Mapping[str, Any]) -> tuple[Noun, Record]:
    fields = {name: value for name, value in told.items() if name != "noun"}
    if "scopes" in fields:
        fields["scopes"] = Scopes.of(fields["scopes"])
    noun = Noun(told["noun"])
    if noun is Noun.CREDENTIAL:
        networks = fields["networks"]
        fields["networks"] = Networks.of(networks) if networks is not None else None
        services = fields["services"]
        fields["services"] = frozenset(services) if services is not None else None
        fields.setdefault("issues", True)
        fields["roles"] = _several(fields.get("roles"))
        rules = fields.get("access_rules")
        fields["access_rules"] = _several(rules and [AccessRule(**one) for one in rules])
        fields["digest"] = bytes.fromhex(fields["digest"])
        return noun, Credential(**fields)
    if noun is Noun.USER:
        fields["roles"] = tuple((project, role) for project, role in fields["roles"])
        networks = fields.get("networks")
        fields["networks"] = Networks.of(networks) if networks is not None else None
        fields.setdefault("api", True)
        fields["blocked"] = frozenset(fields.get("blocked", ()))
        fields.setdefault("created_at", 0)
        fields["basic_switched"] = frozenset(fields.get("basic_switched", ()))
        return noun, User(**fields)
    if noun is Noun.APPLICATION_KEY:
        fields["digest"] = bytes.fromhex(fields["digest"])
        tenants = fields.get("tenants")
        fields["tenants"] = frozenset(tenants) if tenants is not None else None
    if noun is Noun.ROLE:
        fields["implies"] = tuple(fields.get("implies", ()))
    return noun, _PLAIN[noun](**fields)


def _several(told: Iterable[Any] | None) -> tuple[Any, ...] | None:
    return tuple(told) if told is not None else None


# What few records have, and any may be given.
_MAY = frozenset({"roles", "access_rules", "superseded_by", "superseded_at", "disabled_at"})
_PLAIN: Mapping[Noun, Callable[..., Record]] = {
    Noun.TENANT: Tenant,
    Noun.PROJECT: Project,
    Noun.ROLE: Role,
    Noun.LOGIN: Login,
    Noun.APPLICATION: Application,
    Noun.APPLICATION_KEY: ApplicationKey,
}


def _records(change: Mapping[str, Mapping[str, Any] | None]) -> dict[Key, Record]:
    known: Mapping[str, Mapping[str, Any]] = WHOLE["records"]
    assert set(change) <= set(known)
    out: dict[Key, Record] = {}
    for name, told in known.items():
        changes = change.get(name, {})
        if changes is not None:
            assert set(changes) <= {*told, *_MAY}, name
            noun, record = _record({**told, **changes})
            out[noun, record.id] = record
    return out


def _with_keys(value: str) -> str:
    for key, text in WHOLE["keys"].items():
        value = value.replace(f"{{{key}}}", text)
    return value


def _request(told: Mapping[str, Any]) -> Request:
    headers: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in told["headers"]:
        folded, sent = name.lower(), _with_keys(value)
        if folded in headers:
            repeated.add(folded)
            sent = f"{headers[folded]}, {sent}"
        headers[folded] = sent
    defaults = WHOLE["defaults"]
    client, fault = told.get("client", defaults["client"]), told.get("fault")
    return Request(
        method=told["method"],
        host=told.get("host", defaults["host"]),
        target=_with_keys(told["target"]),
        headers=headers,
        repeated=frozenset(repeated),
        client=parse_address(client) if client is not None else None,
        tls=told.get("tls", False),
        fault=(Reason(fault[0]), fault[1]) if fault else None,
    )


def _vector(told: Mapping[str, Any]) -> Vector:
    defaults = WHOLE["defaults"]
    return Vector(
        name=told["name"],
        policy=_policy(told.get("policy", defaults["policy"])),
        now=told.get("now", defaults["now"]),
        request=_request(told["request"]),
        records=_records(told.get("change", {})),
        refused=Refused(Reason(told["derive"])) if "derive" in told else None,
        expected=told["decision"],
    )


VECTORS = tuple(_vector(told) for told in WHOLE["vectors"])
