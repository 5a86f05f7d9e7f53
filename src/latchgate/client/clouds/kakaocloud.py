"""KakaoCloud: an access key is exchanged for a project token of twelve hours.

Source: providers/kakaocloud, "Get API authentication token"; the Identity API v3.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from latchgate.client.errors import (
    AuthenticationFailed,
    CredentialInvalid,
    KeyRevoked,
    Refused,
    Unreachable,
)
from latchgate.client.flow import (
    Ask,
    Cloud,
    Exchange,
    Flow,
    Identity,
    Issued,
    Obtain,
    Step,
    with_token,
)
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.masking import facts
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.renewal import Renewal
from latchgate.client.said import Said, said
from latchgate.client.secret import Secret
from latchgate.client.secret import secret as wrapped
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Source, Wanted
from latchgate.client.timestamp import unix_seconds
from latchgate.client.token import Token
from latchgate.client.token_cache import USER_CACHE, TokenCache

URL = "https://iam.kakaocloud.com/identity/v3"
HOSTS = Hosts("KakaoCloud", names=frozenset({"iam.kakaocloud.com"}), domains=("kakaocloud.com",))
WANTED = Wanted(
    cloud="KakaoCloud",
    sets=(("access_key_id", "secret"), ("access_key_name", "secret", "user_id")),
    variables={
        "access_key_id": "OS_APPLICATION_CREDENTIAL_ID",
        "access_key_name": "OS_APPLICATION_CREDENTIAL_NAME",
        "secret": "OS_APPLICATION_CREDENTIAL_SECRET",
        "user_id": "OS_USER_ID",
        "url": "OS_AUTH_URL",
    },
)
_PUBLIC = ("access_key_id", "access_key_name", "user_id")
_OK, _CREATED, _UNAUTHORIZED, _NOT_FOUND = 200, 201, 401, 404
_ACCEPT = ("Accept", "application/json")
_NEVER = (
    "the access key is refused: its id or its secret is wrong, it was deleted or has expired, or"
    " its user has no role in the project"
)
_NO_LONGER = (
    "the access key itself is refused now, not its token alone: it was deleted or has expired, or"
    " its user has no role in the project any more"
)
_DELETED = "the access key itself is refused now, not its token alone: it was deleted"
_UNKNOWN = "Could not find Application Credential: "  # Keystone's, with the id


class KakaoCloud(Cloud):
    """KakaoCloud, or another Identity API v3, with an access key (an application credential).

    `KakaoCloud(access_key_id, secret)`, or `KakaoCloud(access_key_name=…, secret=…, user_id=…)`, or
    neither, for the first source that has one. `url` is the identity API's (`OS_AUTH_URL`). Tokens
    are kept in `cache` for other processes; None keeps them in this object.
    Raises: CredentialMissing, CredentialInvalid, InsecureTransport.
    """

    name: ClassVar[str] = "KakaoCloud"

    def __init__(
        self,
        access_key_id: str | None = None,
        secret: str | Secret | None = None,
        *,
        access_key_name: str | None = None,
        user_id: str | None = None,
        url: str | None = None,
        origins: Iterable[str] = (),
        sources: Iterable[Source] | None = None,
        cache: TokenCache | None = USER_CACHE,
    ) -> None:
        """Take an access key, or look for one."""
        given = {
            "access_key_id": access_key_id,
            "access_key_name": access_key_name,
            "secret": secret,
            "user_id": user_id,
        }
        fields: Mapping[str, Secret] = {
            name: wrapped(value) for name, value in given.items() if value is not None
        }
        self.source = "argument"
        if not fields:
            fields, self.source = search(WANTED, sources)
        elif not any(all(name in fields for name in one) for one in WANTED.sets):
            msg = (
                "KakaoCloud: give access_key_id and secret, or access_key_name, secret and user_id"
            )
            raise CredentialInvalid(msg)
        told = fields.get("url")
        address = base(url or (told.reveal() if told is not None else URL), self.name)
        self.url = address if address.endswith("/v3") else f"{address}/v3"
        self.hosts = hosts_of(self.name, self.url, HOSTS, URL, origins)
        self._secret = fields["secret"]
        self._key = {name: one.reveal() for name, one in fields.items() if name in _PUBLIC}
        self.renewal: Renewal = Renewal(cache)

    def signed(self, target: Target) -> Flow:  # noqa: ARG002 - every host takes the same header
        """Send with the project token."""
        return with_token("X-Auth-Token")

    def exchange(self, token: Token | None) -> Exchange:
        """Exchange the access key for a project token."""
        response: Response = yield Ask(self._login())
        if response.status != _CREATED:
            raise refused(self, response, read=_refused_key(response, worked=token is not None))
        issued = _issued(response)
        if issued is None:
            msg = f"{self.url} answered {response.status} without a project token"
            raise Unreachable(msg)
        return issued

    def identify(self) -> Generator[Step, Any, Identity]:
        """Validate the project token, and ask when the access key ends.

        A token that is dead before its end is replaced; where none is given in its place, the
        error says that it is the access key. `rights` are the roles as they are now.
        Raises: AuthenticationFailed and its kin, Refused, Unreachable.
        """
        token: Token = yield Obtain()
        response: Response = yield Ask(self._validation(token))
        if response.status in {_UNAUTHORIZED, _NOT_FOUND}:
            other: Token = yield Obtain(refused=token)
            if other is not token:
                token = other
                response = yield Ask(self._validation(token))
        if response.status != _OK:
            raise refused(self, response)
        told = _token_of(response)
        if told is None:
            msg = f"{self.url} answered {response.status} without what a token is"
            raise Unreachable(msg)
        known = facts(_facts(told), (*self.secrets, token.value))
        ends_at: float | None = None
        if "access_key_id" in known:
            answer: Response = yield Ask(self._about_key(known, token))
            ends_at = _end_of_key(answer)
        rights = tuple(filter(None, known.pop("roles", "").split(",")))
        principal = known.get("user_name") or known["user_id"]
        return Identity(self.name, principal, self.source, rights, ends_at, known)

    def judged(self, response: Response, told: Said) -> tuple[type[Refused], str] | None:
        """Know Keystone's 404 for a token whose access key was deleted."""
        held = self.renewal.held
        own = self._key.get("access_key_id") or (held.facts.get("access_key_id") if held else None)
        if response.status == _NOT_FOUND and own and told.message == f"{_UNKNOWN}{own}.":
            return KeyRevoked, "the access key was deleted"
        return None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secret access key."""
        return (self._secret,)

    @property
    def slot(self) -> tuple[str, ...]:
        """The access key, without its secret."""
        return (self.name, self.url, *(f"{name}={value}" for name, value in self._key.items()))

    def _validation(self, token: Token) -> Request:
        text = token.value.reveal()
        headers = (("X-Auth-Token", text), ("X-Subject-Token", text), _ACCEPT)
        return Request("GET", f"{self.url}/auth/tokens?nocatalog", headers)

    def _about_key(self, known: Mapping[str, str], token: Token) -> Request:
        user, key = (quote(known[name], safe="") for name in ("user_id", "access_key_id"))
        headers = (("X-Auth-Token", token.value.reveal()), _ACCEPT)
        return Request("GET", f"{self.url}/users/{user}/application_credentials/{key}", headers)

    def _login(self) -> Request:
        credential: dict[str, object] = {"secret": self._secret.reveal()}
        if "access_key_id" in self._key:
            credential["id"] = self._key["access_key_id"]
        else:
            credential["name"] = self._key["access_key_name"]
            credential["user"] = {"id": self._key["user_id"]}
        methods = {"methods": ["application_credential"], "application_credential": credential}
        body = json.dumps({"auth": {"identity": methods}}).encode()
        headers = (("Content-Type", "application/json"), _ACCEPT)
        return Request("POST", f"{self.url}/auth/tokens", headers, body)


def _refused_key(response: Response, *, worked: bool) -> tuple[type[Refused], str] | None:
    """Read the refusal of an exchange; `worked` says that the same access key once had a token."""
    gone = response.status == _NOT_FOUND and (said(response).message or "").startswith(_UNKNOWN)
    if not gone and response.status != _UNAUTHORIZED:
        return None
    if worked:
        return (KeyRevoked, _DELETED) if gone else (AuthenticationFailed, _NO_LONGER)
    return AuthenticationFailed, _NEVER


def _token_of(response: Response) -> dict[str, Any] | None:
    try:
        told = json.loads(response.body)["token"]
        _facts(told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return dict(told)


def _facts(told: dict[str, Any]) -> dict[str, str]:
    user, project, key = told["user"], told["project"], told.get("application_credential") or {}
    known = {
        "user_id": user["id"],
        "user_name": user.get("name"),
        "project_id": project["id"],
        "project_name": project.get("name"),
        "roles": ",".join(str(role["name"]) for role in told["roles"]),
        "access_key_id": key.get("id"),
        "access_key_name": key.get("name"),
        "token_expires_at": told["expires_at"],
    }
    return {name: str(value) for name, value in known.items() if value}


def _issued(response: Response) -> Issued | None:
    value = response.headers.get("x-subject-token")
    told = _token_of(response)
    if told is None or not value:
        return None
    try:
        lasts = unix_seconds(told["expires_at"]) - unix_seconds(told["issued_at"])
    except (ValueError, TypeError, KeyError):
        return None
    return Issued(value, lasts, _facts(told))


def _end_of_key(response: Response) -> float | None:
    """Return when an access key ends, None where it does not or nobody says."""
    try:
        return unix_seconds(json.loads(response.body)["application_credential"]["expires_at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
