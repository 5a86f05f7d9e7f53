"""What a keyring's entry or a command says: one line, which is the secret, or a JSON object.

The object has the fields by their names (`{"username": "…", "password": "…"}`), and may say which
`cloud` they are for, by its name in lower case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from latchgate.client.errors import SourceUnreadable
from latchgate.client.sources.source import Found, Lacking, Wanted

LARGEST = 64 * 1024  # characters
CLOUD = "cloud"


def answered(
    text: str, wanted: Wanted, *, where: str, known: Mapping[str, str], whose: bool = True
) -> Found | Lacking:
    """Return the credential that an answer and the fields `known` beside it make.

    `whose`: whoever was asked knew which cloud it was for; otherwise the answer has to say so.
    Raises: SourceUnreadable for what is neither form; CredentialInvalid for two that exclude each
    other.
    """
    if len(text) > LARGEST:
        raise _unreadable(where, f"says more than {LARGEST // 1024} KiB")
    if text.lstrip().startswith("{"):
        told = _fields(text, wanted, where)
        cloud = told.pop(CLOUD, None)
        if cloud is not None and cloud != wanted.entry:
            return Lacking(where, "is another cloud's", unreadable=True)
        if cloud is not None or whose:
            return wanted.found({**known, **told}, where)
        return Lacking(where, f'doesn\'t say whose it is: add "{CLOUD}": "{wanted.entry}"')
    if not whose:
        return Lacking(where, _nobodys(wanted))
    line = text.removesuffix("\n").removesuffix("\r")
    if not line or "\n" in line or "\r" in line:
        said = "nothing" if not line.strip() else "several lines"
        raise _unreadable(where, f"says {said}; one line, the secret, or a JSON object is wanted")
    field = wanted.secret_of(known)
    if field is None:
        sets = " or ".join("+".join(one) for one in wanted.sets)
        raise _unreadable(where, f"says one secret, and {sets} are wanted: let it be a JSON object")
    return wanted.found({**known, field: line}, where)


def written(fields: Mapping[str, str], wanted_cloud: str) -> str:
    """Return the JSON object that `answered` reads; the cloud's name is in lower case."""
    return json.dumps({CLOUD: wanted_cloud, **fields})


def _fields(text: str, wanted: Wanted, where: str) -> dict[str, str]:
    told = _object(text)
    if told is None:
        raise _unreadable(where, "says what begins as a JSON object and is none")
    known = {*wanted.fields, CLOUD}
    fields = {name: value for name, value in told.items() if isinstance(value, str)}
    # What is not known is not shown: its name might be the secret.
    if len(fields) != len(told) or not known.issuperset(fields):
        listed = ", ".join(sorted(known))
        raise _unreadable(
            where, f"is to be a JSON object of texts, of no other fields than {listed}"
        )
    return fields


def _object(text: str) -> dict[str, object] | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _nobodys(wanted: Wanted) -> str:
    return (
        f"doesn't say whose secret it prints: name {wanted.entry} or {{cloud}} in its arguments, "
        f'or print a JSON object with "{CLOUD}": "{wanted.entry}"'
    )


def _unreadable(where: str, why: str) -> SourceUnreadable:
    return SourceUnreadable(f"{where} {why}")
