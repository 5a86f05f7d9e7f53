"""Password hashes that another system made: checked as they are, and replaced at their first use.

Rule of this file: what checking a stored hash costs is bounded before any work is done (ATTACKS
D4.31), bcrypt is never given more than it reads (D4.30), and a weak hash is never stored as it is:
argon2id is worked out over it, so that a stolen database yields no more than one of our own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from latchgate.core.secret import same
from latchgate.signin.password import (
    HashError,
    check_hash,
    hash_like,
    hash_password,
    is_argon2id,
)

_BCRYPT_BYTES = 72  # what bcrypt reads of a password
_MAX_BCRYPT_COST = 14
_MAX_PBKDF2_ITERATIONS = 2_000_000
_MAX_SHA_CRYPT_ROUNDS = 656_000
_MAX_SCRYPT_BYTES = 256 * 1024 * 1024
_MAX_SCRYPT_WORK = 1 << 21  # N * r * p; OWASP's advice comes to 1 << 20
_WRAPPED = "wrapped:"
_CUT = "first72:"
_B64 = r"[A-Za-z0-9+/]"
_CRYPT64 = r"[./0-9A-Za-z]"

_Found = re.Match[str]


@dataclass(frozen=True, slots=True)
class _Format:
    """One spelling of a hash: whether a password is right, and whether it is too weak to store.

    Without a password `right` judges what the hash costs and says False.
    """

    name: str
    shape: re.Pattern[str]
    right: Callable[[str | None, _Found], bool]
    weak: bool = False


def like(password: str, stored: str) -> str:
    """Return `stored` when a password is right for it, and some other text when it is not.

    HashError when it is no hash that is known, or costs more than is ever taken.
    """
    if is_argon2id(stored):
        return hash_like(password, stored)
    if stored.startswith(_WRAPPED):
        inner, colon, outer = stored.removeprefix(_WRAPPED).rpartition(":")
        if not colon:
            raise HashError("a wrapped hash without its wrapping")
        return f"{_WRAPPED}{inner}:{hash_like(_weak_again(password, inner), outer)}"
    cut = stored.startswith(_CUT)
    given = stored.removeprefix(_CUT)
    found, form = _known(given)
    if form.weak:
        raise HashError(f"{form.name} is too weak to be stored as it is")
    if cut:
        password = _first72(password)
    return stored if form.right(password, found) else "wrong"


def stored_form(given: str, salt: bytes, *, cut: bool = False) -> str:
    """Return what is stored of a hash that another system made; slow for a weak one.

    `salt` is 16 fresh random bytes, for wrapping a weak one. `cut` says that the system read no
    more than 72 bytes of a password under bcrypt, and so must we. HashError says what is wrong
    with it; no part of the hash is in it.
    """
    given = given.removeprefix("argon2$") if given.startswith("argon2$argon2id$") else given
    if given.startswith("argon2id$"):  # as Django spells it, once its own word is off
        given = f"${given}"
    if is_argon2id(given):
        check_hash(given)
        return given
    found, form = _known(given)
    if not form.weak:
        form.right(None, found)
        return f"{_CUT}{given}" if cut and form.name == "bcrypt" else given
    inner, told = _WEAK[form.name].split(found)
    return f"{_WRAPPED}{inner}:{hash_password(told, salt)}"


def is_weak(given: str) -> bool:
    """Whether a hash has to be wrapped before it is stored; HashError when it is not known."""
    return not is_argon2id(given) and not given.startswith("argon2") and _known(given)[1].weak


def is_foreign(stored: bytes) -> bool:
    """Whether a stored hash is to be replaced by argon2id when its password is next seen."""
    return not is_argon2id(stored.decode("ascii", "replace"))


def _known(given: str) -> tuple[_Found, _Format]:
    for form in _FORMATS:
        found = form.shape.fullmatch(given)
        if found is not None:
            return found, form
    names = ", ".join(["argon2id", *(form.name for form in _FORMATS)])
    raise HashError(f"is no hash that can be imported; these can: {names}")


def _first72(password: str) -> str:
    # Cut inside a character, what is left may be no text; Latin-1 keeps each byte as it is.
    return password.encode()[:_BCRYPT_BYTES].decode("utf-8", "surrogateescape")


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogateescape")


def _bcrypt(password: str | None, found: _Found) -> bool:
    import bcrypt  # noqa: PLC0415 - the base install has none, and no foreign hashes to check

    if not 4 <= int(found["cost"]) <= _MAX_BCRYPT_COST:  # noqa: PLR2004 - bcrypt's own least
        raise HashError(f"bcrypt's cost must be from 4 to {_MAX_BCRYPT_COST}")
    raw = _bytes(password) if password is not None else b"\0"
    if len(raw) > _BCRYPT_BYTES or b"\0" in raw:
        # bcrypt reads no further: whatever began alike would be right (D4.30).
        return False
    made = bcrypt.hashpw(raw, b"$2b$" + found["rest"][:25].encode())
    return same(made[-31:], found["rest"][-31:].encode())


def _bcrypt_sha256(password: str | None, found: _Found) -> bool:
    """Compare as Django does: bcrypt over the hexadecimal SHA-256."""
    inner = re.fullmatch(_BCRYPT, found["inner"])
    if inner is None:  # pragma: no cover - the shape holds one
        raise HashError("holds no bcrypt")
    told = hashlib.sha256(_bytes(password)).hexdigest() if password is not None else None
    return _bcrypt(told, inner)


def _passlib_bcrypt_sha256(password: str | None, found: _Found) -> bool:
    """Compare as passlib does, version 2: bcrypt over HMAC-SHA-256 keyed with its salt."""
    import hmac  # noqa: PLC0415 - as bcrypt

    salt, rest = found["salt"], found["salt"] + found["hash"]
    inner = re.fullmatch(_BCRYPT, f"$2b${int(found['cost']):02d}${rest}")
    if inner is None:
        raise HashError("holds no bcrypt")
    if password is None:
        return _bcrypt(None, inner)
    keyed = hmac.new(salt.encode(), _bytes(password), "sha256").digest()
    return _bcrypt(base64.b64encode(keyed).decode(), inner)


def _pbkdf2(password: str | None, found: _Found, salt: bytes, wanted: bytes) -> bool:
    iterations, name = int(found["iterations"]), found["digest"] or "sha1"
    if not 0 < iterations <= _MAX_PBKDF2_ITERATIONS:
        raise HashError(f"PBKDF2 may take {_MAX_PBKDF2_ITERATIONS} iterations at most")
    if not 16 <= len(wanted) <= 64:  # noqa: PLR2004 - 128 bits, and SHA-512's
        raise HashError("PBKDF2's result must have 16 to 64 bytes")
    if password is None:
        return False
    made = hashlib.pbkdf2_hmac(name, _bytes(password), salt, iterations, len(wanted))
    return same(made, wanted)


def _django_pbkdf2(password: str | None, found: _Found) -> bool:
    return _pbkdf2(password, found, found["salt"].encode(), _plain(found["hash"]))


def _passlib_pbkdf2(password: str | None, found: _Found) -> bool:
    salt, wanted = (_plain(found[name].replace(".", "+")) for name in ("salt", "hash"))
    return _pbkdf2(password, found, salt, wanted)


def _passlib_scrypt(password: str | None, found: _Found) -> bool:
    cost = 1 << int(found["ln"]), int(found["r"]), int(found["p"])
    return _scrypt(password, cost, _plain(found["salt"]), _plain(found["hash"]))


def _django_scrypt(password: str | None, found: _Found) -> bool:
    cost = int(found["n"]), int(found["r"]), int(found["p"])
    return _scrypt(password, cost, found["salt"].encode(), _plain(found["hash"]))


def _scrypt(password: str | None, cost: tuple[int, int, int], salt: bytes, wanted: bytes) -> bool:
    n, r, p = cost
    memory = 128 * r * (n + p)
    if memory > _MAX_SCRYPT_BYTES or n * r * p > _MAX_SCRYPT_WORK or not 16 <= len(wanted) <= 64:  # noqa: PLR2004 - 128 bits and SHA-512's
        raise HashError("scrypt may take 256 MiB and N·r·p = 2097152 at most")
    if n < 2 or n & (n - 1) or not r or not p:  # noqa: PLR2004 - RFC 7914, section 2
        raise HashError("its scrypt parameters can't be taken")
    if password is None:
        return False
    try:
        made = hashlib.scrypt(
            _bytes(password), salt=salt, n=n, r=r, p=p, maxmem=2 * memory, dklen=len(wanted)
        )
    except ValueError as error:
        raise HashError("its scrypt parameters can't be taken") from error
    return same(made, wanted)


def _sha_crypt(password: str | None, found: _Found) -> bool:
    from passlib.hash import sha256_crypt, sha512_crypt  # noqa: PLC0415 - as bcrypt

    rounds = int(found["rounds"] or 5000)
    if not 1000 <= rounds <= _MAX_SHA_CRYPT_ROUNDS:  # noqa: PLR2004 - crypt's own least
        raise HashError(f"crypt's rounds must be from 1000 to {_MAX_SHA_CRYPT_ROUNDS}")
    scheme = sha256_crypt if found["id"] == "5" else sha512_crypt
    if (len(found["hash"]) == 43) != (found["id"] == "5"):  # noqa: PLR2004 - SHA-256 in crypt's base64
        raise HashError("$5$ has 43 characters of result, $6$ 86")
    raw = _bytes(password) if password is not None else b"\0"
    if b"\0" in raw:
        return False
    made = scheme.using(salt=found["salt"], rounds=rounds).hash(raw)
    return same(made.rpartition("$")[2].encode(), found["hash"].encode())


def _never(_password: str | None, _found: _Found) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class _Weak:
    """How a weak hash is told apart from what wrapped it.

    `split` gives the public part (scheme and salt) and the hash itself; `again` works that out of
    a password and the public part's salt.
    """

    split: Callable[[_Found], tuple[str, str]]
    again: Callable[[bytes, str], str]


def _weak_again(password: str, inner: str) -> str:
    name, _, salt = inner.partition("~")
    weak = _WEAK.get(name)
    if weak is None:
        raise HashError("wraps a hash that is not known")
    return weak.again(_bytes(password), salt)


def _ssha(found: _Found) -> tuple[str, str]:
    raw = _plain(found["hash"])
    if not 20 < len(raw) <= 20 + 64:  # noqa: PLR2004 - SHA-1 has 20 bytes
        raise HashError("{SSHA} must hold a salt of 1 to 64 bytes")
    return f"{{SSHA}}~{raw[20:].hex()}", raw[:20].hex()


def _md5_crypt(raw: bytes, salt: str) -> str:
    from passlib.hash import apr_md5_crypt, md5_crypt  # noqa: PLC0415 - as bcrypt

    name, _, drawn = salt.partition("$")
    if b"\0" in raw:
        return ""  # crypt reads no NUL, so no password that holds one was ever hashed
    scheme = apr_md5_crypt if name == "apr1" else md5_crypt
    made: str = scheme.using(salt=drawn).hash(raw)
    return made.rpartition("$")[2]


def _sha1(found: _Found) -> tuple[str, str]:
    return "{SHA}", _plain(found["hash"]).hex()


def _salted_hex(raw: bytes, told: str) -> str:
    name, _, salt = told.partition("$")
    return hashlib.new(name, salt.encode() + raw, usedforsecurity=False).hexdigest()


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True
        )
    except (binascii.Error, ValueError) as error:
        raise HashError("holds what is not base64") from error


_BY_LENGTH: dict[int, str] = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_WEAK = {
    "{SHA}": _Weak(_sha1, lambda raw, _: hashlib.sha1(raw, usedforsecurity=False).hexdigest()),
    "{SSHA}": _Weak(
        _ssha,
        lambda raw, salt: hashlib.sha1(
            raw + bytes.fromhex(salt), usedforsecurity=False
        ).hexdigest(),
    ),
    "MD5-crypt": _Weak(
        lambda found: (f"MD5-crypt~{found['id']}${found['salt']}", found["hash"]), _md5_crypt
    ),
    "hexadecimal digest": _Weak(
        lambda found: (
            f"hexadecimal digest~{_BY_LENGTH[len(found['hash'])]}$",
            found["hash"].lower(),
        ),
        _salted_hex,
    ),
    "Django's salted digest": _Weak(
        lambda found: (
            f"Django's salted digest~{found['digest']}${found['salt']}",
            found["hash"].lower(),
        ),
        _salted_hex,
    ),
}
_BCRYPT = rf"\$2[aby]\$(?P<rest>(?P<cost>[0-9]{{2}})\${_CRYPT64}{{53}})"
_FORMATS = (
    _Format("bcrypt", re.compile(_BCRYPT), _bcrypt),
    _Format(
        "Django's bcrypt_sha256",
        re.compile(rf"bcrypt_sha256\$(?P<inner>\$2[aby]\$[0-9]{{2}}\${_CRYPT64}{{53}})"),
        _bcrypt_sha256,
    ),
    _Format(
        "bcrypt-sha256",
        re.compile(
            rf"\$bcrypt-sha256\$v=2,t=2b,r=(?P<cost>[0-9]{{1,2}})"
            rf"\$(?P<salt>{_CRYPT64}{{22}})\$(?P<hash>{_CRYPT64}{{31}})"
        ),
        _passlib_bcrypt_sha256,
    ),
    _Format(
        "Django's PBKDF2",
        re.compile(
            r"pbkdf2_(?P<digest>sha1|sha256|sha512)\$(?P<iterations>[0-9]{1,9})"
            rf"\$(?P<salt>[!-#%-~]{{1,128}})\$(?P<hash>{_B64}{{22,88}}={{0,2}})"
        ),
        _django_pbkdf2,
    ),
    _Format(
        "PBKDF2",
        re.compile(
            r"\$pbkdf2(?:-(?P<digest>sha1|sha256|sha512))?\$(?P<iterations>[0-9]{1,9})"
            r"\$(?P<salt>[A-Za-z0-9./]{0,128})\$(?P<hash>[A-Za-z0-9./]{22,88})"
        ),
        _passlib_pbkdf2,
    ),
    _Format(
        "scrypt",
        re.compile(
            r"\$scrypt\$ln=(?P<ln>[0-9]{1,2}),r=(?P<r>[0-9]{1,3}),p=(?P<p>[0-9]{1,2})"
            rf"\$(?P<salt>{_B64}{{0,128}})\$(?P<hash>{_B64}{{22,88}})"
        ),
        _passlib_scrypt,
    ),
    _Format(
        "Django's scrypt",
        re.compile(
            r"scrypt\$(?P<n>[0-9]{1,7})\$(?P<salt>[!-#%-~]{1,128})\$(?P<r>[0-9]{1,3})"
            rf"\$(?P<p>[0-9]{{1,2}})\$(?P<hash>{_B64}{{22,88}}={{0,2}})"
        ),
        _django_scrypt,
    ),
    _Format(
        "SHA-crypt",
        re.compile(
            r"\$(?P<id>[56])\$(?:rounds=(?P<rounds>[0-9]{1,9})\$)?"
            rf"(?P<salt>{_CRYPT64}{{0,16}})\$(?P<hash>{_CRYPT64}{{43}}|{_CRYPT64}{{86}})"
        ),
        _sha_crypt,
    ),
    _Format(
        "MD5-crypt",
        re.compile(rf"\$(?P<id>apr1|1)\$(?P<salt>{_CRYPT64}{{0,8}})\$(?P<hash>{_CRYPT64}{{22}})"),
        _never,
        weak=True,
    ),
    _Format("{SHA}", re.compile(rf"\{{SHA\}}(?P<hash>{_B64}{{27}}=)"), _never, weak=True),
    _Format(
        "{SSHA}", re.compile(rf"\{{SSHA\}}(?P<hash>{_B64}{{28,116}}={{0,2}})"), _never, weak=True
    ),
    _Format(
        "Django's salted digest",
        re.compile(
            r"(?P<digest>md5|sha1)\$(?P<salt>[!-#%-~]{0,128})"
            r"\$(?P<hash>[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40})"
        ),
        _never,
        weak=True,
    ),
    _Format(
        "hexadecimal digest",
        re.compile(r"(?P<hash>[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})"),
        _never,
        weak=True,
    ),
)
