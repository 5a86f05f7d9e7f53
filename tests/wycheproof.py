"""Wycheproof's vectors for JSON Web Signatures, Keys and Encryption, each read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "vectors" / "wycheproof"
FILES = {  # and how many vectors each holds
    "json_web_signature_test": 401,
    "json_web_key_test": 26,
    "json_web_crypto_test": 83,
}


@dataclass(frozen=True)
class Vector:
    """One vector; `keys` are JWKs, `public` says that they are a public key's or a set of such."""

    name: str
    comment: str
    text: Any  # a compact JWS or JWE, or the JSON serialization
    encrypted: bool
    valid: bool
    public: bool
    keys: tuple[dict[str, Any], ...]

    @property
    def document(self) -> bytes:
        """The key set that it is to be checked with."""
        return json.dumps({"keys": self.keys}).encode()

    def __str__(self) -> str:
        return self.name


@cache
def vectors() -> tuple[Vector, ...]:
    """Return every vector of every file."""
    found: list[Vector] = []
    for name in FILES:
        told = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        for group in told["testGroups"]:
            found += (_vector(name, group, test) for test in group["tests"])
    return tuple(found)


def _vector(name: str, group: dict[str, Any], test: dict[str, Any]) -> Vector:
    key = group.get("public", group["private"])
    return Vector(
        name=f"{name} {test['tcId']} {group['comment']} {test['comment']}",
        comment=test["comment"],
        text=test["jws"] if "jws" in test else test["jwe"],
        encrypted="jwe" in test,
        valid=test["result"] == "valid",
        public="public" in group,
        keys=tuple(key["keys"]) if "keys" in key else (key,),
    )
