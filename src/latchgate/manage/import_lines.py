"""One line of an import: what it may say, and which credential it is.

Rule of this file: nothing here reads or writes the database, and no message holds any part of a
secret or of a hash.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from latchgate.core.basic import MAX_LOGIN, MAX_PASSWORD, canonical_login, login_fault
from latchgate.core.kinds import AnyKind, ImportedKey
from latchgate.core.kinds.access_key import AccessKey, made_by_system
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.kinds.imported_key import MIN_DISTINCT
from latchgate.core.kinds.service_key import FOREIGN_HASHES, ServiceKey, foreign_digest
from latchgate.core.model import Presented, Refused
from latchgate.core.policy import Policy
from latchgate.core.secret import CROCKFORD_LOWER, digest, draw
from latchgate.manage.access_rules import RuleSpec
from latchgate.manage.errors import InvalidError
from latchgate.manage.keys import MAX_METADATA, Environment, ExternalId, Line, Name, Text
from latchgate.manage.logins import kind_of
from latchgate.signin.foreign import is_weak, stored_form
from latchgate.signin.password import HashError

IMPORTABLE = (ServiceKey, ApiToken, ImportedKey, AccountPassword, AccessKey)
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.~-]{1,128}\Z")]
_FIELD = re.compile(r"unknown field `(?P<name>[^`]*)`")
# Where the pattern of a field would be told otherwise.
_SPELLED = {
    "id": "must be 1 to 128 letters, digits and . ~ -",
    "external_id": "must be visible ASCII characters",
    "access_rules": "a path begins with /, and nothing holds control characters",
}
_WORD = re.compile(r"[a-z_]{1,32}")


class LineError(Exception):
    """What is wrong with one line, in words that hold nothing of its secret."""


class ImportLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One credential of another system; what is left out is what the import says for all.

    `secret` is the key or password itself, `hash` what the other system kept of it. `owner` and
    `project` are ids or names, `roles` too. Times are RFC 3339.
    """

    kind: Name | None = None
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=4 * MAX_PASSWORD)] | None = None
    hash: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None
    id: _Id | None = None
    login: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LOGIN)] | None = None
    namespace: Name | None = None
    owner: _Short | None = None
    project: _Short | None = None
    name: Line | None = None
    description: Text | None = None
    services: Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)] | None = None
    scopes: Annotated[tuple[Name, ...], msgspec.Meta(max_length=256)] | None = None
    roles: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)] | None = None
    networks: Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)] | None = None
    access_rules: Annotated[tuple[RuleSpec, ...], msgspec.Meta(max_length=32)] | None = None
    unrestricted: bool | None = None
    environment: Environment | None = None
    external_id: ExternalId | None = None
    metadata: Annotated[dict[Name, Line], msgspec.Meta(max_length=MAX_METADATA)] | None = None
    expires_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    created_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None

    def __repr__(self) -> str:
        return f"ImportLine({self.kind}, {self.owner})"


_decode = msgspec.json.Decoder(ImportLine).decode


def read_line(text: bytes | str) -> ImportLine:
    """Read a line of JSON; LineError says which field can't be taken."""
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise LineError(_worded(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Their own words may quote the line.
        raise LineError("is not a JSON object") from None


def made_line(told: dict[str, Any]) -> ImportLine:
    """Make a line of named values; LineError says which can't be taken."""
    try:
        return msgspec.convert(told, ImportLine)
    except msgspec.ValidationError as error:
        raise LineError(_worded(error)) from None


def _worded(error: msgspec.ValidationError) -> str:
    message, _, path = str(error).partition(" - at `$.")
    unknown = _FIELD.search(message)
    if unknown is not None:
        name = unknown["name"] if _WORD.fullmatch(unknown["name"]) else "…"
        known = ", ".join(ImportLine.__struct_fields__)
        return f"there is no field {name!r}; there are {known}"
    field = path.rstrip("`").partition("[")[0].partition(".")[0] or "line"
    if "matching regex" in message:
        message = _SPELLED.get(field, "holds characters that may not be in it")
    return f"{field}: {message}"


class Found(msgspec.Struct, frozen=True):
    """Which credential a line is.

    `digest` is what will be stored; None where `given`, a hash of another system's or a password,
    has to be worked on first. `login` is the id under which a password is looked up.
    """

    kind: AnyKind
    id: str
    digest: bytes | None
    hint: str = ""
    given: str | None = None
    login: str | None = None

    def __repr__(self) -> str:
        return f"Found({self.kind.name}, {self.id})"


def find_kind(policy: Policy, name: str, provider: str | None) -> AnyKind:
    """Return the kind that a line names: `wayscloud.service_key`; LineError names those there are.

    Its last word is enough with a provider, or where one provider alone has such a kind.
    """
    kind = policy.kinds.get(name) or policy.kinds.get(f"{provider}.{name}")
    if kind is None:
        named = [one for one in policy.kinds.values() if one.name.partition(".")[2] == name]
        kind = named[0] if len(named) == 1 else None
    if not isinstance(kind, IMPORTABLE):
        known = sorted(one.name for one in policy.kinds.values() if isinstance(one, IMPORTABLE))
        raise LineError(f"kind: {name!r} is not one of {', '.join(known)}")
    return kind


def find_credential(policy: Policy, line: ImportLine) -> Found:
    """Return which credential a line is; LineError."""
    name = line.kind
    if name is None:
        raise LineError("kind: say which, in the line or for all")
    if (line.secret is None) is (line.hash is None):
        raise LineError("secret: give either secret or hash")
    kind = find_kind(policy, name, line.namespace)
    if isinstance(kind, AccountPassword):
        return _password(policy, line, kind)
    if isinstance(kind, AccessKey):
        return _access_key(line, kind)
    if isinstance(kind, ImportedKey):
        return _imported(line, kind)
    if not isinstance(kind, ServiceKey | ApiToken):
        raise LineError(f"kind: {name!r} can't be imported")
    return _native(line, kind)


def _imported(line: ImportLine, kind: ImportedKey) -> Found:
    if line.hash is not None:
        try:
            claimed = kind.of_hash(line.hash)
        except ValueError as error:
            raise LineError(f"hash: {error}") from None
        return _found(kind, claimed)
    text = line.secret or ""
    if not kind.is_shaped(text):
        raise LineError(f"secret: does not match the pattern of {kind.name}")
    if len(set(text)) < MIN_DISTINCT:
        raise LineError(f"secret: has fewer than {MIN_DISTINCT} different characters: not random")
    return _found(kind, kind.of_text(text))


def _native(line: ImportLine, kind: ServiceKey | ApiToken) -> Found:
    if line.secret is not None:
        claimed = kind.claim(line.secret)
        if isinstance(claimed, Refused):
            raise LineError(f"secret: {claimed.detail}")
        if line.id is not None and line.id != claimed.credential_id:
            raise LineError("id: is not the one that the secret holds; leave it out")
        return _found(kind, claimed)
    if isinstance(kind, ApiToken):
        raise LineError(f"hash: {kind.name} is found by its text; give secret")
    if line.id is None:
        raise LineError("id: a hash needs the id that stands in the key, BRAND_SERVICE_ID_SECRET")
    name, told = _hexadecimal(line.hash or "")
    return Found(kind, line.id, foreign_digest(name, told))


def _hexadecimal(given: str) -> tuple[str, str]:
    name, colon, told = given.rpartition(":")
    told = told.lower()
    by_length = {digits: word for word, digits in FOREIGN_HASHES.items()}
    found = by_length.get(len(told))
    if found is None or (colon and name != found) or re.fullmatch("[0-9a-f]+", told) is None:
        raise LineError("hash: must be SHA-256 or SHA-512 of the whole key, in hexadecimal")
    return found, told


def _password(policy: Policy, line: ImportLine, word: AccountPassword) -> Found:
    login = line.login or line.owner
    if login is None:
        raise LineError("login: which login name?")
    fault = login_fault(login)
    if fault is not None:
        raise LineError(f"login: {fault}")
    namespace = line.namespace or word.provider
    try:
        kind = kind_of(policy, namespace, AccountPassword)
    except InvalidError as error:
        raise LineError(str(error)) from None
    login_id = f"{namespace}:{canonical_login(login)}"
    # Made from what everybody may know, so that the same line is the same record next time.
    drawn = draw(digest("imported password id", f"{kind.name} {login_id}"), CROCKFORD_LOWER, 26)
    return Found(kind, f"pw-{drawn}", None, given=_given(line), login=login_id)


def _access_key(line: ImportLine, kind: AccessKey) -> Found:
    if line.id is None:
        raise LineError("id: an access key is asked for by its id")
    if line.name is None:
        raise LineError("name: an access key has a name")
    if line.secret is not None and made_by_system(line.secret):
        return Found(kind, line.id, digest("access_key", line.secret))
    return Found(kind, line.id, None, given=_given(line))


def _given(line: ImportLine) -> str:
    if line.secret is not None:
        raise LineError("secret: a password is imported by its hash; set a new one otherwise")
    given = line.hash or ""
    try:
        is_weak(given)
    except HashError as error:
        raise LineError(f"hash: {error}") from None
    return given


def is_slow(found: Found) -> bool:
    """Whether what is stored of it takes a tenth of a second to work out."""
    return found.given is not None and is_weak(found.given)


def worked_out(found: Found, salt: bytes) -> bytes:
    """Return what is stored of a credential, `salt` being 16 fresh random bytes; LineError."""
    if found.digest is not None:
        return found.digest
    cut = isinstance(found.kind, AccessKey)  # Keystone gives bcrypt the first 72 bytes alone
    try:
        return stored_form(found.given or "", salt, cut=cut).encode()
    except HashError as error:
        raise LineError(f"hash: {error}") from None


def _found(kind: AnyKind, claimed: Presented) -> Found:
    return Found(kind, claimed.credential_id, claimed.digest)
