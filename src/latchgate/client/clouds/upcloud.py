"""UpCloud: an API token, or a subaccount's name and password.

Source: providers/upcloud, "Bearer token authentication", "HTTP Basic authentication".
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator, Iterable, Mapping
from typing import Any, ClassVar

from latchgate.client.errors import CredentialInvalid, Unreachable
from latchgate.client.flow import Ask, Cloud, Flow, Identity, Send, Step
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.masking import facts
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.said import notices
from latchgate.client.secret import Secret, secret
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Source, Wanted
from latchgate.client.spelling import basic, one_word

URL = "https://api.upcloud.com"
HOSTS = Hosts("UpCloud", names=frozenset({"api.upcloud.com"}))
WANTED = Wanted(
    cloud="UpCloud",
    sets=(("token",), ("username", "password")),
    variables={
        "token": "UPCLOUD_TOKEN",
        "username": "UPCLOUD_USERNAME",
        "password": "UPCLOUD_PASSWORD",
        "url": "UPCLOUD_DEBUG_API_BASE_URL",
    },
    apart=(("token", "password"),),  # as its own SDK has it
)


_OK = 200


class UpCloud(Cloud):
    """UpCloud, with a token, a subaccount's name and password, or the first source that has either.

    Basic is discouraged and will be deprecated there, so it warns (DeprecationWarning).
    Raises: CredentialMissing, CredentialInvalid, InsecureTransport.
    """

    name: ClassVar[str] = "UpCloud"

    def __init__(
        self,
        token: str | Secret | None = None,
        *,
        username: str | None = None,
        password: str | Secret | None = None,
        url: str | None = None,
        origins: Iterable[str] = (),
        sources: Iterable[Source] | None = None,
    ) -> None:
        """Take a credential, or look for one; `url` is where another server speaks for it."""
        given = {"token": token, "username": username, "password": password}
        fields: Mapping[str, Secret] = {
            name: secret(value) for name, value in given.items() if value is not None
        }
        self.source = "argument"
        if not fields:
            fields, self.source = search(WANTED, sources)
        elif set(fields) not in ({"token"}, {"username", "password"}):
            msg = "UpCloud: give either token, or username and password"
            raise CredentialInvalid(msg)
        told = fields.get("url")
        self.url = base(url or (told.reveal() if told is not None else URL), self.name)
        self.hosts = hosts_of(self.name, self.url, HOSTS, URL, origins)
        if "token" in fields:
            self._secret = one_word(fields["token"], self.name)
            value = f"Bearer {self._secret.reveal()}"
        else:
            self._secret = fields["password"]
            value = basic(fields["username"].reveal(), self._secret, self.name)
            msg = "UpCloud discourages Basic and will deprecate it; make an API token instead"
            warnings.warn(msg, DeprecationWarning, stacklevel=2)
        self._send = Send((("Authorization", value),))

    def signed(self, target: Target) -> Flow:  # noqa: ARG002 - every path takes the same header
        """Send with the credential."""
        yield self._send

    def identify(self) -> Generator[Step, Any, Identity]:
        """Ask for the account; the cloud tells neither what a token may do nor when it ends.

        Raises: AuthenticationFailed and its kin, Refused, Unreachable.
        """
        headers = (*self._send.headers, ("Accept", "application/json"))
        response: Response = yield Ask(Request("GET", f"{self.url}/1.3/account", headers))
        if response.status != _OK:
            raise refused(self, response)
        account = _account(response)
        known = facts({**notices(response), **account}, self.secrets)
        if "username" not in known:
            msg = f"{self.url} answered with no account"
            raise Unreachable(msg)
        return Identity(self.name, known["username"], self.source, told=known)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The token, or the password."""
        return (self._secret,)


def _account(response: Response) -> dict[str, Any]:
    try:
        told = json.loads(response.body)["account"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
