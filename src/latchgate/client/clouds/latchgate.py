"""Latchgate's own management API, with a service key or whatever else it takes as Bearer."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from typing import Any, ClassVar

from latchgate.client.errors import CredentialInvalid, Unreachable
from latchgate.client.flow import Ask, Cloud, Flow, Identity, Send, Step
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.secret import Secret, secret
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Source, Wanted
from latchgate.client.spelling import one_word

HOSTS = Hosts("Latchgate")
WANTED = Wanted(
    cloud="Latchgate",
    sets=(("token",),),
    variables={"token": "LATCHGATE_TOKEN", "url": "LATCHGATE_URL"},
)
_ACCOUNT = "/manage/v1/account"


class Latchgate(Cloud):
    """A Latchgate's own API, with a key: the argument, or the first source that has one.

    `url` is its address, from the argument or the key's own source: there is none that is usual.
    Raises: CredentialMissing, CredentialInvalid, InsecureTransport.
    """

    name: ClassVar[str] = "Latchgate"

    def __init__(
        self,
        token: str | Secret | None = None,
        *,
        url: str | None = None,
        origins: Iterable[str] = (),
        sources: Iterable[Source] | None = None,
    ) -> None:
        """Take `token`, or look for one."""
        self.source = "argument"
        if token is None:
            found = search(WANTED, sources)
            token, self.source = found.fields["token"], found.where
            told = found.fields.get("url")
            url = url or (told.reveal() if told is not None else None)
        if not url:
            msg = "Latchgate: say where it is: url=, or LATCHGATE_URL beside LATCHGATE_TOKEN"
            raise CredentialInvalid(msg)
        self._token = one_word(secret(token), self.name)
        self.url = base(url, self.name)
        self.hosts = hosts_of(self.name, self.url, HOSTS, "", origins)
        self._headers = (("Authorization", f"Bearer {self._token.reveal()}"),)
        self._send = Send(self._headers)

    def signed(self, target: Target) -> Flow:  # noqa: ARG002 - every path takes the same header
        """Send with the key."""
        yield self._send

    def identify(self) -> Generator[Step, Any, Identity]:
        """Ask for the own account: the user whose key it is, and what it may do now.

        Raises: AuthenticationFailed and its kin, Unreachable.
        """
        response: Response = yield Ask(Request("GET", self.url + _ACCOUNT, self._headers))
        if response.status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
            raise refused(self, response)
        try:
            told = json.loads(response.body)
            user = told["user"]
            more = {name: str(told[name]) for name in ("tenant_id", "project_id", "credential_id")}
            more["name"] = str(user["name"])
            rights = tuple(str(one) for one in told["rights"])
            return Identity(self.name, str(user["id"]), self.source, rights, told=more)
        except (ValueError, TypeError, KeyError, RecursionError):
            msg = f"{self.url} answered without an account: is it a Latchgate's management API?"
            raise Unreachable(msg) from None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The key."""
        return (self._token,)
