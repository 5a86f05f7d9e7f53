"""How the law tests make, send and take apart one credential of each kind.

A new kind adds one `Maker` here, and every law in tests/core/kinds/test_kinds.py holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tests.core.worlds import OWNER, basic, bearer, changed, credential, entropy, slow_digest, world

from latchgate.core.kinds import (
    APPLICATION_KEY,
    KINDS,
    AnyKind,
    ApplicationKeyKind,
    IssuedKind,
    Kind,
)
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import Application, ApplicationKey, Key, Login, Record
from latchgate.core.policy import Policy
from latchgate.core.policy_file import read_policy
from latchgate.core.reason import Reason

_POLICY = """\
provider = "law"
title = "Law"
dialect = "problem"

{kinds}
[services.storage]
title = "Storage"

[services.storage.scopes]
"storage:read" = "Read"
"""

_AREA = """
[[areas]]
path = "/{dialect}"
dialect = "{dialect}"
service = "storage"
accepts = ["{accepts}"]
application_key = {application}
rules = [{{ methods = ["GET"], scope = "storage:read" }}]
"""

LOGIN = "ada"
APPLICATION = Application(id="app-1", name="Photo sync", approved=True)
Settings = Mapping[str, str]
World = dict[Key, Record]


@dataclass(frozen=True, slots=True)
class Maker:
    """One kind: its settings, others of its kind, and how to handle its text.

    `private` returns the random characters of a text, without id and checksum. `imported` are
    texts of shapes that were issued elsewhere, with the id in each. `tellable` says whether a
    text's checksum is right, by a way that shares no code with the kind. `found` puts what names
    the record beside it. `named` says that the text holds the record's id, `slow` that its
    digest takes work, `spaces` that several may stand before it. `unknown` and `wrong` are the
    reasons of a text that names no record and of one that is not its record's.
    """

    word: str
    settings: Settings
    rivals: tuple[Settings, ...]
    entropy_bytes: int
    sent: Callable[[str], Mapping[str, str]]
    private: Callable[[str], str]
    found: Callable[[Issued, Kind], tuple[Record, ...]]
    imported: tuple[tuple[str, str], ...] = ()
    tellable: Callable[[str], bool] | None = None
    named: bool = False
    slow: bool = False
    spaces: bool = False
    unknown: Reason = Reason.CREDENTIAL_UNKNOWN
    wrong: Reason = Reason.SECRET_WRONG

    def kind(self) -> AnyKind:
        """Return the kind with the settings of this maker."""
        return _kind(self.word, "law", self.settings)

    def others(self) -> list[AnyKind]:
        """Return kinds that must leave this one's credentials alone."""
        return [
            _kind(self.word, f"rival{number}", settings)
            for number, settings in enumerate(self.rivals)
        ] + [maker.kind() for maker in MAKERS.values() if maker.word != self.word]

    def issue(self, seed: object) -> Issued:
        """Return a new credential, with the digest that its record gets."""
        kind = self.kind()
        assert isinstance(kind, IssuedKind)
        issued = kind.issue(Spec(service="storage"), entropy(seed, self.entropy_bytes))
        return self.kept(issued) if self.slow else issued

    def kept(self, issued: Issued) -> Issued:
        """Return a credential whose slow digest was worked out, as whoever keeps it does."""
        return replace(issued, digest=slow_digest(issued.secret.reveal()))

    def known(self, issued: Issued, **changes: Any) -> World:
        """Return a world that holds an issued credential, and what leads to it."""
        kind = self.kind()
        if isinstance(kind, ApplicationKeyKind):
            return world(*_program(issued, kind, changes))
        user_kind = user(kind)
        record = changed(credential(issued, user_kind), **changes)
        return world(record, *self.found(issued, user_kind))

    def policy(self, dialects: tuple[str, ...]) -> Policy:
        """Return a policy with one area a dialect, `/{dialect}`, that accepts this kind."""
        return _policy(self.word, dialects)


def user(kind: AnyKind) -> Kind:
    """Return a kind as one that names a user."""
    assert not isinstance(kind, ApplicationKeyKind)
    return kind  # type: ignore[return-value] # every other kind is one


def _kind(word: str, provider: str, settings: Settings) -> AnyKind:
    name = f"{provider}.{word}"
    if word == APPLICATION_KEY:
        return ApplicationKeyKind.configured(name, settings)
    return KINDS[word](name, settings)


@cache
def _policy(word: str, dialects: tuple[str, ...]) -> Policy:
    application = word == APPLICATION_KEY
    words = [_BESIDE.word, word] if application else [word]
    kinds = ""
    for each in words:
        lines = "\n".join(f'{key} = "{value}"' for key, value in MAKERS[each].settings.items())
        kinds += f"[kinds.{each}]\n{lines}\n\n"
    text = _POLICY.format(kinds=kinds)
    for dialect in dialects:
        told = "true" if application else "false"
        text += _AREA.format(dialect=dialect, accepts=words[0], application=told)
    return read_policy({"law.toml": text}, version=1)


def _crc32_ends(text: str) -> bool:
    """CRC-32 (ISO-HDLC) bit by bit over all but the last eight characters."""
    register = 0xFFFFFFFF
    for byte in text[:-8].encode():
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
    return text[-8:] == f"{register ^ 0xFFFFFFFF:08x}"


def _nothing(_issued: Issued, _kind: Kind) -> tuple[Record, ...]:
    return ()


def _login(issued: Issued, kind: Kind) -> tuple[Record, ...]:
    return (Login(id=f"law:{LOGIN}", user_id=OWNER.id, credentials={kind.name: issued.id}),)


_BESIDE = Maker(
    word="app_password",
    settings={"prefix": "law"},
    rivals=tuple({"prefix": prefix} for prefix in ("la", "laww", "law2", "xlaw", "aw")),
    entropy_bytes=42,
    sent=lambda text: basic(LOGIN, text),
    private=lambda text: text.split("_")[1][:-8],
    found=_login,
    tellable=_crc32_ends,
)
_USERS = _BESIDE.issue("the user's own")


def _program(
    issued: Issued, kind: ApplicationKeyKind, changes: Mapping[str, Any]
) -> tuple[Record, ...]:
    """Return a key of an approved application, and a user who asks with an app password."""
    key = ApplicationKey(
        id=issued.id,
        kind=kind.name,
        application_id=APPLICATION.id,
        user_id=None,
        digest=issued.digest,
        revoked_at=None,
        tenants=None,
    )
    own = user(_BESIDE.kind())
    users = (credential(_USERS, own), *_login(_USERS, own))
    return (changed(key, **changes), APPLICATION, *users)


MAKERS: Mapping[str, Maker] = {
    "service_key": Maker(
        word="service_key",
        settings={"brand": "acme", "key_header": "X-API-Key"},
        rivals=tuple({"brand": brand} for brand in ("acm", "acmee", "acme2", "xacme", "me", "ac")),
        entropy_bytes=48,
        sent=bearer,
        private=lambda text: text.split("_")[3][:-8],
        found=_nothing,
        imported=(
            ("acme_storage_abc123_XyZ789SecretKey", "abc123"),
            ("acme_llm_xyz789_Your_Secret_Key", "xyz789"),
            ("acme_storage_abc123__starts_and_ends_", "abc123"),
            ("acme_pat_2xK9mPq4Lz_" + "aB3" * 18 + "zz", "2xK9mPq4Lz"),
        ),
        tellable=_crc32_ends,
        named=True,
    ),
    "api_token": Maker(
        word="api_token",
        settings={"prefix": "acat"},
        rivals=tuple({"prefix": prefix} for prefix in ("aca", "acatt", "acat2", "xacat", "cat")),
        entropy_bytes=25,
        sent=bearer,
        private=lambda text: text.split("_")[1],
        found=_nothing,
        spaces=True,
    ),
    "app_password": _BESIDE,
    "account_password": Maker(
        word="account_password",
        settings={},
        rivals=(),
        entropy_bytes=43,
        sent=lambda text: basic(LOGIN, text),
        private=lambda text: text,
        found=_login,
        slow=True,
    ),
    APPLICATION_KEY: Maker(
        word=APPLICATION_KEY,
        settings={"header": "X-Law-Key", "matrix_parameter": "law_key"},
        rivals=({"header": "X-Law-Key2"}, {"header": "X-Law"}),
        entropy_bytes=16,
        sent=lambda text: {"x-law-key": text, **basic(LOGIN, _USERS.secret.reveal())},
        private=lambda text: text,
        found=_nothing,
        unknown=Reason.APPLICATION_UNKNOWN,
        wrong=Reason.APPLICATION_UNKNOWN,
    ),
}
