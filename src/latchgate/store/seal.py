"""What the hash of a journal row covers: the one definition, for who writes rows and who audits.

Rule of this file: names and order never change, or every journal there is would seem altered.
"""

from __future__ import annotations

import hashlib

import msgspec

BLANK = msgspec.UNSET
encode = msgspec.json.Encoder().encode


class Told(msgspec.Struct, gc=False):
    """What a row's hash covers, in the order of the names.

    What an actor came with and from is `BLANK` where it is not known: so rows from before those
    columns keep their hash.
    """

    action: str
    actor: str
    address: str | msgspec.UnsetType
    at: float
    credential_id: str | msgspec.UnsetType
    detail: str
    n: int
    noun: str
    record: str
    tenant_id: str | None


def seal(previous: bytes, told: Told) -> bytes:
    """Return the hash of a journal row over what it tells and the hash before it."""
    return hashlib.sha256(previous + encode(told)).digest()
