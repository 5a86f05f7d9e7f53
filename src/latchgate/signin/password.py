"""People's passwords, as argon2id (RFC 9106) in PHC form."""

from __future__ import annotations

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

# RFC 9106 §4, second recommended option: 64 MiB, three passes, four lanes.
_ITERATIONS, _LANES, _MEMORY_KIB, _LENGTH = 3, 4, 65_536, 32


def hash_password(password: str, salt: bytes) -> str:
    """Return `password` hashed with 16 bytes of fresh `salt`, parameters included."""
    argon2 = Argon2id(
        salt=salt, length=_LENGTH, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB
    )
    return argon2.derive_phc_encoded(password.encode())
