"""WAYSCloud: a service key or PAT as a Bearer token.

Source: providers/wayscloud, "Authentication Method", "Environment Variables".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from latchgate.client.flow import Cloud, Flow, Send
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.message import Target
from latchgate.client.secret import Secret, secret
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Source, Wanted
from latchgate.client.spelling import one_word

URL = "https://api.wayscloud.services"
HOSTS = Hosts("WAYSCloud", names=frozenset({"api.wayscloud.services", "provision.wayscloud.net"}))
WANTED = Wanted(
    cloud="WAYSCloud",
    sets=(("key",), ("token",)),
    variables={"key": "WAYSCLOUD_API_KEY", "token": "WAYSCLOUD_TOKEN", "url": "WAYSCLOUD_API_URL"},
)
_ACCOUNT_KEY = "wayscloud_api_"


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

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The key."""
        return (self._key,)
