"""Minting: a token says what was asked, ends with its source, and is signed as it is checked."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.core.worlds import NOW, changed, credential, entropy

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.kinds.spec import Spec
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, draw, signed, unseal
from latchgate.tokens.mint import draft, sign

KIND = ProjectToken.configured("kakaocloud.project_token", {"prefix": "kcpt"})
KEYS = AccessKey.configured("kakaocloud.access_key", {})
ISSUED = KEYS.issue(Spec(service=""), entropy(1, KEYS.entropy_bytes))
SOURCE = credential(ISSUED, KEYS, roles=("r-all",))
MASTER = MasterKey(bytes(range(32)))
SIGNER = unseal(draw(Purpose.TOKEN, MASTER, secrets.token_bytes), MASTER)


def drafted(source=SOURCE, **more):
    asked: dict[str, Any] = {
        "project_id": "p-web",
        "roles": ("r-all",),
        "issues": False,
        "now": NOW,
    } | more
    return draft(KIND, source, entropy=lambda size: entropy(7, size), **asked)


def test_a_draft_says_what_was_asked_and_lasts_as_long_as_its_kind():
    token = drafted(roles=("r-a", "r-b"), issues=True)
    assert (token.credential_id, token.project_id) == (SOURCE.id, "p-web")
    assert (token.roles, token.issues) == (("r-a", "r-b"), True)
    assert (token.issued_at, token.expires_at) == (NOW, NOW + 43_200)


def test_an_audit_id_is_22_characters_of_base64url_and_of_its_own_entropy():
    assert len(drafted().id) == 22
    other = draft(
        KIND, SOURCE, project_id="", roles=(), issues=False, now=NOW, entropy=secrets.token_bytes
    )
    assert other.id != drafted().id


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [(None, NOW + 43_200), (NOW + 60, NOW + 60), (NOW + 43_201, NOW + 43_200)],
)
def test_d5_41_a_token_never_outlives_what_it_is_minted_from(expires_at, expected):
    assert drafted(changed(SOURCE, expires_at=expires_at)).expires_at == expected


def test_a_signed_one_is_read_back_and_its_signature_is_right():
    token = drafted()
    text = sign(KIND, token, SIGNER)
    found = KIND.claim(text.reveal())
    assert isinstance(found, tuple)
    held = found[0].signed
    assert held is not None
    assert (held.token, held.key_id) == (token, SIGNER.id)
    assert signed(SIGNER.public, held.message, held.signature)
    assert text.reveal() not in repr(text)


def test_another_key_and_another_word_do_not_fit_the_signature():
    found = KIND.claim(sign(KIND, drafted(), SIGNER).reveal())
    assert isinstance(found, tuple)
    held = found[0].signed
    assert held is not None
    other = unseal(draw(Purpose.TOKEN, MASTER, secrets.token_bytes), MASTER)
    assert not signed(other.public, held.message, held.signature)
    assert not signed(SIGNER.public, held.message + b"\0", held.signature)
    assert not signed(SIGNER.public, held.message[1:], held.signature)


def test_a_token_is_as_long_as_a_header_takes():
    roles = tuple(f"r-{number:016}" for number in range(64))
    text = sign(KIND, drafted(roles=roles), SIGNER).reveal()
    assert len(text) < 4_096
    assert isinstance(KIND.claim(text), tuple)
