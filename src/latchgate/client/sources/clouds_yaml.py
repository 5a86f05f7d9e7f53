"""`clouds.yaml`, where clients of OpenStack keep their clouds.

Rule of this file: the first file that is there counts, as openstacksdk has it. `secure.yaml` is
merged only from beside it: openstacksdk takes the first on the whole path, and so a `clouds.yaml`
in the working directory would have the user's own secret sent to an address of its choice. For
the same reason it is no link out of such a folder, and `OS_CLIENT_SECURE_FILE` counts only
together with `OS_CLIENT_CONFIG_FILE`. An entry has to say its `auth_url`: one of a vendor's
`profile` is another cloud's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latchgate.client.errors import SourceUnreadable
from latchgate.client.sources.private_file import NotRead, config_homes, expanded, working_folder
from latchgate.client.sources.source import Found, Lacking, Wanted
from latchgate.client.sources.yaml_file import Told, mapping, texts

_AUTH_TYPE = "v3applicationcredential"
_SUFFIXES = (".yaml", ".yml", ".json")
_SITE = Path("/etc/openstack")
# As the environment's, in lower case and without OS_.
_FIELDS = {
    "access_key_id": "application_credential_id",
    "access_key_name": "application_credential_name",
    "secret": "application_credential_secret",
    "user_id": "user_id",
    "url": "auth_url",
}


def look(wanted: Wanted, path: Path | None, entry: str | None) -> Found | Lacking:
    """Return one cloud's application credential.

    Raises: NotRead, SourceUnreadable for a broken file.
    """
    told = os.environ.get("OS_CLIENT_CONFIG_FILE") if path is None else None
    file = expanded(told) if told else path
    for one in _search_path() if file is None else [file]:
        clouds = mapping(one, given=file is not None)
        if clouds is not None:
            return _chosen(wanted, [clouds, *_secure(one, named=bool(told))], entry)
    if file is not None:
        why = "no such file" + (", which OS_CLIENT_CONFIG_FILE names" if told else "")
        return Lacking(str(file), why, unreadable=True)
    return Lacking("clouds.yaml", "none in ., ~/.config/openstack, /etc/openstack")


def _search_path() -> list[Path]:
    folders = [working_folder(), *_own_folders()]
    return [one / f"clouds{suffix}" for one in folders if one for suffix in _SUFFIXES]


def _own_folders() -> list[Path]:
    """Return where nobody but the user and the system's administrator put files."""
    return [*(home / "openstack" for home in config_homes()), _SITE]


def _secure(beside: Path, *, named: bool) -> list[Told]:
    """Return the file that holds the secrets of another, if there is one."""
    told = os.environ.get("OS_CLIENT_SECURE_FILE") if named else None
    if told:
        secure = mapping(expanded(told), given=True)
        if secure is None:
            msg = f"{told}: no such file, which OS_CLIENT_SECURE_FILE names"
            raise SourceUnreadable(msg)
        return [secure]
    for path in (beside.with_name(f"secure{suffix}") for suffix in _SUFFIXES):
        secure = mapping(path, given=False)
        if secure is not None:
            if beside.parent not in _own_folders() and not _together(path, beside):
                msg = "is a link out of its folder, whose clouds.yaml may say any address"
                raise NotRead(msg, path)
            return [secure]
    return []


def _together(one: Path, other: Path) -> bool:
    return one.resolve().parent == other.resolve().parent


def _chosen(wanted: Wanted, files: Sequence[Told], entry: str | None) -> Found | Lacking:
    path = files[0].file.path
    names = dict.fromkeys(name for one in files for name in _clouds(one))
    listed = ", ".join(_printable(name) for name in names) or "none"
    name = entry or os.environ.get("OS_CLOUD")
    if not name and len(names) != 1:
        return Lacking(str(path), f"OS_CLOUD, or the entry's name, says which cloud: {listed}")
    name = name or next(iter(names))
    where = f"{path}, cloud {_printable(name)}"
    if name not in names:
        return Lacking(where, f"no such cloud; there are: {listed}", unreadable=True)
    cloud, auth = _merged(_spelled(_clouds(one).get(name)) for one in files)
    if cloud.get("auth_type") != _AUTH_TYPE:
        return Lacking(where, f"its auth_type is not {_AUTH_TYPE}", unreadable=entry is not None)
    values = {field: auth.get(key) or "" for field, key in _FIELDS.items()}
    wrong = [_FIELDS[field] for field, value in values.items() if not isinstance(value, str)]
    if wrong:
        msg = f"{where}: {', '.join(wrong)} is to be a text, in quotes"
        raise SourceUnreadable(msg)
    found = wanted.found(values, where, _FIELDS)
    if isinstance(found, Lacking):
        return found
    if "url" not in found.fields:
        return Lacking(where, "says no auth_url")
    for one in files:
        if _spelled(_spelled(_clouds(one).get(name)).get("auth")).get(_FIELDS["secret"]):
            one.file.warn()
    return found


def _printable(name: str) -> str:
    """Return a name as it is shown: some folder's must not drive the terminal."""
    return name if name.isprintable() else ascii(name)


def _clouds(told: Told) -> dict[str, Any]:
    return texts(told.entries.get("clouds"))


def _merged(clouds: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what several files say of one cloud, and of its `auth`; the last counts."""
    merged: dict[str, Any] = {}
    auth: dict[str, Any] = {}
    for one in clouds:
        merged.update(one)
        auth.update(_spelled(one.get("auth")))
    return merged, auth


def _spelled(told: object) -> dict[str, Any]:
    """Return a mapping with `_` for `-` in its names, which both may be written with."""
    return {name.replace("-", "_"): value for name, value in texts(told).items()}
