"""The order in which sources are looked at, after arguments, which go before all."""

from __future__ import annotations

from collections.abc import Iterable

from latchgate.client.errors import CredentialMissing
from latchgate.client.sources.environment import Environment
from latchgate.client.sources.source import Found, Lacking, Source, Wanted


def usual() -> tuple[Source, ...]:
    """Return the usual sources: environment, `.env`, the cloud's own tools' files, the keyring."""
    return (Environment(),)


def search(wanted: Wanted, sources: Iterable[Source] | None = None) -> Found:
    """Return the first credential; raises CredentialMissing, which says what was tried."""
    tried = ["argument: none given"]
    for source in usual() if sources is None else sources:
        found = source.look(wanted)
        if not isinstance(found, Lacking):
            return found
        tried.append(str(found))
    msg = f"no credential for {wanted.cloud}"
    raise CredentialMissing(msg, tried=tried)
