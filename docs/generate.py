# ruff: noqa: INP001 - run by path
"""Write docs/reference from the code.

    python docs/generate.py            writes the pages
    python docs/generate.py --check    says which are stale, and fails when one is

What a key is for is said here; that it exists, its type and its default come from the code. A key
without words, or words without a key, ends in an error.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from latchgate import cli, config_entries, providers
from latchgate.core import path
from latchgate.core.dialects import DIALECTS
from latchgate.core.dialects.table import TABLE, challenge_error, challenged
from latchgate.core.explain import worded
from latchgate.core.kinds import (
    APPLICATION_KEY,
    ASSERTED,
    EXCHANGED,
    IMPORTED,
    KINDS,
    SIGNED,
    access_key,
    account_password,
    api_token,
    app_password,
    application_key,
    client_secret,
    imported_key,
    oauth_token,
    oidc_bearer,
    project_token,
    service_key,
)
from latchgate.core.policy_entries import (
    AreaEntry,
    ProviderEntry,
    RuleEntry,
    ServiceEntry,
    ShadowEntry,
)
from latchgate.core.reason import Reason
from latchgate.doors import door, listener
from latchgate.doors.manage import access_keys as manage_access_keys
from latchgate.doors.manage import app as manage_app
from latchgate.doors.manage import applications as manage_applications
from latchgate.doors.manage import audit as audit_door
from latchgate.doors.manage import basic as manage_basic
from latchgate.doors.manage import developers as manage_developers
from latchgate.doors.manage import lifetimes as manage_lifetimes
from latchgate.doors.manage import links as manage_links
from latchgate.doors.manage import passwords as manage_passwords
from latchgate.doors.manage import seen as manage_seen
from latchgate.doors.manage import shapes
from latchgate.doors.manage import storage as manage_storage
from latchgate.doors.manage import tokens as manage_tokens
from latchgate.doors.manage import webhooks as manage_webhooks
from latchgate.doors.verify import protocol, questions
from latchgate.jobs import deliveries, sending
from latchgate.manage import audit, chain, webhooks, workloads
from latchgate.manage.access_keys import AccessKeySpec
from latchgate.manage.applications import ApplicationSpec, Review
from latchgate.manage.basic import BasicSpec
from latchgate.manage.client_grants import ActingSpec
from latchgate.manage.client_secrets import SecretSpec
from latchgate.manage.decisions import ExplainRequest
from latchgate.manage.developers import Target
from latchgate.manage.keys import KeySpec
from latchgate.manage.lifetimes import LifetimeSpec
from latchgate.manage.links import LinkSpec
from latchgate.manage.oauth_clients import ClientSpec
from latchgate.manage.passwords import FirstPassword, PasswordChange
from latchgate.manage.published_key import PublishedKeySpec
from latchgate.manage.tokens import TokenSpec
from latchgate.manage.webhooks import WebhookSpec
from latchgate.serve import servers, tls
from latchgate.store import recorder, refusals, verifiers
from latchgate.verify import cache, receipts

PAGES = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py: change the code or that program, not this page. -->\n"

Words = Mapping[str, str]

CONFIGURATION: Words = {
    "database": "SQLite file of records and journal. Its bell, `-wal` and `-shm` stand beside it.",
    "usage_database": "Where refusals, counts and last use are: a SQLite file, another than"
    " `database`, or `postgresql://USER@HOST:PORT/NAME`, where all machines count together."
    " Absent: that PostgreSQL which `database` names, else `latchgate-usage.db`.",
    "log_level": "The least that is logged: `debug`, `info`, `warning` or `error`. Secrets are"
    " masked at every level; statements of the database are never logged.",
    "master_key": "File of the key that private signing keys are sealed with; mode 0600, kept apart"
    " from copies of the database.",
    "policy": "Policy files that `policy check` and `policy apply` read. Verifiers follow what was"
    " applied, never these files.",
    "listen": "The three addresses, below.",
    "console": "Where browsers reach the console, below.",
    "console.url": "Its origin as browsers see it, such as `https://login.example.com`; the issuer"
    " of OAuth2 tokens. Absent: the address of `listen.console`.",
    "console.translations": "A folder of catalogues of other languages, each as"
    " `TAG/LC_MESSAGES/latchgate.mo`; see [how to translate the"
    " console](../howto/translate-the-console.md). Absent: English alone.",
    "sign_in": "How people sign in to the console besides passwords and passkeys, below.",
    "sign_in.providers": "External OpenID providers, each a table `[[sign_in.providers]]`; see [how"
    " to sign in with Keycloak](../howto/sign-in-with-keycloak.md). None unless told.",
    "sign_in.providers.name": "What its addresses here and the journal call it:"
    " `/sign-in/callback/NAME`, `provider:NAME`. Renamed, it signs out whoever came by it.",
    "sign_in.providers.title": "What people read on its button.",
    "sign_in.providers.issuer": "What its ID tokens say in `iss`, to the letter; its configuration"
    " is below it, at `/.well-known/openid-configuration`. No two providers share one.",
    "sign_in.providers.client_id": "What it knows this server by.",
    "sign_in.providers.client_secret_file": "File of the secret that it knows this server by, read"
    " at each sign-in. Absent: a public client. PKCE is used either way.",
    "sign_in.providers.scopes": "What it is asked for; `openid` must be there.",
    "sign_in.providers.algorithms": "How its ID tokens may be signed.",
    "sign_in.providers.tenant": "Id or name of the tenant whose users come by it. Absent: whoever"
    " is linked, of any.",
    "sign_in.providers.create_users": "Whether a user is made of whoever signs in and is not"
    " linked.",
    "sign_in.providers.require_verified_email": "Whether that takes an e-mail address that it has"
    " verified.",
    "sign_in.providers.email_domains": "If told, everybody needs a verified address of one of these"
    " domains, at each sign-in.",
    "sign_in.providers.mfa_acr": "Values of `acr` that mean that it asked for a second factor."
    " `mfa` in `amr` says so by itself.",
    "sign_in.providers.roles": "Claims that give roles, each a table"
    " `[[sign_in.providers.roles]]`.",
    "sign_in.providers.required": "A claim that nobody comes in without:"
    " `[sign_in.providers.required]`.",
    "sign_in.providers.required.claim": "Where the claim is: names with dots between, or a list of"
    " names where one has dots in it.",
    "sign_in.providers.required.value": "The text, `true` or `false` that it is, or that is in its"
    " list.",
    "sign_in.providers.required.disable": "Whether a linked user who comes without it is disabled."
    " An administrator enables them again.",
    "sign_in.providers.roles.claim": "As that of `required`.",
    "sign_in.providers.roles.value": "As that of `required`.",
    "sign_in.providers.roles.project": "Id or name of the project in which the role is held.",
    "sign_in.providers.roles.role": "Id or name of the role. Who comes without the claim loses it"
    " in that project, whoever gave it.",
    "gateways": "Whose word counts, below.",
    "tls": "The certificate of API and console, below. Without it they speak plain HTTP.",
    "audit": "The journal's export on a schedule, below. Without it nothing is exported.",
    "audit.export_directory": "Folder of the segments, made with mode 0700 where it is missing."
    " What was exported last stays there: it says where to go on.",
    "audit.export_every": "How often, for example `1d`; at least `1m`. Absent: never.",
    "audit.keep": "How long a segment stays, for example `400d`. Absent: for good.",
    "node": "What this machine promises where several share a database, below.",
    "node.name": "What receipts call it. The host's own name unless told.",
    "node.lease": "Seconds that it believes what it remembers after it last heard from the"
    " database.",
    "node.stale_while_unreachable": "Seconds that it does so while the database can't be reached;"
    " longer than `lease`. Every receipt waits for 1.25 × this when it lacks this machine's word.",
    "node.drain": "Seconds that `/readyz` says that it stops before it takes no more connections.",
    "listen.api": "Management API, `/healthz`, `/readyz`. `HOST:PORT`, `[IPV6]:PORT`; port 0 takes"
    " a free one.",
    "listen.console": "The console's own origin. So far it answers `/healthz` and the form at"
    " `/applications/request`.",
    "listen.verify": "What gateways ask. `HOST:PORT` or `unix:/PATH` (mode 0660). Never a public"
    " address.",
    "gateways.trusted": "Addresses and networks. Over TCP only they may ask on `listen.verify`; on"
    " either address, only from them do `X-Forwarded-For` and `X-Forwarded-Proto` count. Whoever"
    " may open the unix socket may ask.",
    "gateways.cache_seconds": "Seconds that an nginx which asks at `/nginx/cached` may remember an"
    " accept; 0: not at all, else 2 to 30, and over PostgreSQL no more than `node.lease` (or"
    " `node.stale_while_unreachable`). Every receipt of every node waits 1.25 × (this + 1 +"
    " `gateways.clock_margin`) longer, and go on to after it was lowered until nothing that was"
    " remembered by it can be left.",
    "gateways.clock_margin": "Seconds that the time of day of any gateway and any node may differ"
    " by, 0.1 to 30.",
    "leaks": "Who may report leaked secrets without a credential, below.",
    "leaks.partners": "Those who sign reports to `POST /leaks`, each a table `[[leaks.partners]]`."
    " Nobody unless told.",
    "leaks.partners.name": "What the journal calls it: `partner:NAME`.",
    "leaks.partners.keys_url": "Where its public keys are, as GitHub publishes those of its secret"
    " scanning: over HTTPS, or on this machine. Either this or `keys_file`.",
    "leaks.partners.keys_file": "A file of its public keys, in the same format.",
    "usage": "For how long use is kept, below.",
    "usage.minutes": "Days that counts by the minute are kept.",
    "usage.hours": "Days that counts by the hour are kept.",
    "usage.days": "Days that counts by the day are kept; amounts are summed of these.",
    "access_log": "Of the access log, below.",
    "access_log.directory": "Folder of the access log, made when it is first needed. None: no"
    " access log is written.",
    "access_log.days": "Days that its files are kept.",
    "access_log.max_megabytes": "MiB that its files may take together; the oldest go first.",
    "usage.sources": "Days that an address and a program are kept after a credential's last use"
    " from there.",
    "tls.certificate": "PEM file: the certificate, then those between it and its authority. SIGHUP"
    " reads both files again.",
    "webhooks": "Which networks of your own events may be sent to, below.",
    "webhooks.allowed_networks": "Addresses and networks. Everywhere else events go to public"
    " addresses only, over https; here `http` will do too.",
    "workloads": "Where issuers that tenants trust may be, below.",
    "workloads.allowed_networks": "Addresses and networks of your own in which an issuer of"
    " workloads may be asked for its keys. Everywhere else it is asked at public addresses only,"
    " over https; here `http` will do too.",
    "mail": "The server that e-mail is handed to, below. Without `host` none is sent.",
    "mail.host": "Its name or address.",
    "mail.port": "587 with `starttls`, 465 with `implicit`, 25 with `none`, unless told.",
    "mail.tls": "How it is spoken to. `starttls` never goes on in the clear; `none` takes no"
    " password.",
    "mail.username": "Together with `password_file`.",
    "mail.password_file": "File whose first line is the password; mode 0600, read at each e-mail.",
    "mail.from": "The address that e-mail comes from.",
    "mail.operator": "Who is written to of what is no tenant's: leaked application keys, and alerts"
    " of what everybody's requests come to.",
    "mail.ca": "PEM file of the authorities that its certificate may come from, instead of the"
    " system's.",
    "tls.key": "PEM file of its private key, without a password. Both keys or neither.",
}

PROVIDER: Words = {
    "provider": "The provider's word. Kinds are named after it: `wayscloud.service_key`.",
    "title": "Shown to people; the realm of challenges.",
    "dialect": "How refusals are worded, unless an area says otherwise.",
    "currency": "Of all prices in the file: three letters (ISO 4217), such as `EUR`.",
    "covers": "Path prefixes below which this provider's dialect words what no area covers.",
    "tls_exempt": 'Addresses and networks from which areas with `tls = "required"` take requests'
    " without TLS.",
    "kinds": "The kinds of credential it issues, below.",
    "services": "The services it has, below.",
    "shadows": "The old systems of its areas, below.",
    "areas": "Which requests are for which service, below.",
}
SETTINGS: Mapping[type, Words] = {
    service_key.Settings: {
        "brand": "First part of every key: `BRAND_SERVICE_ID_SECRET`. No two kinds share one.",
        "key_header": "A second header that may carry a key, bare. `Authorization: Bearer` always"
        " may.",
        "cross_service": "What a key with scopes of several services has in the place of SERVICE."
        " Its record says which scopes; it is made with them named.",
    },
    oidc_bearer.Settings: {
        "issuer": "The identity provider, to the letter what its tokens say in `iss`. No two kinds"
        " share one.",
        "jwks_uri": "Where its public keys are: over HTTPS, or on this machine. Whatever a token"
        " says of keys is not looked at, and no redirect is followed.",
        "audience": "What must be in a token's `aud`: make it one that no other API takes.",
        "algorithms": "How its tokens may be signed. Never `none`, never with a shared secret.",
        "manage": "Whether Latchgate's own APIs take its tokens, wherever they take an OAuth2"
        " access token. A link's user may do there what they may with a key of their own.",
    },
    api_token.Settings: {
        "prefix": "What a token begins with: `PREFIX_` and 26 digits and capitals, as Bearer.",
    },
    app_password.Settings: {
        "prefix": "What a password begins with: `PREFIX_`, 22 letters and digits and a checksum."
        " Issued by the system, sent as Basic with the user's login name.",
    },
    account_password.Settings: {
        "registered_before": "An RFC 3339 time. Taken from users who registered before it, until"
        " they enable or disable Basic; later ones have Basic off until they enable it. Absent:"
        " taken from everybody.",
    },
    imported_key.Settings: {
        "pattern": "The regular expression that a key matches from end to end: characters, sets,"
        " groups, `|` and repetitions with an end. Its shortest key holds 128 random bits or more."
        " Logs are masked by it.",
        "headers": "The headers that carry one, one to four.",
        "scheme": "What stands before it in `Authorization`, in any case.",
        "hash": "How the other system kept its keys: `sha256`, `sha512`, or `latchgate` where they"
        " are imported as they are. Don't change it later: keys would not be found.",
    },
    access_key.Settings: {},
    project_token.Settings: {
        "prefix": "What a token begins with: `PREFIX_` and base64url, as `X-Auth-Token`.",
        "lifetime": "How long a token lasts, as a duration; at most 7 days, and no longer than what"
        " it was exchanged for.",
        "identity_url": "Where clients reach the identity API, up to `/v3`: links, the catalog and"
        " challenges name it. Unless given, below the API's own address.",
        "region": "The region that the catalog names.",
    },
    oauth_token.Settings: {
        "lifetime": "How long an access token lasts, as a duration; at most a day, and no longer"
        " than what it was minted from.",
        "audience": "Whom a token is meant for (`aud`): who verifies one offline compares it.",
        "issuer": "Given by the server, from `console.url`; not for files.",
    },
    client_secret.Settings: {},
    application_key.Settings: {
        "header": "The header that carries the key: 32 hexadecimal digits, upper case.",
        "matrix_parameter": "Its name in a path (`;NAME=KEY`), in areas with `matrix_parameters`.",
    },
}
SERVICE: Words = {
    "title": "Shown to people.",
    "scopes": "Each scope, written `SERVICE:ACTION`, and what it allows, in words. At least one.",
    "prices": "What one allowed request costs, by scope: decimal text of up to 6 places, such as"
    ' `"0.0004"`. Needs the file\'s `currency`. A scope without one costs nothing.',
}
AREA: Words = {
    "path": "A plain path, decoded, without a slash at its end. It covers itself and all below it.",
    "hosts": "Host names, lower case, without port. None: every host.",
    "exact": "Covers the path itself and nothing below it.",
    "service": "One of this file's services, or of Latchgate's own (`own`). Required unless public"
    " or closed.",
    "accepts": "Kinds of this file that may be presented, and Latchgate's own"
    " (`latchgate.service_key`). Required unless public.",
    "application_key": "A key of `[kinds.application_key]` is asked for beside the credential.",
    "logins": "The namespace in which login names are looked up; the provider's word unless told.",
    "rules": "Which methods need which scope, below. Required unless public.",
    "public": "Everybody passes, unasked. Takes `methods`, and neither `service`, `accepts` nor"
    " `rules`.",
    "closed": "Nobody is let in, whatever is sent: 403. Takes neither `service`, `accepts` nor"
    " `rules`.",
    "methods": 'The methods of a public area; `["*"]` for every one.',
    "preflight": "CORS preflights for a method that the area takes pass without a credential.",
    "encoded_slash": "Takes `%2F` within a segment, where a slash would lead into no other area.",
    "matrix_parameters": "The path's last segment may have matrix parameters (`;NAME=VALUE`), which"
    " are passed on and choose no area.",
    "tls": '`"required"`: the request must have come over TLS, by the word of a trusted gateway or'
    " on Latchgate's own listener, but from `tls_exempt`.",
    "dialect": "How refusals are worded here; the file's `dialect` unless told.",
    "shadow": "One of this file's `[shadows.NAME]`: what that old system decides is enforced here,"
    " and what Latchgate decides is compared with it. Not where Latchgate itself answers.",
    "environment": "A label, as keys may have one. It decides nothing: alerts tell of keys that are"
    " used in areas of another label, or of two.",
}
SHADOW: Words = {
    "url": "Its check, asked with GET. Over HTTPS, or over HTTP on this machine and to addresses in"
    " `plain_networks`. No user name or password in it.",
    "timeout": "How long its whole answer may take, at most `10s`. Then the request is refused.",
    "send_headers": "Headers of the request that it is sent: where its credentials are.",
    "copy_headers": "Headers of its answer that go upstream when it allows; an empty one where it"
    " sent none, so that the client's own never passes.",
    "principal": "Header of its answer that says for whom it allowed. Together with"
    " `principal_is`; without both, Latchgate's identity headers are not sent.",
    "principal_is": "What of Latchgate's identity must equal it: `tenant`, `project`, `user`,"
    " `credential` or `external_id`. Where it does, Latchgate's headers go upstream beside.",
    "plain_networks": "Private addresses and networks that it may be asked at over HTTP.",
    "until": "An RFC 3339 time at which you meant to be done. `shadow show` says it; nothing ends"
    " by itself.",
}
RULE: Words = {
    "methods": 'Upper-case methods; `["*"]` for every one that no other rule of the area names.',
    "scope": "The scope they need, one of the area's service.",
    "signed_in": "Any credential that the area accepts will do, whatever its scopes.",
    "public": "Everybody passes, unasked.",
}
KEY_SPEC: Words = {
    "name": "What people know it by.",
    "services": "Services that it opens, all of one provider; the first one spells the key. Or"
    " the one word for a key across services (`pat`), which needs its `scopes`.",
    "description": "What it is for.",
    "scopes": "Absent: every scope its services have now. Empty: none.",
    "environment": "Passed upstream.",
    "external_id": "Your own id for it: visible ASCII, passed upstream.",
    "metadata": "Kept with it.",
    "allowed_ip_ranges": "Addresses and CIDRs. Absent: everywhere. Empty: nowhere.",
    "expires_in": "A duration: `90d`, `24h`, `1h30m`.",
    "expires_at": "An RFC 3339 time in the future. Not together with `expires_in`.",
}
BASIC: Words = {
    "namespace": "Where the login name is looked up: the provider's word, unless its areas say"
    " otherwise.",
    "login": "The login name; the user's name unless told.",
    "project_id": "In which project it has the user's roles: the caller's own, or the only"
    " one, unless told.",
}
PASSWORD_CHANGE: Words = {
    "current_password": "The one that is to end.",
    "new_password": "At least 15 characters, at most 1,024, none that is guessed first.",
    "namespace": "Where the login name is looked up.",
}
LINK_SPEC: Words = {
    "issuer": "The identity provider, as in its tokens' `iss`.",
    "subject": "Who it is there, as in their tokens' `sub`.",
    "project_id": "In which project they have the user's roles: the only one, unless told.",
}
TOKEN_SPEC: Words = {
    "name": "What its owner knows it by.",
    "expires_in": "A duration: `24h`, `7d`, `1h30min`. This or `expires_at`, at most 8,760 hours.",
    "expires_at": "An RFC 3339 time in the future.",
    "can_create_tokens": "Whether it may make further tokens, within its own bounds.",
    "allowed_ip_ranges": "Addresses and CIDRs. Absent: wherever its owner may be. Empty: nowhere.",
    "scopes": "Absent: what its owner may do at each request. Empty: none.",
}
ACCESS_KEY_SPEC: Words = {
    "name": "What its owner knows it by; exact, and one of theirs at a time.",
    "description": "What it is for.",
    "project_id": "The project that it is for: the caller's own unless told.",
    "roles": "Ids or names of roles that the owner has there. Absent: all of them.",
    "access_rules": "The requests that its tokens may make: `service`, `method` and `path`, or the"
    " `id` of a rule that the owner has. Absent: every one.",
    "unrestricted": "Whether its tokens may make and delete access keys, which end with it.",
    "expires_in": "A duration: `90d`, `24h`, `1h30m`.",
    "expires_at": "An RFC 3339 time in the future. Not together with `expires_in`.",
    "secret": "A secret of one's own, as strong as a password must be. Absent: one is made.",
}
LIFETIME: Words = {
    "maximum_life": "The longest that a new one may live; from `1h`. Who asks for no life gets it.",
    "rotation_age": "How old one is when its owner is told to rotate it; from `1d`.",
    "warning_days": "How many days before its end its owner is warned, up to ten times. Absent: 30,"
    " 7 and 1. Empty: never.",
    "unused_after": "How long one may be unused; from `8d`. Its owner is told a week before it is"
    " disabled.",
}
WEBHOOK: Words = {
    "url": "Where events are sent: https, and a public address.",
    "events": "Those it hears of. Empty: every one, also of later versions.",
    "whose": "Whose events it hears of: the tenant's own, or those that are no tenant's.",
    "description": "What it is for.",
}
ACCESS_KEY_PROOF: Words = {
    "password": "The owner's account password: KakaoCloud's, or else the one they sign in with.",
}
APPLICATION: Words = {
    "name": "The program's name.",
    "vendor": "Who publishes it.",
    "contact": "An e-mail address of somebody who answers.",
    "purpose": "What it does, and what it needs the API for.",
    "developer": "What its developer is.",
}
REVIEW: Words = {"reason": "Why; the developer reads it."}
TARGET: Words = {"user_id": "For this one user; for every user unless told."}
CLIENT: Words = {
    "scopes": "The most that it can be given: scopes of the published policy, and `openid`,"
    " `profile`, `email`, `offline_access`. Empty: none.",
    "application_id": "The approved application that it is of. Either this or `application`.",
    "application": "A new application, approved with it; takes `operator:applications.write`.",
    "tenant_id": "The tenant whose users it is for, and whose administrators may let it act."
    " Absent: users of every tenant.",
    "public": "It can keep no secret, and gets none.",
    "first_party": "Latchgate's own: nobody is asked, and what signed in with it may make keys.",
    "grant_types": "What it may ask tokens for. `urn:latchgate:introspection` lets it look at those"
    " of others.",
    "redirect_uris": "Where answers go, compared as they are spelled: https, or http on this"
    " machine; an app's own scheme for public clients. With `authorization_code`, and only then.",
    "post_logout_redirect_uris": "Where a sign-out may lead to, in the same spelling.",
}
SECRET: Words = {
    "grace": "How long the secret before works on, for example `7d`; 90 days at most. Absent: it"
    " ends at once.",
}
ACTING: Words = {
    "user_id": "A service user of the own tenant.",
    "scopes": "At most the client's, and at most the caller's own. Empty: none.",
    "project_id": "Where the user holds roles; the only such project unless told.",
}
PUBLISHED_KEY: Words = {
    "api_key": "A key that a provider's documentation prints: 32 hexadecimal digits, upper case.",
    "tenants": "Ids of the tenants whose users may ask with it. Empty: nobody may.",
}
EXPLAIN: Words = {
    "method": "The method.",
    "url": "A whole URL, or path and query.",
    "headers": "Headers by name, each once.",
    "client": "The address it comes from.",
}
AUDIT_VERIFY: Words = {
    "against": "A head that was kept; null for none.",
    "public_key": "The key that must have signed it, base64url without padding.",
}
POLICY_FILES: Words = {"files": "Policy files, name to text. They replace the whole set before."}

ENVIRONMENT: Words = {
    "LATCHGATE_CONFIG": "The configuration file, for verbs that take `--config`; the others use the"
    " profile beside it.",
    "LATCHGATE_URL": "Where the management API is. Together with `LATCHGATE_TOKEN`.",
    "LATCHGATE_TOKEN": "The token to use there. `https` only, unless it is this machine.",
    "LATCHGATE_CA": "PEM file of the authorities that the API's certificate may come from, instead"
    " of the system's and of the profile's `ca`.",
    "LATCHGATE_CREDENTIAL_CLOUD": "Set for a command that prints a credential: whose it is to be,"
    " by the cloud's name in lower case.",
    "LATCHGATE_CREDENTIAL_COMMAND": "What prints a cloud's credential, for programs that use the"
    " client and find none elsewhere; `{cloud}` in it stands for the cloud's name.",
    "LATCHGATE_PROFILE": "The profile file to use instead of the two usual ones, or the name of a"
    " profile of the cloud `latchgate` that `latchgate profile add` made.",
}

LIMITS: Sequence[tuple[str, Callable[[], object]]] = (
    ("Headers of a request", lambda: listener.MAX_HEADERS),
    ("Bytes of a request's head", lambda: listener.MAX_HEAD_BYTES),
    ("Bytes of a request target", lambda: listener.MAX_TARGET_BYTES),
    ("Characters of a path and query that is decided", lambda: path.MAX_TARGET),
    ("Seconds to send a head", lambda: listener.HEAD_SECONDS),
    ("Seconds to send a body", lambda: listener.BODY_SECONDS),
    ("Seconds a connection may be idle", lambda: listener.IDLE_SECONDS),
    ("Seconds a peer may leave its answers unread", lambda: listener.UNREAD_SECONDS),
    (
        "Connections of a worker's verify address, or half as many as open files",
        lambda: servers.MAX_VERIFY_CONNECTIONS,
    ),
    (
        "Connections of a worker's API and of its console, or a 16th of open files; above: 503",
        lambda: servers.MAX_API_CONNECTIONS,
    ),
    ("Seconds for a TLS handshake", lambda: tls.HANDSHAKE_SECONDS),
    ("Seconds a closed TLS connection waits for its peer", lambda: tls.CLOSE_SECONDS),
    ("Bytes of a body, management API", lambda: door.MAX_BODY),
    ("Bytes of a body, verify address", lambda: protocol.MAX_BODY),
    ("Requests in one batch", lambda: questions.MAX_BATCH),
    ("Characters of a service key", lambda: service_key.MAX_LENGTH),
    ("Records that one cache remembers", lambda: cache.MAX_RECORDS),
    ("Absent ids that one cache remembers", lambda: cache.MAX_ABSENT),
    ("Faults of a journal that a check lists", lambda: chain.MAX_FAULTS),
    (
        "Seconds a receipt waits for a cache on the machine of a SQLite database",
        lambda: receipts.WAIT_SECONDS,
    ),
    ("Receipts that are kept", lambda: verifiers.KEPT),
    ("Seconds between batches of refusals and counts", lambda: recorder.BATCH_SECONDS),
    ("Days a refusal is kept", lambda: refusals.KEEP_SECONDS // 86_400),
    ("Refusals kept for each tenant, and for nobody", lambda: refusals.KEEP_PER_RING),
    ("Seconds that sending one event may take", lambda: round(sending.SEND_SECONDS)),
    ("Attempts to send one event", lambda: len(deliveries.WAITS) + 1),
    ("Days an event and its deliveries are kept", lambda: round(deliveries.KEEP_SECONDS / 86_400)),
    ("Webhooks of one tenant", lambda: webhooks.MAX_WEBHOOKS),
    ("Workloads of one tenant", lambda: workloads.MAX_WORKLOADS),
)


def configuration() -> str:
    """Every key of `latchgate.toml`, and what is fixed."""
    entries = (
        ("", config_entries.ConfigEntry),
        ("listen.", config_entries.ListenEntry),
        ("node.", config_entries.NodeEntry),
        ("console.", config_entries.ConsoleEntry),
        ("sign_in.", config_entries.SignInEntry),
        ("sign_in.providers.", config_entries.ProviderEntry),
        ("sign_in.providers.required.", config_entries.ClaimEntry),
        ("sign_in.providers.roles.", config_entries.RoleClaimEntry),
        ("gateways.", config_entries.GatewaysEntry),
        ("tls.", config_entries.TlsEntry),
        ("audit.", config_entries.AuditEntry),
        ("webhooks.", config_entries.WebhooksEntry),
        ("workloads.", config_entries.WorkloadsEntry),
        ("mail.", config_entries.MailEntry),
        ("leaks.", config_entries.LeaksEntry),
        ("leaks.partners.", config_entries.PartnerEntry),
        ("usage.", config_entries.UsageEntry),
        ("access_log.", config_entries.AccessLogEntry),
    )
    rows = [row for prefix, entry in entries for row in _keys(entry, prefix)]
    told = _table(("Key", "Type", "Default", "Meaning"), _with_words(rows, CONFIGURATION))
    limits = _table(("What", "Limit"), [(what, f"{value():,}") for what, value in LIMITS])
    return f"""# Configuration: `latchgate.toml`

`latchgate init` writes one. Relative paths start at the file's own folder. An unknown key or an
impossible value ends the program with file, line and key.

{told}
The three addresses must differ. A running server reads the file once, at its start. API and console
speak TLS 1.2 and 1.3, the verify address plain HTTP; see [how to use TLS](../howto/tls.md).

## Fixed limits

{limits}"""


def policy() -> str:
    """Every key of a policy file."""
    columns = ("Key", "Type", "Default", "Meaning")
    provider = _table(columns, _with_words(_keys(ProviderEntry), PROVIDER))
    settings = "\n".join(_settings(columns, shape) for shape in SETTINGS)
    service = _table(columns, _with_words(_keys(ServiceEntry), SERVICE))
    area = _table(columns, _with_words(_keys(AreaEntry), AREA))
    rule = _table(columns, _with_words(_keys(RuleEntry), RULE))
    shadow = _table(columns, _with_words(_keys(ShadowEntry), SHADOW))
    return f"""# Policy files

One TOML file a provider. `latchgate policy check` checks them, `policy apply` publishes them all as
the next version; see [how to change the policy](../howto/policy.md). An unknown key, an overlap, a
scope that no service declares or an area that nobody could open is a fault, told with file, line
and key; one fault keeps the whole set out.

{provider}
Kinds there are: {_listed([*KINDS, *SIGNED, *ASSERTED, *EXCHANGED, *IMPORTED, APPLICATION_KEY])}.
Dialects: {_listed(DIALECTS)}.

{settings}
## `[services.NAME]`

{service}
A service has one name across all files.

## `[[areas]]`

{area}
Prefixes end at segment borders: `/v1/storage` covers `/v1/storage/a`, not `/v1/storage-admin`. The
longest one wins; an area that names the request's host goes before one that doesn't. Two areas with
the same path and host overlap, which is a fault. What no area covers is refused.

## `rules`

{rule}
A method with no rule is refused with 405. `HEAD` is a method of its own.

## `[shadows.NAME]`

{shadow}
See [how to move from an old system](../howto/shadow-mode.md).
"""


def command_line() -> str:
    """Every verb and its options."""
    parts = [
        """# Command line

Every verb but `run` takes `--json`, all take `--help` (`-h`); `latchgate --version` says which one
it is. What a program may want goes to standard output, all else to standard error. Exit status: 0
done, 1 refused or failed, 2 called wrongly; that of `run` is the command's.

`init`, `serve`, `recover`, `migrate`, `restored`, `signing-key`, `policy check` and, without
`--remote`, `audit verify` work on this machine. `profile`, `call`, `token`, `env`, `run` and
`whoami PROFILE` are for [calls to clouds](../howto/call-a-cloud.md), with named profiles in
`~/.config/latchgate/profiles.toml` (below `XDG_CONFIG_HOME`). The others call the management
API with the first of these that is set or there: `LATCHGATE_URL` and `LATCHGATE_TOKEN`; the profile
named by `LATCHGATE_PROFILE`, a file or one of the named profiles; the one beside
`LATCHGATE_CONFIG`; `.latchgate/profile.toml`; `~/.config/latchgate/profile.toml`. Such a file holds
`url` and `token`, for its owner's eyes only; and `ca` where the certificate of `url` comes from an
authority that the system doesn't know: its PEM file, from the profile's folder on. Certificates
are always checked.
"""
    ]
    context = click.Context(cli.main, info_name="latchgate")
    parts += [_verb(command) for command in _commands(context)]
    parts.append("## Environment\n\n" + _environment())
    return "\n".join(parts)


def reasons() -> str:
    """The reviewed table, and the change that `explain` words."""
    columns = ["Reason", *(f"`{name}`" for name in sorted(DIALECTS)), "Smallest change"]
    rows = []
    for reason in Reason:
        if reason is not Reason.ALLOWED:
            said = [_answer(reason, name) for name in sorted(DIALECTS)]
            rows.append((f"`{reason}`", *said, _change(reason)))
    table = _table(columns, rows)
    return f"""# Reasons

Why a request was refused, what its caller is told in each dialect, and the smallest change that
would allow it, as `latchgate explain` words it. Words in capitals stand for what the request was.

Many reasons share one answer on purpose: who doesn't hold the secret learns nothing about the key.
Answers marked † carry `WWW-Authenticate`, where the area accepts a credential; the word behind † is
its `error`.

{table}"""


def management() -> str:
    """Every route, scope and shape of `/manage/v1`."""
    built_in = tomllib.loads(providers.text(providers.BUILT_IN))
    scopes = [
        (f"`{scope}`", meaning)
        for service in built_in["services"].values()
        for scope, meaning in service["scopes"].items()
    ]
    routes = []
    for op in manage_app.OPERATIONS:
        takes = f"`{op.body.__name__}`" if op.body is not None else "–"
        takes = ", ".join(f"`?{name}=`" for name in op.query) or takes
        shown = "JSON lines" if op.media.endswith("ndjson") else "JSON"
        shown = f"`{op.answer.__name__}`" if op.answer is not None else shown
        answers = f"{op.status} {shown}"
        scope = f"`{op.scope}`" if op.scope is not None else "public"
        refused = ", ".join(str(status) for status in op.refusals) or "–"
        routes.append((f"`{op.method} {op.path}`", op.summary, scope, takes, answers, refused))
    routes_table = _table(("Route", "Does", "Scope", "Takes", "Answers", "Refuses with"), routes)
    columns = ("Field", "Type", "Default", "Meaning")
    bodies = "\n".join(
        f"### `{shape.__name__}`\n\n{_table(columns, _with_words(_fields(shape), words))}"
        for shape, words in (
            (KeySpec, KEY_SPEC),
            (BasicSpec, BASIC),
            (FirstPassword, BASIC),
            (PasswordChange, PASSWORD_CHANGE),
            (LinkSpec, LINK_SPEC),
            (TokenSpec, TOKEN_SPEC),
            (AccessKeySpec, ACCESS_KEY_SPEC),
            (manage_access_keys.AccessKeyProof, ACCESS_KEY_PROOF),
            (LifetimeSpec, LIFETIME),
            (WebhookSpec, WEBHOOK),
            (ApplicationSpec, APPLICATION),
            (Review, REVIEW),
            (Target, TARGET),
            (ClientSpec, CLIENT),
            (SecretSpec, SECRET),
            (ActingSpec, ACTING),
            (PublishedKeySpec, PUBLISHED_KEY),
            (shapes.PolicyFiles, POLICY_FILES),
            (ExplainRequest, EXPLAIN),
            (audit_door.AuditVerify, AUDIT_VERIFY),
        )
    )
    answers = "\n".join(
        f"### `{shape.__name__}`\n\n{_told(shape)}\n\n"
        + _table(("Field", "Type"), [row[:2] for row in _fields(shape)])
        for shape in (
            shapes.Key,
            shapes.KeyPage,
            shapes.Revoked,
            manage_links.Link,
            manage_links.Links,
            manage_basic.BasicShape,
            manage_passwords.ChangedPassword,
            manage_passwords.NewPassword,
            manage_passwords.TakenPassword,
            manage_tokens.Token,
            manage_tokens.TokenPage,
            manage_seen.DeletedCredential,
            manage_access_keys.AccessKey,
            manage_access_keys.AccessKeyPage,
            manage_lifetimes.Lifetime,
            manage_lifetimes.Lifetimes,
            manage_lifetimes.OverduePage,
            manage_lifetimes.OverdueKey,
            manage_webhooks.Webhook,
            manage_webhooks.WebhookPage,
            manage_webhooks.Delivery,
            manage_webhooks.DeliveryPage,
            manage_applications.Application,
            manage_applications.ApplicationPage,
            manage_applications.BlockList,
            manage_applications.Block,
            manage_applications.Blocked,
            manage_applications.PublishedApplicationKey,
            manage_storage.Storage,
            manage_developers.NewApplication,
            manage_developers.OwnApplication,
            manage_developers.ApplicationKeyShape,
            manage_developers.WithdrawnApplication,
            shapes.ReceiptShape,
            shapes.Verifier,
            shapes.PolicyShape,
            shapes.PolicyApplied,
            shapes.Explanation,
            shapes.ExplainedStep,
            audit_door.AuditPage,
            audit_door.AuditRow,
            audit.Head,
            chain.Report,
            chain.Fault,
            shapes.Problem,
            shapes.FieldFault,
        )
    )
    return f"""# Management API

At `listen.api`, under `/manage/v1`; its OpenAPI 3.1 document is `/manage/v1/openapi.json`. It is
decided like any other API, by a policy file that is part of the program: send
`Authorization: Bearer` with a key of the brand `latchgate` that holds the scope.

{routes_table}
Every route that needs a scope also refuses with 400, 401, 403 and 503. Errors are problem documents
(RFC 9457); fields that can't be taken are listed in `errors`. After a 503 `outcome_unknown` look
whether the change happened before you repeat it. Bodies are JSON, unknown fields are refused.

## Scopes

{_table(("Scope", "Allows"), scopes)}
Nobody hands out what they don't hold: a key is made for the caller's own tenant, project and user,
with scopes that the caller holds, and it can't outlive the key that made it.

## Bodies

{bodies}
## Answers

Times are RFC 3339 in UTC. `NewKey` is a `Key` with one field more, `key`: the secret. So is
`NewToken` a `Token` with `token`, `NewAccessKey` an `AccessKey` with `secret` and
`auth_url`, `NewWebhook` a `Webhook` with `secret`, `NewBasic` a `BasicShape` with `password`,
`NewApplicationKey` an `ApplicationKeyShape` with `api_key`. `ReissuedBasic`, `DisabledBasic`,
`DecidedApplication` and `NewApplicationKey` have a `receipt` besides.

{answers}"""


def _settings(columns: Sequence[str], shape: type) -> str:
    """Return the section of one kind's settings; its module is named after the kind."""
    kind = shape.__module__.rpartition(".")[2]
    keys = _keys(shape)
    table = _table(columns, _with_words(keys, SETTINGS[shape])) if keys else "It has none.\n"
    return f"## `[kinds.{kind}]`\n\n{table}"


def _keys(entry: type, prefix: str = "") -> list[tuple[str, str, str]]:
    """Return (key, type, default) of each key of a TOML file, which knows no null."""
    return [(key, _without_null(kind), told) for key, kind, told in _fields(entry, prefix)]


def _without_null(kind: str) -> str:
    return kind.removesuffix(" or null")


def _fields(entry: type, prefix: str = "") -> list[tuple[str, str, str]]:
    """Return (name, type, default) of each field of a shape, as columns."""
    described = msgspec.inspect.type_info(entry)
    assert isinstance(described, msgspec.inspect.StructType)  # noqa: S101 - what we hand in
    return [
        (f"`{prefix}{field.encode_name}`", _spelled(field.type), _default(field))
        for field in described.fields
    ]


def _told(shape: type) -> str:
    return " ".join((shape.__doc__ or "").split())


def _default(field: msgspec.inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if isinstance(value, msgspec.Struct):
        return "–"
    if value is None:
        return "none"
    return f"`{msgspec.json.encode(value).decode()}`"


def _spelled(found: Any) -> str:  # noqa: ANN401 - any of msgspec's type descriptions
    inspect = msgspec.inspect
    if isinstance(found, inspect.Metadata):
        return _spelled(found.type)
    if isinstance(found, inspect.UnionType):
        return " or ".join(_spelled(one) for one in found.types)
    if isinstance(found, (inspect.ListType, inspect.VarTupleType)):
        return f"list of {_spelled(found.item_type)}".replace("of table", "of tables")
    if isinstance(found, inspect.DictType):
        below = _spelled(found.value_type)
        return "table" if below in {"table", "any"} else f"table of {below}"
    if isinstance(found, inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in found.values)
    if isinstance(found, inspect.EnumType):
        return " or ".join(f"`{one.value}`" for one in found.cls)
    if isinstance(found, inspect.StructType):
        told = found.cls.__module__.startswith(("latchgate.doors.", "latchgate.manage."))
        return f"`{found.cls.__name__}`" if told else "table"
    words: dict[object, str] = {
        inspect.StrType: "text",
        inspect.BoolType: "true or false",
        inspect.IntType: "whole number",
        inspect.FloatType: "number",
        inspect.NoneType: "null",
        inspect.CustomType: "any",
        inspect.AnyType: "any",
    }
    return words[type(found)]


def _with_words(rows: Iterable[tuple[str, str, str]], words: Words) -> list[tuple[str, ...]]:
    listed = list(rows)
    names = {row[0].strip("`") for row in listed}
    if names != set(words):
        msg = f"docs/generate.py: keys and words differ: {sorted(names ^ set(words))}"
        raise SystemExit(msg)
    return [(*row, words[row[0].strip("`")]) for row in listed]


def _environment() -> str:
    rows = [(f"`{name}`", meaning) for name, meaning in ENVIRONMENT.items()]
    return _table(("Variable", "Meaning"), rows)


def _commands(context: click.Context) -> list[click.Context]:
    """Return the context of each verb, groups left out, in the order of `--help`."""
    command = context.command
    if not isinstance(command, click.Group):
        return [context]
    found = []
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None  # noqa: S101 - it was listed
        found += _commands(click.Context(below, info_name=name, parent=context))
    return found


def _verb(context: click.Context) -> str:
    command = context.command
    usage_line = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    rows = [
        _option(parameter, context)
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts
    ]
    table = _table(("Option", "Takes", "Default", "Meaning"), rows)
    told = "\n\n".join(paragraphs)
    return f"## `{context.command_path}`\n\n{told}\n\n    {usage_line}\n\n{table}"


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    takes = "–" if option.is_flag else f"`{option.make_metavar(context)}`"
    told = option.get_help_extra(context) if not option.is_flag else {}
    takes = f"`{told['range']}`" if "range" in told else takes
    default = told.get("default") or "–"
    if "required" in told:
        default = "required"
    default = f"`{default}`" if default not in {"–", "required"} else default
    return names, takes, default, option.help or "–"


def _answer(reason: Reason, dialect: str) -> str:
    public = TABLE[reason][dialect]
    mark = " †" if challenged(reason, public.status) else ""
    error = challenge_error(reason, public.status) if mark else None
    mark += f" `{error}`" if error else ""
    return f"{public.status} `{public.code}`{mark}<br>{public.text}"


def _change(reason: Reason) -> str:
    """Return the change that `explain` words, of a request whose facts are names in capitals."""
    area = {"path": "PATH", "methods": ["METHODS OF THE AREA"], "service": "SERVICE"}
    facts = {"issued": [], "owner": ["*"], "owner_id": "OWNER"}
    kept = {
        "reason": str(reason),
        "method": "METHOD",
        "path": "PATH",
        "client": "ADDRESS",
        "scope": "SCOPE",
        "steps": [
            {"step": "rule", "ok": False, "facts": ["METHOD", area, None]},
            {"step": "read", "ok": False, "facts": ["KIND", "WHAT IS WRONG", ["KINDS"]]},
            {"step": "service", "ok": False, "facts": ["SERVICE", []]},
            {"step": "scope", "ok": False, "facts": ["SCOPE", facts]},
        ],
    }
    return str(worded(kept)["change"])


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


PROGRAMS: Mapping[str, Callable[[], str]] = {
    "cli.md": command_line,
    "configuration.md": configuration,
    "management-api.md": management,
    "policy.md": policy,
    "reasons.md": reasons,
}


def main(arguments: Sequence[str]) -> int:
    """Write or check every page; return the exit status."""
    stale = []
    for name, program in PROGRAMS.items():
        page = PAGES / name
        title, rest = program().split("\n", 1)
        text = re.sub(r"\n{3,}", "\n\n", f"{title}\n\n{NOTE}{rest}")
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(f"docs/reference/{name}")
            if "--check" not in arguments:
                page.write_text(text, encoding="utf-8")
    if "--check" not in arguments:
        return 0
    for name in stale:
        sys.stderr.write(f"{name} is stale; run: python docs/generate.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
