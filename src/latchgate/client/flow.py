"""Flows: what is to be sent, and what follows from the answer, without sending anything.

A flow is a generator. It yields a step and is sent what came of it; the shells (`shell.py`) carry
steps out, with whichever HTTP library a program uses, waiting or not. Rule of this file: no clock,
no randomness, no socket, no file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from latchgate.client.errors import CredentialInvalid
from latchgate.client.hosts import Hosts
from latchgate.client.message import Pairs, Request, Response, Target
from latchgate.client.secret import Secret
from latchgate.client.token import Token

if TYPE_CHECKING:  # they carry out, and read, what is described here
    from latchgate.client.errors import Refused
    from latchgate.client.renewal import Pause, Renewal
    from latchgate.client.said import Said


class Send(NamedTuple):
    """Send the caller's own request with these headers in the place of any of the same names.

    `path` replaces the request's, where a credential belongs into it. Answered by the Response,
    its body unread, its headers told of 4xx and 5xx alone; None where the request's body can't be
    sent a second time.
    """

    headers: Pairs
    path: str | None = None

    def __repr__(self) -> str:
        return "Send(…)"


class Ask(NamedTuple):
    """Make a request of the flow's own; answered by the Response with its body."""

    request: Request


class Obtain(NamedTuple):
    """Get the token of `of`, the cloud itself where that is None; answered by the Token.

    It is another one than `refused`; where that came for one that was refused a moment ago, it is
    `refused` itself. One that has less than `lasting` seconds to live is renewed before.
    """

    refused: Token | None = None
    lasting: float = 0.0
    of: Cloud | None = None


Step = Send | Ask | Obtain
Flow = Generator[Step, Any, None]
Exchange = Generator["Ask | Pause", Any, "Issued"]  # an answer to Ask, nothing to Pause


class Issued(NamedTuple):
    """What an exchange gave: the token's text, the seconds that it lasts, and what was said.

    Without a `refresh` of its own the one before stays; an empty one says that there is none.
    """

    value: str
    lasts: float
    facts: dict[str, str] = {}  # noqa: RUF012 - never changed
    refresh: str | None = None

    def __repr__(self) -> str:
        return f"Issued(lasts={self.lasts})"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a credential is: what a cloud said when it was asked.

    `principal` is the user, key or project as that cloud names it; `rights` what it may do as far
    as the cloud tells (None where it doesn't); `ends_at` Unix seconds, None where it does not end
    or nobody knows; `told` whatever else was said, by that cloud's own names.
    """

    cloud: str
    principal: str
    source: str
    rights: tuple[str, ...] | None = None
    ends_at: float | None = None
    told: dict[str, str] = field(default_factory=dict)


class Cloud(ABC):
    """A cloud with a credential for it: where it may go, and how it goes into a request.

    `url` is the address of its API without a path's slash at the end, `source` says where the
    credential came from. Objects are safe to share by threads and tasks, and live through a fork.

    A program that is about to work for long carries `validate(lasting=…)` out before, by its
    adapter's `run`: that tells at once what would otherwise end the work in the middle. Tokens are
    fetched and renewed by themselves; `forget()` drops the one that is kept.
    """

    name: ClassVar[str]  # as errors say it
    url: str
    hosts: Hosts
    source: str
    renewal: Renewal | None = None  # of clouds whose tokens are fetched

    def flow(self, target: Target, *, redirected: bool = False) -> Flow:
        """Return the flow of one request; `redirected` where a server sent it to this target.

        Raises WrongHost and InsecureTransport before anything is sent; a redirect to another host
        is followed without the credential.
        """
        if self.hosts.own(target):
            return self.signed(target)
        if not redirected:
            raise self.hosts.wrong(target)
        return _bare()

    @abstractmethod
    def signed(self, target: Target) -> Flow:
        """Return the flow of a request to one of the cloud's own hosts."""

    def exchange(self, token: Token | None) -> Exchange:  # noqa: ARG002 - most have none
        """Return the flow that gets a token, in `token`'s place where that can be refreshed.

        `token` is the newest that any process of this user got, over or not, or None. Its
        `refresh` is nobody else's meanwhile, so that it may be one that counts once.
        """
        msg = f"{self.name} has no tokens that are fetched"
        raise CredentialInvalid(msg)

    def identify(self) -> Generator[Step, Any, Identity]:
        """Return the flow that asks the cloud who this credential is.

        Raises: AuthenticationFailed and its kin.
        """
        msg = f"{self.name} does not say who a credential is"
        raise CredentialInvalid(msg)

    def validate(self, *, lasting: float = 0.0) -> Generator[Step, Any, Identity]:
        """Return the flow that makes sure that the credential stands, and asks who it is.

        A token with less than `lasting` seconds to live is renewed before. The end of a credential
        that is sent itself, without tokens, is what `Identity.ends_at` says.
        Raises: CredentialInvalid where no token of this cloud lasts for so long; what exchanging
        and `identify` raise.
        """
        if self.renewal is not None:
            yield Obtain(lasting=lasting)
        return (yield from self.identify())

    def forget(self) -> None:
        """Drop the token that is kept, other processes' too; the next request fetches one."""
        if self.renewal is not None:
            self.renewal.forget(self)

    def judged(
        self,
        response: Response,  # noqa: ARG002 - most clouds' statuses and codes say it all
        told: Said,  # noqa: ARG002 - as above
    ) -> tuple[type[Refused], str] | None:
        """Say which error a refusal is and why, where this cloud knows better than its code."""
        return None

    @property
    @abstractmethod
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that it holds, to mask them in what a server says; not its tokens."""

    @property
    def slot(self) -> tuple[str, ...]:
        """What tells this credential's token from others', nothing of it secret.

        Two credentials of one slot take turns in the cache: whatever a token depends on (scope,
        audience, user) belongs into it.
        """
        return (self.name, self.url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self.url!r}, source={self.source!r})"


def _bare() -> Flow:
    yield Send(())


def with_token(header: str, prefix: str = "", *, of: Cloud | None = None) -> Flow:
    """Send with a token, and once more with another where that one is refused (401).

    `of` is whose token it is, the cloud's own where that is None.
    """
    token: Token = yield Obtain(of=of)
    response: Response | None = yield Send(((header, prefix + token.value.reveal()),))
    if response is None or response.status != 401:  # noqa: PLR2004 - RFC 9110 §15.5.2
        return
    other: Token = yield Obtain(refused=token, of=of)
    if other is not token:
        yield Send(((header, prefix + other.value.reveal()),))
