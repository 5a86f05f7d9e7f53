"""The files that the clouds' own clients keep credentials in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from latchgate.client.sources import clouds_yaml, upctl, wayscloud_cli
from latchgate.client.sources.private_file import NotRead, expanded
from latchgate.client.sources.source import Found, Lacking, Wanted

# (wanted, path or None for where that client looks, entry or None for the one that it would use).
_Look = Callable[[Wanted, Path | None, str | None], Found | Lacking]

FILES: dict[str, _Look] = {
    "KakaoCloud": clouds_yaml.look,
    "UpCloud": upctl.look,
    "WAYSCloud": wayscloud_cli.look,
}


class ClientFile:
    """The file of a cloud's own client, where that client looks for it, or at `path`.

    `entry` is the cloud's name in a `clouds.yaml`, in the place of `OS_CLOUD`. UpCloud's and
    WAYSCloud's have one entry.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, entry: str | None = None
    ) -> None:
        """Look at `path`, or where the cloud's own client looks."""
        self._path = None if path is None else expanded(path)
        self._entry = entry

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return what the file holds.

        Raises: SourceUnreadable for a broken file; CredentialInvalid where two credentials in it
        exclude each other.
        """
        look = FILES.get(wanted.cloud)
        if look is None:
            return Lacking("clients' files", f"no client of {wanted.cloud} is known to keep one")
        try:
            return look(wanted, self._path, self._entry)
        except NotRead as error:
            return Lacking(str(error.path), str(error), unreadable=True)

    def __repr__(self) -> str:
        told = [repr(str(self._path))] if self._path is not None else []
        told += [f"entry={self._entry!r}"] if self._entry is not None else []
        return f"ClientFile({', '.join(told)})"
