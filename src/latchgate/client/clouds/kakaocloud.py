"""KakaoCloud: an access key is exchanged for a project token of twelve hours.

Source: providers/kakaocloud, "Get API authentication token"; the Identity API v3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import ClassVar

from latchgate.client.errors import CredentialInvalid, Unreachable
from latchgate.client.flow import Ask, Cloud, Exchange, Flow, Issued, with_token
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.renewal import Renewal
from latchgate.client.secret import Secret
from latchgate.client.secret import secret as wrapped
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Source, Wanted
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
_CREATED = 201


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
        self.renewal = Renewal(cache)

    def signed(self, target: Target) -> Flow:  # noqa: ARG002 - every host takes the same header
        """Send with the project token."""
        return with_token("X-Auth-Token")

    def exchange(self, token: Token | None) -> Exchange:  # noqa: ARG002 - nothing of it is used
        """Exchange the access key for a project token."""
        response: Response = yield Ask(self._login())
        if response.status != _CREATED:
            raise refused(self, response)
        issued = _issued(response)
        if issued is None:
            msg = f"{self.url} answered {response.status} without a project token"
            raise Unreachable(msg)
        return issued

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secret access key."""
        return (self._secret,)

    @property
    def slot(self) -> tuple[str, ...]:
        """The access key, without its secret."""
        return (self.name, self.url, *(f"{name}={value}" for name, value in self._key.items()))

    def _login(self) -> Request:
        credential: dict[str, object] = {"secret": self._secret.reveal()}
        if "access_key_id" in self._key:
            credential["id"] = self._key["access_key_id"]
        else:
            credential["name"] = self._key["access_key_name"]
            credential["user"] = {"id": self._key["user_id"]}
        methods = {"methods": ["application_credential"], "application_credential": credential}
        body = json.dumps({"auth": {"identity": methods}}).encode()
        headers = (("Content-Type", "application/json"), ("Accept", "application/json"))
        return Request("POST", f"{self.url}/auth/tokens", headers, body)


def _issued(response: Response) -> Issued | None:
    value = response.headers.get("x-subject-token")
    try:
        told = json.loads(response.body)["token"]
        lasts = _seconds(told["expires_at"]) - _seconds(told["issued_at"])
        facts = {
            "user_id": str(told["user"]["id"]),
            "project_id": str(told["project"]["id"]),
            "roles": ",".join(str(role["name"]) for role in told["roles"]),
        }
    except (ValueError, TypeError, KeyError):
        return None
    return Issued(value, lasts, facts) if value else None


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
