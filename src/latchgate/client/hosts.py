"""Where a credential may go.

Rule of this file: to the cloud's own hosts, over TLS, and nowhere else. A cloud that is reached at
another address (`url`) has that one origin alone. This machine itself may be reached without TLS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from latchgate.client.errors import CredentialInvalid, InsecureTransport, WrongHost
from latchgate.client.message import Target

_NAME = re.compile(r"[a-z0-9.-]+")

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Hosts:
    """A cloud's hosts: `names` exactly, whatever is below `domains`, and `more` origins.

    Below `nodes` it is one label: a cloud's servers, and nothing that is below one of them.
    """

    cloud: str
    names: frozenset[str] = frozenset()
    domains: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    more: frozenset[str] = frozenset()
    _known: dict[tuple[str, str, int], bool] = field(default_factory=dict, repr=False)

    def own(self, target: Target) -> bool:
        """Whether a request there may carry the credential; raises for an own one without TLS."""
        place = target[:3]
        known = self._known.get(place)
        if known is None:
            known = self._belongs(target)
            if len(self._known) < 256:  # noqa: PLR2004 - more hosts than any cloud's client asks
                self._known[place] = known
        if known and target.scheme != "https" and target.host not in LOOPBACK:
            msg = f"{target.origin} is not https: {self.cloud}'s credential goes over TLS only"
            raise InsecureTransport(msg)
        return known

    def wrong(self, target: Target) -> WrongHost:
        """Say that a host is none of the cloud's, and which are."""
        below = (f"*.{domain}" for domain in (*self.domains, *self.nodes))
        listed = ", ".join([*sorted(self.names), *below, *sorted(self.more)])
        known = listed or "none is known: name them in origins"
        msg = f"{target.origin} is none of {self.cloud}'s hosts ({known}); nothing was sent"
        return WrongHost(msg)

    def _belongs(self, target: Target) -> bool:
        if target.origin in self.more:
            return True
        if target.origin != f"{target.scheme}://{target.host}":
            return False  # a port of somebody else's on the cloud's own host
        if target.host in self.names:
            return True
        # A trailing dot, or anything else that is spelled otherwise, is another host; so is what
        # ends as a domain does after a sign that some parser of URLs takes for a host's end.
        label, _, below = target.host.partition(".")
        return _NAME.fullmatch(target.host) is not None and (
            (label != "" and below in self.nodes)
            or any(target.host.endswith(f".{domain}") for domain in self.domains)
        )


def base(url: str, cloud: str) -> str:
    """Return a cloud's address without a slash at its end; what is none, or is unsafe, raises.

    Raises: CredentialInvalid, InsecureTransport.
    """
    target = _target(url)
    if target is None:
        # It may be a key that was put in the wrong place, or hold one: it is not shown.
        msg = f"{cloud}: the address is not a URL such as https://api.example.com"
        raise CredentialInvalid(msg)
    if "@" in url.split("://", 1)[1].split("/", 1)[0]:
        msg = f"{cloud}: the address holds a credential; give it apart"
        raise CredentialInvalid(msg)
    if target.scheme != "https" and target.host not in LOOPBACK:
        msg = f"{target.origin} is not https: {cloud}'s credential goes over TLS only"
        raise InsecureTransport(msg)
    return url.rstrip("/")


def hosts_of(cloud: str, url: str, usual: Hosts, usual_url: str, origins: Iterable[str]) -> Hosts:
    """Return a cloud's own hosts, or where it is reached at another address, that origin alone.

    `origins` are more addresses that the caller trusts with the credential.
    Raises: CredentialInvalid, InsecureTransport.
    """
    more = {Target.of(base(one, cloud)).origin for one in origins}
    if url == usual_url and not more:
        return usual
    if url == usual_url:
        return replace(usual, more=frozenset(more), _known={})
    return Hosts(cloud, more=frozenset({Target.of(url).origin, *more}))


def _target(url: str) -> Target | None:
    try:
        return Target.of(url)
    except ValueError:
        return None
