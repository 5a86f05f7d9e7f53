"""UpCloud: an API token, or a subaccount's name and password.

Source: providers/upcloud, "Bearer token authentication", "HTTP Basic authentication".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import ClassVar

from latchgate.client.errors import CredentialInvalid
from latchgate.client.flow import Cloud, Flow, Send
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.message import Target
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
        """Take a credential, or look for one; `url` is where another server speaks for this cloud."""
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

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The token, or the password."""
        return (self._secret,)
