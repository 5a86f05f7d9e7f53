"""How the law tests make, send and take apart one credential of each kind.

A new kind adds one `Maker` here, and every law in tests/core/kinds/test_kinds.py holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from tests.core.worlds import entropy

from latchgate.core.kinds import KINDS, Kind
from latchgate.core.kinds.service_key import ENTROPY_BYTES
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.policy import Policy
from latchgate.core.policy_file import read_policy

_POLICY = """\
provider = "law"
title = "Law"
dialect = "problem"

[kinds.{word}]
{settings}

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
accepts = ["{word}"]
rules = [{{ methods = ["GET"], scope = "storage:read" }}]
"""


@dataclass(frozen=True, slots=True)
class Maker:
    """One kind: its settings, others of its kind, and how to handle its text.

    `private` returns the random characters of a text, without id and checksum. `imported` are
    texts of shapes that were issued elsewhere, with the id in each. `tellable` says whether a
    text's checksum is right, by a way that shares no code with the kind.
    """

    word: str
    settings: Mapping[str, str]
    rivals: tuple[Mapping[str, str], ...]
    entropy_bytes: int
    sent: Callable[[str], Mapping[str, str]]
    private: Callable[[str], str]
    imported: tuple[tuple[str, str], ...]
    tellable: Callable[[str], bool] | None

    def kind(self) -> Kind:
        """Return the kind with the settings of this maker."""
        return KINDS[self.word](f"law.{self.word}", self.settings)

    def others(self) -> list[Kind]:
        """Return kinds that must leave this one's credentials alone."""
        return [
            KINDS[self.word](f"rival{number}.{self.word}", settings)
            for number, settings in enumerate(self.rivals)
        ] + [maker.kind() for maker in MAKERS.values() if maker.word != self.word]

    def issue(self, seed: object) -> Issued:
        """Return a new credential."""
        return self.kind().issue(Spec(service="storage"), entropy(seed, self.entropy_bytes))

    def policy(self, dialects: tuple[str, ...]) -> Policy:
        """Return a policy with one area a dialect, `/{dialect}`, that accepts this kind."""
        return _policy(self.word, tuple(self.settings.items()), dialects)


@cache
def _policy(word: str, settings: tuple[tuple[str, str], ...], dialects: tuple[str, ...]) -> Policy:
    lines = "\n".join(f'{key} = "{value}"' for key, value in settings)
    text = _POLICY.format(word=word, settings=lines) + "".join(
        _AREA.format(word=word, dialect=dialect) for dialect in dialects
    )
    return read_policy({"law.toml": text}, version=1)


def _crc32_ends(text: str) -> bool:
    """CRC-32 (ISO-HDLC) bit by bit over all but the last eight characters."""
    register = 0xFFFFFFFF
    for byte in text[:-8].encode():
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
    return text[-8:] == f"{register ^ 0xFFFFFFFF:08x}"


MAKERS: Mapping[str, Maker] = {
    "service_key": Maker(
        word="service_key",
        settings={"brand": "acme", "key_header": "X-API-Key"},
        rivals=tuple({"brand": brand} for brand in ("acm", "acmee", "acme2", "xacme", "me", "ac")),
        entropy_bytes=ENTROPY_BYTES,
        sent=lambda text: {"authorization": f"Bearer {text}"},
        private=lambda text: text.split("_")[3][:-8],
        imported=(
            ("acme_storage_abc123_XyZ789SecretKey", "abc123"),
            ("acme_llm_xyz789_Your_Secret_Key", "xyz789"),
            ("acme_storage_abc123__starts_and_ends_", "abc123"),
            ("acme_pat_2xK9mPq4Lz_" + "aB3" * 18 + "zz", "2xK9mPq4Lz"),
        ),
        tellable=_crc32_ends,
    ),
}
