"""People's passwords, as argon2id (RFC 9106) in PHC form."""

from __future__ import annotations

import base64
import re

# RFC 9106 §4, second recommended option: 64 MiB, three passes, four lanes.
_ITERATIONS, _LANES, _MEMORY_KIB, _LENGTH = 3, 4, 65_536, 32
# A stored hash says what checking it costs; more than this is somebody's attack (D4.31).
_MAX_ITERATIONS, _MAX_LANES, _MAX_MEMORY_KIB = 10, 16, 262_144
_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(?P<m>[0-9]{1,7}),t=(?P<t>[0-9]{1,3}),p=(?P<p>[0-9]{1,2})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,64})\$(?P<hash>[A-Za-z0-9+/]{22,86})"
)


class HashError(Exception):
    """A stored hash is none that may be checked."""


def hash_password(password: str, salt: bytes) -> str:
    """Return `password` hashed with 16 bytes of fresh `salt`, parameters included."""
    return _derive(password, salt, _MEMORY_KIB, _ITERATIONS, _LANES, _LENGTH)


def is_argon2id(stored: str) -> bool:
    """Whether a stored hash is spelled as argon2id in PHC form."""
    return stored.startswith("$argon2id$")


def check_hash(stored: str) -> None:
    """Raise HashError unless `stored` is argon2id in PHC form, of a cost that is ever taken."""
    _read(stored)


def hash_like(password: str, stored: str) -> str:
    """Return `password` hashed with the salt and the cost of a stored hash.

    It equals the stored one exactly when the password does. HashError when that is not argon2id
    in PHC form, or costs more than is ever stored.
    """
    memory, iterations, lanes, salt, length = _read(stored)
    try:
        return _derive(password, salt, memory, iterations, lanes, length)
    except ValueError as error:
        raise HashError(str(error)) from error


def _read(stored: str) -> tuple[int, int, int, bytes, int]:
    """Return memory in KiB, iterations, lanes, salt and length of a stored hash; HashError."""
    found = _PHC.fullmatch(stored)
    if found is None:
        raise HashError("not argon2id in PHC form")
    memory, iterations, lanes = int(found["m"]), int(found["t"]), int(found["p"])
    bounded = 0 < iterations <= _MAX_ITERATIONS and 0 < lanes <= _MAX_LANES
    if memory > _MAX_MEMORY_KIB or not bounded:
        raise HashError("its cost is out of bounds")
    try:
        return memory, iterations, lanes, _plain(found["salt"]), len(_plain(found["hash"]))
    except ValueError as error:
        raise HashError(str(error)) from error


def _plain(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _derive(
    password: str, salt: bytes, memory: int, iterations: int, lanes: int, length: int
) -> str:
    # Imported here: the base install has no cryptography, and decides without passwords.
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415

    argon2 = Argon2id(
        salt=salt, length=length, iterations=iterations, lanes=lanes, memory_cost=memory
    )
    return argon2.derive_phc_encoded(password.encode())
