"""The bodies of TeraCLOUD's REST API, from what is stored of the user.

Rule of this file: a member that nothing is known of is left out, never made up.
"""

from __future__ import annotations

from typing import Any

from latchgate.core.timestamp import rfc3339
from latchgate.manage.storage import Account

_GIB = 2**30  # clients show `capacity` as GB beside a quota of 2^30 bytes each
_ROOT = "__ROOT__"
Parameters = list[tuple[str, str]]


def user(account: Account, _parameters: Parameters) -> dict[str, Any]:
    """Return the user: login name, node, its WebDAV address, capacity; and the application."""
    stored, program = account.storage, account.program
    told: dict[str, Any] = {"user": account.login}
    if stored.introduce_code is not None:
        told["introduce_code"] = stored.introduce_code
    told |= {
        "node": stored.node,
        "webdav_url": f"https://{stored.node}/dav/",
        "capacity": (stored.quota or 0) // _GIB,
    }
    if program is not None:
        at = program.approved_at
        told["api_key"] = {"name": program.name, "note": program.note, "vendor": program.vendor}
        told["api_key"] |= {"activated_time": rfc3339(at)} if at is not None else {}
    return told


def capacity(account: Account, _parameters: Parameters) -> dict[str, Any]:
    """Return how many bytes the user's storage may hold and holds."""
    return _data_set({"quota": account.storage.quota, "used": account.storage.used})


def properties(account: Account, parameters: Parameters) -> dict[str, Any]:
    """Return those of the properties asked for (`;properties=a,b`) that are known; all unasked."""
    known = {"quota": account.storage.quota, "used": account.storage.used}
    asked = [name for key, value in parameters if key == "properties" for name in value.split(",")]
    told = {name: value for name, value in known.items() if not asked or name in asked}
    return _data_set(told)


def _data_set(told: dict[str, int | None]) -> dict[str, Any]:
    return {"dataset": {_ROOT: told}}
