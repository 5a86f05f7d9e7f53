"""WAYSCloud: a service key or PAT as a Bearer token.

Source: providers/wayscloud, "Authentication Method", "Environment Variables".
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from typing import Any, ClassVar

from latchgate.client.errors import Unreachable
from latchgate.client.flow import Ask, Cloud, Flow, Identity, Send, Step
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.masking import facts
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.said import notices
from latchgate.client.secret import Secret, secret
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Source, Wanted
from latchgate.client.spelling import one_word, own_end
from latchgate.client.timestamp import unix_seconds

URL = "https://api.wayscloud.services"
HOSTS = Hosts("WAYSCloud", names=frozenset({"api.wayscloud.services", "provision.wayscloud.net"}))
WANTED = Wanted(
    cloud="WAYSCloud",
    sets=(("key",), ("token",)),
    variables={"key": "WAYSCLOUD_API_KEY", "token": "WAYSCLOUD_TOKEN", "url": "WAYSCLOUD_API_URL"},
)
_ACCOUNT_KEY = "wayscloud_api_"
_PROFILE = "/api/v1/dashboard/account/profile"
# Of each service what costs nothing and changes nothing, for keys that the dashboard does not take.
_READS = {
    "storage": "/v1/storage/",
    "llm": "/v1/models",
    "database": "/v1/databases",
    "dns": "/v1/dns/zones",
    "gpu": "/v1/gpu/jobs",
}
_PARTS = 4  # wayscloud_{service}_{id}_{secret}
_OK = 200
_NOT_THERE = frozenset({401, 403, 404, 405})  # what the profile's refusal of a service key may be
_UNDECIDED = frozenset({401, 408, 429})  # of 4xx: the key was refused, or not looked at


class WaysCloud(Cloud):
    """WAYSCloud, with a key: the argument, or the first source that has one.

    Raises: CredentialMissing, CredentialInvalid, InsecureTransport.
    """

    name: ClassVar[str] = "WAYSCloud"

    def __init__(
        self,
        key: str | Secret | None = None,
        *,
        url: str | None = None,
        origins: Iterable[str] = (),
        sources: Iterable[Source] | None = None,
    ) -> None:
        """Take `key`, or look for one; `url` is where another server speaks for this cloud."""
        if key is None:
            found = search(WANTED, sources)
            key = found.fields.get("key") or found.fields["token"]
            told = found.fields.get("url")
            url = url or (told.reveal() if told is not None else None)
            self.source = found.where
        else:
            self.source = "argument"
        self._key = one_word(secret(key), self.name)
        self.url = base(url or URL, self.name)
        self.hosts = hosts_of(self.name, self.url, HOSTS, URL, origins)
        text = self._key.reveal()
        # Keys of an account go where the cloud's own SDK puts them.
        pair = (
            ("X-API-Key", text)
            if text.startswith(_ACCOUNT_KEY)
            else ("Authorization", f"Bearer {text}")
        )
        self._send = Send((pair,))

    def signed(self, target: Target) -> Flow:  # noqa: ARG002 - every path takes the same header
        """Send with the key."""
        yield self._send

    def identify(self) -> Generator[Step, Any, Identity]:
        """Ask for the account's profile, or where it is not for this key, read from its service.

        A key of one service that the profile is refused to stands if its service answers with
        anything but 401; the cloud then tells nothing but that.
        Raises: AuthenticationFailed and its kin, Refused, Unreachable.
        """
        response: Response = yield Ask(self._asking(_PROFILE))
        profile = _members(response)
        if profile is not None:
            return self._identity({**notices(response), **profile})
        service = self._service()
        if service is None:
            if response.status == _OK:
                msg = f"{self.url} answered with no profile"
                raise Unreachable(msg)
            raise refused(self, response)
        if response.status not in {*_NOT_THERE, _OK}:
            raise refused(self, response)
        answer: Response = yield Ask(self._asking(_READS[service]))
        if not _stands(answer.status):
            raise refused(self, answer)
        told = {"service": service, "asked": f"GET {_READS[service]}"}
        told["answered"] = str(answer.status)
        return self._identity(told)

    def _asking(self, path: str) -> Request:
        headers = (*self._send.headers, ("Accept", "application/json"))
        return Request("GET", f"{self.url}{path}", headers)

    def _service(self) -> str | None:
        """Return the service that the key's own text names, if it can be asked for something."""
        brand, _, rest = self._key.reveal().partition("_")
        service = rest.partition("_")[0]
        return service if brand == "wayscloud" and service in _READS else None

    def _identity(self, told: dict[str, Any]) -> Identity:
        # The cloud itself tells neither; a Latchgate that speaks for it tells both.
        rights, end = _scopes(told.pop("scopes", None)), _moment(told.pop("expires_at", None))
        known = facts(told, self.secrets)
        names = ("email", "name", "customer_id")
        principal = next((known[name] for name in names if name in known), self._public())
        end = end if end is not None else own_end(self._key)
        return Identity(self.name, principal, self.source, rights, end, known)

    def _public(self) -> str:
        """Return what of the key names it: all but its secret, where it is made as documented."""
        parts = self._key.reveal().split("_", 3)
        if len(parts) == _PARTS and len(parts[2]) < len(parts[3]):
            return "_".join(parts[:3])
        return "a key"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The key."""
        return (self._key,)


def _members(response: Response) -> dict[str, Any] | None:
    """Return the profile that an answer holds; None for a refusal, and for pages for people."""
    if response.status != _OK:
        return None
    try:
        told: Any = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and told else None


def _scopes(told: object) -> tuple[str, ...] | None:
    sound = isinstance(told, list) and all(isinstance(one, str) for one in told)
    return tuple(told) if sound and isinstance(told, list) else None


def _moment(told: object) -> float | None:
    try:
        return unix_seconds(told) if isinstance(told, str) else None
    except ValueError:
        return None


def _stands(status: int) -> bool:
    return 200 <= status < 300 or (400 <= status < 500 and status not in _UNDECIDED)  # noqa: PLR2004
