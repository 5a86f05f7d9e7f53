"""The nouns of a decision: requests, records, grants, decisions.

Rule of this file: frozen data only, as msgspec structs, which are made in a tenth of the time of
frozen dataclasses. What is remembered is out of the collector's sight (`gc=False`): it is made of
what was there before it, so is part of no cycle, and a million of it are not walked over. Records
mirror the store's rows; nothing here holds a secret but `Request.headers`, and so a Request prints
without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from latchgate.core.assertion import Assertion
from latchgate.core.network import Address, Networks
from latchgate.core.reason import Reason, Step
from latchgate.core.scope import Scopes
from latchgate.core.secret import Secret

if TYPE_CHECKING:
    from latchgate.core.policy import Area, Rule


class Noun(StrEnum):
    """What a record is of; with an id it names one record in store, cache and journal."""

    CREDENTIAL = "credential"
    USER = "user"
    TENANT = "tenant"
    PROJECT = "project"
    ROLE = "role"
    POLICY = "policy"
    LOGIN = "login"
    APPLICATION = "application"
    APPLICATION_KEY = "application_key"
    SIGNING_KEY = "signing_key"
    STORAGE = "storage"
    LIFETIME = "lifetime"
    WEBHOOK = "webhook"
    ALERT = "alert"
    LEAK_RULE = "leak_rule"
    OAUTH_CLIENT = "oauth_client"
    CONSENT = "consent"
    AUTHENTICATOR = "authenticator"
    SESSION = "session"
    WORKLOAD = "workload"
    DATABASE = "database"  # the whole of it, when a backup was restored


Key = tuple[Noun, str]


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a gateway (or the application itself) says of one original request.

    `target` is the raw request target, path and query, as it arrived. `headers` has lower-case
    names; a name that arrived more than once is in `repeated` too. `client` is None when nobody
    could say where the request came from. `fault` is set by a door that could not read what
    it was told, and refuses the request whatever else it holds. `scope` is what the application
    itself asks for, instead of what the policy's rule names.
    """

    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    repeated: frozenset[str] = frozenset()
    client: Address | None = None
    tls: bool = False
    fault: tuple[Reason, str] | None = None
    scope: str | None = None

    def __repr__(self) -> str:
        return f"Request({self.method} {self.host} {self.client}, {len(self.headers)} headers)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show a pretty printer as little: msgspec would show it every field."""
        return [("method", self.method), ("host", self.host)]


class Tenant(msgspec.Struct, frozen=True, gc=False):
    """An isolated customer."""

    id: str
    name: str
    active: bool


class Project(msgspec.Struct, frozen=True, gc=False):
    """Where roles are held; belongs to one tenant."""

    id: str
    tenant_id: str
    active: bool
    name: str = ""


class Role(msgspec.Struct, frozen=True, gc=False):
    """A named set of scopes, and the roles it implies.

    `tenant_id` is None for one that every tenant may use.
    """

    id: str
    tenant_id: str | None
    scopes: Scopes
    implies: tuple[str, ...]
    name: str = ""


class User(msgspec.Struct, frozen=True, gc=False):
    """A person, a subaccount or a service user; `roles` are (project id, role id) pairs.

    `api` False keeps every credential of theirs out; `networks` are the user's IP filters, None
    for everywhere. `blocked` are the applications that may not act for them. `created_at`, Unix
    seconds, is when they registered; `basic_switched` are the providers at which they switched
    Basic on or off themselves, so that no default of theirs holds any more.
    """

    id: str
    tenant_id: str
    name: str
    active: bool
    api: bool
    networks: Networks | None
    roles: tuple[tuple[str, str], ...]
    blocked: frozenset[str]
    created_at: float
    basic_switched: frozenset[str]


class Login(msgspec.Struct, frozen=True, gc=False):
    """A login name in its namespace: whose it is, and what may be sent with it.

    `credentials` maps a kind to the credential which it has there now.
    """

    id: str
    user_id: str
    credentials: Mapping[str, str]


class AccessRule(msgspec.Struct, frozen=True, gc=False):
    """One sort of request that a credential may make: service, method and path.

    In `path`, `*` and `{name}` stand for one segment, `**` for any number (Keystone v3,
    "Access Rules").
    """

    service: str
    method: str
    path: str


class Succession(msgspec.Struct, frozen=True, gc=False):
    """That a secret has a successor: since when, and until when it works itself (Unix seconds)."""

    since: float
    until: float


def _succession(since: float | None, until: float | None) -> Succession | None:
    return Succession(since, until) if since is not None and until is not None else None


class Credential(msgspec.Struct, frozen=True, gc=False):
    """One issued secret: what it opens, for whom, from where and how long; never the secret.

    `services` None means every one. `networks` None means wherever its owner may be, an empty one
    nowhere. `issues` says whether more may be made with it. `roles` are those that it stands for,
    None where its scopes were issued themselves; `project_id` is empty where it has none.
    `access_rules` None means every request. `minted` says that it is a signed token, kept nowhere:
    its parent is what it was minted from. Of tokens minted from it, those in `denied_tokens` and
    those issued before `tokens_after` were deleted. One that was rotated is `superseded_by` another
    since `superseded_at` and ends with its grace, at `expires_at`; the one in its place knows it as
    its `predecessor_id`. One that is disabled may be enabled again. `application_id` names the
    program that it was given to: it stands only while that does. Times are Unix seconds.
    """

    id: str
    kind: str
    tenant_id: str
    project_id: str
    owner_id: str
    parent_id: str | None
    services: frozenset[str] | None
    scopes: Scopes
    networks: Networks | None
    issues: bool
    environment: str | None
    external_id: str | None
    digest: bytes
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    name: str = ""
    roles: tuple[str, ...] | None = None
    access_rules: tuple[AccessRule, ...] | None = None
    denied_tokens: frozenset[str] = frozenset()
    tokens_after: float | None = None
    minted: bool = False
    superseded_by: str | None = None
    superseded_at: float | None = None
    predecessor_id: str | None = None
    disabled_at: float | None = None
    application_id: str | None = None

    @property
    def succession(self) -> Succession | None:
        """That it was rotated, where it was."""
        return _succession(self.superseded_at, self.expires_at)

    @property
    def source_id(self) -> str:
        """What usage, audit and upstream know it by: itself, or what it was minted from."""
        return self.parent_id if self.minted and self.parent_id is not None else self.id

    def __repr__(self) -> str:
        return f"Credential({self.kind}, {self.id})"


class Application(msgspec.Struct, frozen=True, gc=False):
    """A registered program; `approved` False while it is asked for, refused or suspended."""

    id: str
    name: str
    approved: bool


class ApplicationKey(msgspec.Struct, frozen=True, gc=False):
    """The API-KEY of an application; for one user only where `user_id` says so.

    `tenants` None means that users of every tenant may ask with it. One that was rotated is
    `superseded_by` another since `superseded_at`, and ends at `expires_at` (Unix seconds).
    """

    id: str
    kind: str
    application_id: str
    user_id: str | None
    digest: bytes
    revoked_at: float | None
    tenants: frozenset[str] | None
    expires_at: float | None = None
    superseded_by: str | None = None
    superseded_at: float | None = None

    @property
    def succession(self) -> Succession | None:
        """That it was rotated, where it was."""
        return _succession(self.superseded_at, self.expires_at)

    def __repr__(self) -> str:
        return f"ApplicationKey({self.kind}, {self.id})"


class SigningKey(msgspec.Struct, frozen=True, gc=False):
    """The public half of a key that signs for a purpose, or did until `retired_at`."""

    id: str
    purpose: str
    public: bytes
    retired_at: float | None


Record = (
    Tenant | Project | Role | User | Login | Credential | Application | ApplicationKey | SigningKey
)


class Token(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a signed token says: minted from which credential, for which project, with which roles.

    `project_id` is empty for an unscoped one. `issues` says whether access keys may be made with
    it. Times are Unix seconds.
    """

    id: str
    credential_id: str
    project_id: str
    roles: tuple[str, ...]
    issues: bool
    issued_at: float
    expires_at: float


class AccessToken(msgspec.Struct, frozen=True):
    """What an OAuth2 access token says: minted from which credential, with which scopes.

    Times are Unix seconds. Source: RFC 9068 §2.2.
    """

    id: str
    credential_id: str
    scopes: Scopes
    issued_at: float
    expires_at: float


class Signed(msgspec.Struct, frozen=True):
    """A token as it was presented: what it says, and the signature that is to be checked."""

    token: Token | AccessToken
    key_id: str
    message: bytes
    signature: bytes


class Presented(msgspec.Struct, frozen=True):
    """A credential as claimed by a request: its kind, its public id and its digest.

    Where a login name is sent instead of an id, `credential_id` is empty and `login` that name.
    `password` is a secret that a person chose: its digest takes the stored one's salt, and work.
    `signed` is a token that no record is of.
    `others` are further digests of the same text, as another system's imported hash is kept.
    `assertion` is what an identity provider signed, and `login` whom it says it is for: its digest
    takes the provider's keys.
    """

    kind: str
    credential_id: str
    digest: bytes
    login: str | None = None
    password: Secret | None = None
    signed: Signed | None = None
    assertion: Assertion | None = None
    others: tuple[bytes, ...] = ()

    @property
    def label(self) -> str:
        """What names it without its secret."""
        return self.credential_id if self.login is None else self.login

    def __repr__(self) -> str:
        return f"Presented({self.kind}, {self.label})"


class Refused(msgspec.Struct, frozen=True):
    """Why something was refused, and what exactly was wrong."""

    reason: Reason
    detail: str = ""


class Grant(msgspec.Struct, frozen=True, gc=False):
    """A verified credential: who it stands for, what it may do now, and with which program.

    `application_key_id` names the key that the program came with, `application_succession` tells
    that it was replaced. `roles` are those that it stands
    for now, where it stands for roles.
    """

    credential: Credential
    owner: User
    rights: Scopes
    application: Application | None = None
    roles: frozenset[str] = frozenset()
    application_key_id: str = ""
    application_succession: Succession | None = None


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What the store knows about one credential; `core.standing.assemble` derives the rest.

    `gap` says which of its holders (tenant, owner, project) does not stand; `grant` is what it
    gives when everything stands, None when there is a gap.
    """

    credential: Credential
    owner_rights: Scopes
    parent: Facts | None
    gap: Reason | None
    grant: Grant | None


class ApplicationFacts(msgspec.Struct, frozen=True, gc=False):
    """What the store knows about one application key; `application` None when it is gone."""

    key: ApplicationKey
    application: Application | None


TraceStep = tuple[Step, bool, tuple[object, ...]]


class Memo(msgspec.Struct, gc=False, eq=False):
    """What is kept beside a decision that is told again and again, by whoever words or counts it.

    `passed` are the notices and the identity that an application is told; nobody writes to them.
    `counted` is for the counter alone. The collector of cycles need not look at it: what it holds
    holds no decision.
    """

    answer: bytes | None = None
    answer_to_nginx: bytes | None = None
    passed: tuple[tuple[tuple[str, str], ...], dict[str, str]] | None = None
    counted: Any = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Allowed (with a Grant, or anonymously on a public area) or refused; always with its trace.

    `id` is empty on allowed decisions, which leave no trace behind. `journal` is the position
    of the journal that the facts were valid at. Only a remembered decision has a `memo`.
    The collector of cycles need not look at it, though 100,000 are kept: nothing in it holds one.
    """

    id: str
    reason: Reason
    area: Area | None
    rule: Rule | None
    grant: Grant | None
    dialect: str
    policy_version: int
    journal: int
    trace: tuple[TraceStep, ...]
    credential: Credential | None = None
    memo: Memo | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.reason is Reason.ALLOWED
