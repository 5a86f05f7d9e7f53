"""Worlds to decide in: what a store would hold, and how a decision is made over it.

Everything is made from seeds, so that a failure comes back the next time.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar, cast

import msgspec
from hypothesis import settings

from latchgate import providers
from latchgate.core.kinds import ApplicationKeyKind, IssuedKind, Kind
from latchgate.core.kinds.service_key import ENTROPY_BYTES, ServiceKey
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import (
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
    SigningKey,
    Tenant,
    User,
)
from latchgate.core.network import parse_address
from latchgate.core.policy import Policy
from latchgate.core.policy_file import read_policy
from latchgate.core.scope import ALL
from latchgate.verify.cache import Cache
from latchgate.verify.check import check
from latchgate.verify.walk import Derive, Need

NOW = 1_800_000_000.0
FUZZ = settings(deadline=None, max_examples=300)

TENANT = Tenant(id="t-acme", name="Acme", active=True)
PROJECT = Project(id="p-web", tenant_id="t-acme", active=True)
ROLE = Role(id="r-all", tenant_id=None, scopes=ALL, implies=())
OWNER = User(
    id="u-ada",
    tenant_id="t-acme",
    name="ada",
    active=True,
    api=True,
    networks=None,
    roles=(("p-web", "r-all"),),
    blocked=frozenset(),
    created_at=NOW - 86_400,
    basic_switched=frozenset(),
)

_NOUNS: Mapping[type, Noun] = {
    Tenant: Noun.TENANT,
    Project: Noun.PROJECT,
    Role: Noun.ROLE,
    User: Noun.USER,
    Login: Noun.LOGIN,
    Credential: Noun.CREDENTIAL,
    Application: Noun.APPLICATION,
    ApplicationKey: Noun.APPLICATION_KEY,
    SigningKey: Noun.SIGNING_KEY,
}
_R = TypeVar("_R", bound=msgspec.Struct)


def entropy(seed: object, size: int) -> bytes:
    """Return bytes that look random and are the same for the same seed."""
    return hashlib.shake_256(repr(seed).encode()).digest(size)


def shipped() -> Policy:
    """Return the policy that every installation starts with."""
    names = (providers.BUILT_IN, *(f"{name}.toml" for name in providers.SHIPPED))
    return read_policy({name: providers.text(name) for name in names}, version=7)


SHIPPED = shipped()


class UserKind(Kind, IssuedKind, Protocol):
    """A kind that names a user, and is issued."""


def shipped_kind(name: str) -> UserKind:
    """Return a kind of the shipped policy that names a user."""
    found = SHIPPED.kinds[name]
    assert not isinstance(found, ApplicationKeyKind)
    return cast("UserKind", found)


WAYSCLOUD = shipped_kind("wayscloud.service_key")
LATCHGATE = shipped_kind("latchgate.service_key")


def changed(record: _R, **changes: Any) -> _R:
    """Return a record with some fields replaced."""
    return msgspec.structs.replace(record, **changes)


def service_key(
    kind: UserKind = WAYSCLOUD, *, service: str = "storage", seed: object = 1
) -> Issued:
    """Return a new service key."""
    assert isinstance(kind, ServiceKey)
    return kind.issue(Spec(service=service), entropy(seed, ENTROPY_BYTES))


def credential(issued: Issued, kind: Kind = WAYSCLOUD, **changes: Any) -> Credential:
    """Return the record of a credential of `OWNER`: storage, every scope, everywhere, for ever."""
    record = Credential(
        id=issued.id,
        kind=kind.name,
        tenant_id=TENANT.id,
        project_id=PROJECT.id,
        owner_id=OWNER.id,
        parent_id=None,
        services=frozenset({"storage"}),
        scopes=ALL,
        networks=None,
        issues=True,
        environment=None,
        external_id=None,
        digest=issued.digest,
        created_at=NOW - 1000,
        expires_at=None,
        revoked_at=None,
    )
    return changed(record, **changes)


def world(*records: Record) -> dict[Key, Record]:
    """Return the usual tenant, project, role and owner, with `records` added or put in place."""
    listed = (TENANT, PROJECT, ROLE, OWNER, *records)
    return {(_NOUNS[type(record)], record.id): record for record in listed}


def without(records: Mapping[Key, Record], *gone: Record) -> dict[Key, Record]:
    """Return a world in which some records do not exist."""
    ids = {record.id for record in gone}
    return {key: record for key, record in records.items() if record.id not in ids}


def bearer(text: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"authorization": f"Bearer {text}"}


def basic(login: str, password: str, encoding: str = "utf-8") -> dict[str, str]:
    """Return the header that carries a login name and a password."""
    pair = f"{login}:{password}".encode(encoding)
    return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}


def request(
    method: str = "GET",
    target: str = "/v1/storage/a.txt",
    headers: Mapping[str, str] | None = None,
    *,
    host: str = "api.example.com",
    client: str | None = "192.0.2.10",
    repeated: Iterable[str] = (),
    **more: Any,
) -> Request:
    """Return a request as a door would hand it on, header names in lower case."""
    return Request(
        method=method,
        host=host,
        target=target,
        headers={name.lower(): value for name, value in (headers or {}).items()},
        repeated=frozenset(repeated),
        client=parse_address(client) if client is not None else None,
        **more,
    )


def derived(need: Derive) -> bytes:
    """Return what stands for the slow digest of a password: as good as the salt, and quick."""
    return slow_digest(need.password.reveal(), (need.like or b"nobody$")[:7])


def slow_digest(password: str, salt: bytes = b"a-salt$") -> bytes:
    """Return the digest that a record keeps of a password, for `derived` to work out again."""
    return salt + hashlib.sha256(salt + password.encode()).digest()


def decide(
    asked: Request,
    records: Mapping[Key, Record],
    *,
    policy: Policy = SHIPPED,
    now: float = NOW,
    cache: Cache | None = None,
    needed: list[Key] | None = None,
    derive: Callable[[Derive], bytes | Refused] = derived,
) -> Decision:
    """Decide a request over `records`, from an empty memory unless `cache` is given.

    What had to be looked up is added to `needed`; `derive` works out digests of passwords.
    """
    memory = Cache(1) if cache is None else cache
    walk = check(asked, policy=policy, now=now, cache=memory, new_id=lambda: "refusal-1")
    try:
        need = next(walk)
        while True:
            if isinstance(need, Derive):
                need = walk.send(derive(need))
                continue
            assert isinstance(need, Need)  # nothing here is signed by somebody else
            if needed is not None:
                needed.extend(need.keys)
            found = {key: records.get(key) for key in need.keys}
            memory.insert(memory.position, found.items())
            need = walk.send(found)
    except StopIteration as done:
        decision: Decision = done.value
        return decision
