"""The shape of `latchgate.toml`: every key it may hold, and what each table is for.

Rule of this file: shapes alone; what is impossible together is refused in `config.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class ListenEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[listen]`: where `api`, `console` and `verify` answer, each `HOST:PORT`.

    `verify` also takes `unix:PATH`.
    """

    api: str = "127.0.0.1:8420"
    console: str = "127.0.0.1:8421"
    verify: str = "127.0.0.1:8422"


class NodeEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[node]`: what this machine promises where several share a database in PostgreSQL.

    `name` is what receipts call it; the host's own name unless told. `lease` is for how many
    seconds it believes what it remembers after it last heard from the database. With
    `stale_while_unreachable` it goes on for that many seconds in all while the database can't be
    reached; every receipt then waits for as long when it lacks this machine's word. Told to stop,
    it answers on `/readyz` that it does for `drain` seconds before it takes nothing new.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,63}\Z")] | None = None
    lease: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 2.0
    stale_while_unreachable: Annotated[float, msgspec.Meta(ge=1, le=3600)] | None = None
    drain: Annotated[float, msgspec.Meta(ge=0, le=300)] = 0.0


class ConsoleEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[console]`: `url`, where browsers reach the console, as `https://login.example.com`.

    Sign-in, OAuth2 and OpenID Connect are there, and it is the issuer of their tokens. Unless told
    it is the address that the console listens on. `translations` is a folder of catalogues of other
    languages than English, each `TAG/LC_MESSAGES/latchgate.mo`; there are none unless told.
    """

    url: str | None = None
    translations: str | None = None


class GatewaysEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[gateways]`: `trusted` lists the addresses and networks whose word is believed.

    Only they may ask on the verify address, and only what they forward counts. With `cache_seconds`
    one that asks at `/nginx/cached` may remember an accept for as long, and every receipt waits for
    that; 0 is off. Their clocks and this machine's differ by `clock_margin` seconds at the most.
    """

    trusted: tuple[str, ...] = ("127.0.0.1", "::1")
    cache_seconds: Annotated[int, msgspec.Meta(ge=0, le=30)] = 0
    clock_margin: Annotated[float, msgspec.Meta(ge=0.1, le=30)] = 1.0


class TlsEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[tls]`: `certificate` and `key`, PEM files that make API and console speak HTTPS.

    Both or neither. The verify address stays in the clear: gateways ask it on the same machine.
    """

    certificate: str | None = None
    key: str | None = None


class WebhooksEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[webhooks]`: `allowed_networks` lists networks of one's own that events may be sent to.

    Elsewhere only public addresses are sent to, over https; in these plain http will do too.
    """

    allowed_networks: tuple[str, ...] = ()


class WorkloadsEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[workloads]`: where issuers that tenants trust may be, besides public addresses.

    `allowed_networks` are the operator's own, of a CI server inside, for one.
    """

    allowed_networks: tuple[str, ...] = ()


class MailEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[mail]`: the server that warnings by e-mail are handed to; without `host` none are sent.

    `tls` says how it is spoken to: `starttls`, `implicit` or `none`. `from` is who they come from,
    `operator` who is written to of what is no tenant's; nobody unless told.
    """

    host: str | None = None
    port: int | None = None
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    username: str | None = None
    password_file: str | None = None
    sender: str | None = msgspec.field(default=None, name="from")
    operator: str | None = None
    ca: str | None = None


class AuditEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[audit]`: the journal's export on a schedule, off unless `export_every` is set.

    `export_directory` is where segments are written, `export_every` how often and `keep` how long
    they stay, as durations such as `1d`; without `keep` they stay for good.
    """

    export_directory: str | None = None
    export_every: str | None = None
    keep: str | None = None


class PartnerEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[leaks.partners]]`: one who searches for leaked secrets, and the keys it signs with.

    `keys_url` is where its public keys are, `keys_file` a file of them; one of the two. Both hold
    what GitHub publishes of its secret scanning: `public_keys` with `key_identifier` and `key`.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
    keys_url: str | None = None
    keys_file: str | None = None


class LeaksEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[leaks]`: `partners` may report leaked secrets at `POST /leaks`; nobody unless told."""

    partners: tuple[PartnerEntry, ...] = ()


class ClaimEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`required` of a provider: a claim and the value that it has, or that is in its list.

    `claim` is a path with dots, such as `realm_access.roles`, or a list of names where one has dots
    in it. With `disable` whoever is linked and comes without it is disabled.
    """

    claim: str | tuple[str, ...]
    value: str | bool
    disable: bool = False


class RoleClaimEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[sign_in.providers.roles]]`: a claim, its value, and the role in a project that it gives.

    `project` and `role` are ids or names in the provider's tenant. Whoever comes without the claim
    loses that role there, whoever gave it.
    """

    claim: str | tuple[str, ...]
    value: str | bool
    project: str
    role: str


class ProviderEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[sign_in.providers]]`: an external OpenID provider that people sign in through.

    `issuer` is the address below which its configuration is, over https or on this machine.
    `client_id` is what it knows Latchgate by; without `client_secret_file` as a public client.
    `tenant` (id or name) is whose users come through it; every tenant's unless told. With
    `create_users` a user is made of whoever is not linked yet, unless `require_verified_email` and
    the provider has not verified their address. With `email_domains` nobody comes in without a
    verified address of one of them. `mfa_acr` lists values of `acr` that mean a second factor.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    issuer: str
    client_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    client_secret_file: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    tenant: str | None = None
    create_users: bool = False
    require_verified_email: bool = True
    email_domains: tuple[str, ...] = ()
    mfa_acr: tuple[str, ...] = ()
    roles: Annotated[tuple[RoleClaimEntry, ...], msgspec.Meta(max_length=32)] = ()
    required: ClaimEntry | None = None


class SignInEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[sign_in]`: `providers`, through which people sign in to the console; none unless told."""

    providers: tuple[ProviderEntry, ...] = ()


_Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class UsageEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[usage]`: for how many days counts by the minute, hour and day are kept, and sources.

    A source is where a credential was used from, and with which program.
    """

    minutes: _Days = 2
    hours: _Days = 35
    days: _Days = 400
    sources: _Days = 90


class AccessLogEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[access_log]`: a line for each decision, in files of `directory`; off unless that is set.

    Files go when they are older than `days`, the oldest first when all are over `max_megabytes`.
    """

    directory: str | None = None
    days: _Days = 30
    max_megabytes: Annotated[int, msgspec.Meta(ge=1, le=1_048_576)] = 1024


class ConfigEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file; relative paths start at the file's own folder.

    `database` is where records and journal are, `usage_database` where usage and refusals are: a
    SQLite file each, or `postgresql://USER@HOST:PORT/NAME`. With records in PostgreSQL usage is in
    the same database unless told otherwise. `policy` lists the policy files that
    `policy check` and `policy apply` read.
    `master_key` is the file of the key that seals private signing keys. `log_level` is the least
    that is logged: debug, info, warning or error.
    """

    database: str = "latchgate.db"
    usage_database: str | None = None
    master_key: str = "master.key"
    policy: tuple[str, ...] = ("providers/wayscloud.toml",)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    node: NodeEntry = NodeEntry()
    listen: ListenEntry = ListenEntry()
    console: ConsoleEntry = ConsoleEntry()
    sign_in: SignInEntry = SignInEntry()
    gateways: GatewaysEntry = GatewaysEntry()
    tls: TlsEntry = TlsEntry()
    webhooks: WebhooksEntry = WebhooksEntry()
    workloads: WorkloadsEntry = WorkloadsEntry()
    mail: MailEntry = MailEntry()
    audit: AuditEntry = AuditEntry()
    leaks: LeaksEntry = LeaksEntry()
    usage: UsageEntry = UsageEntry()
    access_log: AccessLogEntry = AccessLogEntry()
