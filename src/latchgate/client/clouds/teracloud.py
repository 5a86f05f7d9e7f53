"""TeraCLOUD (InfiniCLOUD): Basic for files, Basic and an application's key for REST, OAuth2 beside.

Rule of this file: which credential goes into a request follows from its path alone, and no path
gets one that it doesn't ask for. Source: providers/teracloud, "The relationship between
certification required areas and resources", "How to give API KEY".
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Literal
from urllib.parse import unquote

from latchgate.client.errors import (
    CredentialInvalid,
    CredentialMissing,
    NotReady,
    Refused,
    Unreachable,
)
from latchgate.client.flow import Ask, Cloud, Flow, Identity, Send, Step, with_token
from latchgate.client.hosts import Hosts, base, hosts_of
from latchgate.client.message import Pairs, Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.secret import Secret
from latchgate.client.secret import secret as wrapped
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Source, Wanted
from latchgate.client.spelling import basic

URL = "https://api.teracloud.jp"
# The API server under the name that the cloud has now.
_ALSO = "https://api.infini-cloud.net"
HOSTS = Hosts("TeraCLOUD", nodes=("teracloud.jp", "infini-cloud.net"))
WANTED = Wanted(
    cloud="TeraCLOUD",
    sets=(("user", "password"),),
    variables={
        "user": "TERACLOUD_USER",
        "password": "TERACLOUD_PASSWORD",
        "api_key": "TERACLOUD_API_KEY",
        "url": "TERACLOUD_URL",
    },
    optional=("api_key", "url"),
)
_NOT_READY = "the account is new, and its node is not ready yet: ask again later"
_HEADER = "X-TeraCLOUD-API-KEY"
_PARAMETER = "api_key"
_USER = "/v2/api/ba/user"
_KEY = re.compile(r"[0-9A-F]{32}")
_DOTS = re.compile(r"/\.{1,2}(?=[/;]|\Z)")
_NODE = re.compile(r"[0-9A-Za-z.-]+(?::[0-9]{1,5})?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_BASIC = re.compile(r"(?:^|,)\s*basic(?=[\s,]|$)", re.IGNORECASE)


class _Area(Enum):
    """What a path asks for."""

    FILES = "Basic"
    REST = "Basic and the application's key"
    OAUTH2 = "a Bearer token"
    OTHER = "nothing"


# The longer before the shorter.
_AREAS = (
    ("/v2/dav/", _Area.OAUTH2),
    ("/v2/api/", _Area.REST),
    ("/backup/", _Area.FILES),
    ("/dav/", _Area.FILES),
    ("/ba/", _Area.REST),
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the cloud tells it: `node` is the host of their files, `capacity` in GB."""

    user: str
    node: str
    webdav_url: str
    capacity: int

    def at(self, path: str) -> str:
        """Return the URL of a path such as `/dav/photos` on the user's node, or the node's own.

        Raises CredentialInvalid for what is no path.
        """
        if path and not path.startswith("/"):
            msg = f"TeraCLOUD: a path of the node begins with a slash, and {path!r} does not"
            raise CredentialInvalid(msg)
        return f"https://{self.node}{path}"


class TeraCloud(Cloud):
    """TeraCLOUD, with a user's name and password and an application's key, or the first source's.

    By the path of a request: `/dav/` and `/backup/` get Basic; `/v2/api/` and `/ba/` Basic and the
    key; `/v2/dav/` a token of `oauth2`, whose `origins` don't count here: it goes to this cloud's
    hosts. Other paths get nothing. `via` says how the key goes: "header", or "matrix" for
    `;api_key=…` on the last segment of the path, where logs may show it. Without `preemptive`
    Basic goes only to whom asks for it (401). The key is the program's own, so it may be given
    beside a user's name and password from a source. With `oauth2` and nothing else no source is
    looked at. `url` is the API server's; where that is another than the cloud's, the nodes of its
    users are to be named in `origins`.
    Raises: CredentialMissing, CredentialInvalid, InsecureTransport.
    """

    name: ClassVar[str] = "TeraCLOUD"

    def __init__(  # noqa: PLR0913 - three credentials, and how each goes
        self,
        user: str | None = None,
        password: str | Secret | None = None,
        api_key: str | Secret | None = None,
        *,
        via: Literal["header", "matrix"] = "header",
        preemptive: bool = True,
        oauth2: Cloud | None = None,
        url: str | None = None,
        origins: Iterable[str] = (),
        sources: Iterable[Source] | None = None,
    ) -> None:
        """Take credentials, or look for them."""
        fields = self._fields(user, password, sources, oauth2)
        if api_key is not None:
            fields = {**fields, "api_key": wrapped(api_key)}
        if via not in {"header", "matrix"}:
            msg = f'TeraCLOUD: the key goes via "header" or "matrix", not {via!r}'
            raise CredentialInvalid(msg)
        if oauth2 is not None and oauth2.renewal is None:
            msg = "TeraCLOUD: oauth2 is an OAuth2 object, or another one that fetches tokens"
            raise CredentialInvalid(msg)
        told = fields.get("url")
        self.url = base(url or (told.reveal() if told is not None else URL), self.name)
        usual = self.url if self.url == _ALSO else URL
        if Target.of(self.url).path != "/":
            msg = (
                f"TeraCLOUD: {self.url} has a path, and what goes into a request follows from that"
            )
            raise CredentialInvalid(msg)
        self.hosts = hosts_of(self.name, self.url, HOSTS, usual, origins)
        self.oauth2 = oauth2
        self._matrix, self._preemptive = via == "matrix", preemptive
        self._key = _key(fields.get("api_key"))
        self._password = fields.get("password")
        self._basic: Pairs = ()
        if self._password is not None:
            value = basic(fields["user"].reveal(), self._password, self.name)
            self._basic = (("Authorization", value),)

    def flow(self, target: Target, *, redirected: bool = False) -> Flow:
        """Return the flow of one request; a redirect elsewhere whose path holds the key is refused.

        Raises: WrongHost, InsecureTransport.
        """
        if redirected and self._matrix and self._key is not None:
            # A server that sends a request on repeats its path, with what was added to it.
            added = rf"(?:;|%3B){_PARAMETER}={self._key.reveal()}"
            path = re.sub(added, "", target.path, flags=re.IGNORECASE)
            if path != target.path and not self.hosts.own(target):
                raise self.hosts.wrong(target)
            target = target._replace(path=path)
        return super().flow(target, redirected=redirected)

    def signed(self, target: Target) -> Flow:
        """Send with what the path asks for."""
        area = _area(target.path)
        if area is _Area.OTHER:
            yield Send(())
        elif area is _Area.OAUTH2:
            yield from self._bearer()
        elif self._preemptive:
            yield self._send(area, target.path)
        else:
            response: Response | None = yield self._send(area, target.path, proven=False)
            if response is not None and _challenged(response):
                yield self._send(area, target.path)

    def account(self) -> Generator[Step, Any, Account]:
        """Return the flow that asks the API server for the user and their node.

        Raises: AuthenticationFailed (user or password), PermissionDenied (the application's key),
        NotReady while a new account has no node, WrongHost for a node that is none of the cloud's:
        the password would follow it.
        """
        response: Response = yield self._ask(proven=self._preemptive)
        if not self._preemptive and _challenged(response):
            response = yield self._ask(proven=True)
        return self._account(response)

    def identify(self) -> Generator[Step, Any, Identity]:
        """Ask for the account, or whose token it is where there is nothing but that."""
        if not self._basic and self.oauth2 is not None:
            return replace((yield from self.oauth2.identify()), cloud=self.name)
        account = yield from self.account()
        told = {"node": account.node, "webdav_url": account.webdav_url}
        told["capacity"] = f"{account.capacity} GB"
        return Identity(self.name, account.user, self.source, told=told)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The password, the application's key, and what the OAuth2 object holds."""
        own = tuple(one for one in (self._password, self._key) if one is not None)
        return own + (self.oauth2.secrets if self.oauth2 is not None else ())

    def _fields(
        self,
        user: str | None,
        password: str | Secret | None,
        sources: Iterable[Source] | None,
        oauth2: Cloud | None,
    ) -> Mapping[str, Secret]:
        self.source = "argument"
        if user is not None and password is not None:
            return {"user": Secret(user), "password": wrapped(password)}
        if user is not None or password is not None:
            msg = "TeraCLOUD: give both user and password, or neither"
            raise CredentialInvalid(msg)
        if oauth2 is not None and sources is None:
            return {}
        found = search(WANTED, sources)
        self.source = found.where
        return found.fields

    def _bearer(self) -> Flow:
        if self.oauth2 is None:
            msg = "TeraCLOUD: /v2/dav/ takes an OAuth2 token alone: give oauth2=OAuth2(…)"
            raise CredentialMissing(msg)
        return with_token("Authorization", "Bearer ", of=self.oauth2)

    def _send(self, area: _Area, path: str, *, proven: bool = True) -> Send:
        """Return the step that sends to a path, with Basic where that is `proven`."""
        if not self._basic:
            msg = f"TeraCLOUD: {area.value} is asked for there: give user and password"
            raise CredentialMissing(msg)
        headers = self._basic if proven else ()
        if area is _Area.FILES:
            return Send(headers)
        if self._key is None:
            msg = "TeraCLOUD: its REST API asks for the application's key as well: give api_key"
            raise CredentialMissing(msg)
        if f";{_PARAMETER}" in unquote(path):
            msg = f"TeraCLOUD: the path holds {_PARAMETER} already; it is added to the request here"
            raise CredentialInvalid(msg)
        if self._matrix:
            return Send(headers, f"{path};{_PARAMETER}={self._key.reveal()}")
        return Send(((_HEADER, self._key.reveal()), *headers))

    def _ask(self, *, proven: bool) -> Ask:
        step = self._send(_Area.REST, _USER, proven=proven)
        headers = (("Accept", "application/json"), *step.headers)
        return Ask(Request("GET", self.url + (step.path or _USER), headers))

    def _account(self, response: Response) -> Account:
        if response.status == 202:  # noqa: PLR2004 - as its clients know it
            raise refused(self, response, read=(NotReady, _NOT_READY))
        if response.status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
            raise refused(self, response)
        account = _told(response)
        if isinstance(account, int):
            raise refused(self, response, read=(Refused, f"its result is {account}, not 0"))
        if account is None or not _NODE.fullmatch(account.node):
            msg = f"{self.url} answered without a user and their node"
            raise Unreachable(msg)
        for url in (account.at("/"), account.webdav_url):
            self._own(url)
        return account

    def _own(self, url: str) -> None:
        try:
            target = Target.of(url)
        except ValueError:
            msg = f"{self.url} answered with an address that is none"
            raise Unreachable(msg) from None
        if not self.hosts.own(target):
            raise self.hosts.wrong(target)


def _area(path: str) -> _Area:
    if ("/." in path or "%" in path) and _DOTS.search(unquote(path)):
        return _Area.OTHER  # it may end anywhere
    begins = f"{path}/" if path.count("/") < 3 else path  # noqa: PLR2004 - /v2/dav is the area's own
    return next((area for prefix, area in _AREAS if begins.startswith(prefix)), _Area.OTHER)


def _key(key: Secret | None) -> Secret | None:
    if key is None or _KEY.fullmatch(key.reveal()):
        return key
    text = key.reveal()
    if _KEY.fullmatch(text.upper()):
        wrong = "holds lower-case letters; write it in upper case"
    elif len(text) != 32:  # noqa: PLR2004 - 128 bits
        wrong = f"has {len(text)} characters"
    else:
        wrong = "holds other characters"
    msg = (
        f"TeraCLOUD: an application's key is 32 upper-case hexadecimal digits, and this one {wrong}"
    )
    raise CredentialInvalid(msg)


def _challenged(response: Response) -> bool:
    """Whether a server asks for Basic (RFC 9110 §11.6.1); what is quoted asks for nothing."""
    challenges = _QUOTED.sub('""', response.headers.get("www-authenticate", ""))
    return response.status == 401 and _BASIC.search(challenges) is not None  # noqa: PLR2004 - RFC 9110


def _told(response: Response) -> Account | int | None:
    """Return the account, the result where that is another than 0, or None for neither."""
    try:
        told = json.loads(response.body)
        result = told["result"]
        if isinstance(result, bool) or not isinstance(result, int):
            return None
        if result:
            return result
        account = Account(told["user"], told["node"], told["webdav_url"], told["capacity"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (account.user, account.node, account.webdav_url)
    sound = all(isinstance(one, str) for one in texts) and isinstance(account.capacity, int)
    return account if sound else None
