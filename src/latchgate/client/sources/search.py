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

from collections.abc import Iterable

from latchgate.client.errors import CredentialMissing, SourceUnreadable
from latchgate.client.sources.client_file import ClientFile
from latchgate.client.sources.command import Command
from latchgate.client.sources.dotenv import DotEnv
from latchgate.client.sources.environment import Environment
from latchgate.client.sources.keyring import Keyring
from latchgate.client.sources.source import Found, Lacking, Source, Wanted


def usual() -> tuple[Source, ...]:
    """Return the usual sources: environment, `.env`, clients' own files, keyring, a command."""
    return (Environment(), DotEnv(), ClientFile(), Keyring(), Command())


def search(wanted: Wanted, sources: Iterable[Source] | None = None) -> Found:
    """Return the first credential.

    Raises: CredentialMissing, which says what was tried; SourceUnreadable, where what is there is
    broken, or a source of `sources` can't be read; CredentialInvalid, where one contradicts itself.
    """
    tried = ["argument: none given"]
    for source in usual() if sources is None else sources:
        found = source.look(wanted)
        if not isinstance(found, Lacking):
            return found
        if found.unreadable and sources is not None:
            msg = f"{wanted.cloud}: {found}"
            raise SourceUnreadable(msg)
        tried.append(str(found))
    msg = f"no credential for {wanted.cloud}"
    raise CredentialMissing(msg, tried=tried)
