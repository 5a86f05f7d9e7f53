"""The order in which sources are looked at.

Arguments go before all and exclude the rest. Then, the first that has a whole credential counts:

1. the environment's variables, as the cloud's own tools name them;
2. the same variables in `.env` of the working directory;
3. the files of the cloud's own clients: `clouds.yaml`, `upctl.yaml`, `~/.wayscloud/credentials`;
4. the system's keyring;
5. the command in the environment's `LATCHGATE_CREDENTIAL_COMMAND`.

`sources=(Keyring("backup"),)` has that one alone looked at, and an unreadable one is an error then.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

from latchgate.client import sources as every
from latchgate.client.errors import AddressUnused, CredentialMissing, SourceUnreadable
from latchgate.client.sources.source import Found, Lacking, Source, Wanted

USUAL = ("Environment", "DotEnv", "ClientFile", "Keyring", "Command")


def usual() -> Iterator[Source]:
    """Yield the usual sources in their order; each is loaded when those before it had nothing."""
    for name in USUAL:
        yield getattr(every, name)()


def search(wanted: Wanted, sources: Iterable[Source] | None = None) -> Found:
    """Return the first credential.

    Raises: CredentialMissing, which says what was tried; SourceUnreadable, where what is there is
    broken, or a source of `sources` can't be read; CredentialInvalid, where one contradicts itself.
    Warns, by AddressUnused, of an address whose own source has no credential.
    """
    tried = ["argument: none given"]
    unused: list[str] = []
    for source in usual() if sources is None else sources:
        found = source.look(wanted)
        if not isinstance(found, Lacking):
            for address in unused:
                msg = f"{address} is not used: {wanted.cloud}'s credential is from {found.where}"
                warnings.warn(msg, AddressUnused, stacklevel=3)
            return found
        if found.address is not None:
            unused.append(f"{found.address} ({found.where})")
        if found.unreadable and sources is not None:
            msg = f"{wanted.cloud}: {found}"
            raise SourceUnreadable(msg)
        tried.append(str(found))
    msg = f"no credential for {wanted.cloud}"
    raise CredentialMissing(msg, tried=tried)
