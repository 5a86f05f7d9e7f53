"""The master key: a file outside the store, without which no private key in the store opens.

Rule of this file: the key is never printed, and a file that others may read is not used.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from latchgate.keyring.errors import UNAFFECTED, KeyringError

KEY_BYTES = 32
_NONCE_BYTES = 12  # what GCM is made for (NIST SP 800-38D §8.2.2)
_FORM = b"\x01"  # first byte of what is sealed, so that another cipher can follow
_MAX_FILE = 1024


class MasterKey:
    """32 random bytes that seal private keys with AES-256-GCM."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            msg = f"a master key has {KEY_BYTES} bytes"
            raise ValueError(msg)
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "MasterKey(***)"

    def __reduce__(self) -> tuple[object, ...]:
        msg = "a MasterKey is not pickled"
        raise TypeError(msg)

    def seal(self, plain: bytes, about: bytes, entropy: Callable[[int], bytes]) -> bytes:
        """Return `plain` encrypted; it opens only together with the same `about`."""
        nonce = entropy(_NONCE_BYTES)
        return _FORM + nonce + self._cipher.encrypt(nonce, plain, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Return what was sealed with this key and `about`; ValueError for anything else."""
        if sealed[:1] != _FORM:
            msg = "not sealed in a form this program knows"
            raise ValueError(msg)
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, about)
        except (InvalidTag, ValueError) as error:
            msg = "sealed with another key, or altered"
            raise ValueError(msg) from error


def create(path: Path, entropy: Callable[[int], bytes]) -> MasterKey:
    """Draw a master key and write it to a new file of mode 0600, as base64.

    FileExistsError when something is there already: a key is never overwritten.
    """
    key = entropy(KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(descriptor)
    return MasterKey(key)


def load(path: Path) -> MasterKey:
    """Read a master key; KeyringError says what is wrong with the file."""
    try:
        # Not blocking: a pipe in the file's place must not stop the server.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        msg = f"the master key {path} is not there. Put it back from where it is kept, or make new"
        msg += f" keys: latchgate signing-key replace --new-master. {UNAFFECTED}"
        raise KeyringError(msg) from error
    except OSError as error:
        raise _unusable(path, f"can't be read ({error.strerror})") from error
    try:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode):
            raise _unusable(path, "is no file")
        if told.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _unusable(path, f"can be read by others; run: chmod 600 {path}")
        text = os.read(descriptor, _MAX_FILE)
    finally:
        os.close(descriptor)
    try:
        return MasterKey(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError) as error:
        raise _unusable(path, f"does not hold {KEY_BYTES} bytes as base64") from error


def _unusable(path: Path, why: str) -> KeyringError:
    return KeyringError(f"the master key {path} {why}. {UNAFFECTED}")
