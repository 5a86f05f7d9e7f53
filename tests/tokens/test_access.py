"""Minting access tokens: what one says, and that it ends with what it was minted from."""

from __future__ import annotations

import secrets

import pytest
from tests.core.worlds import NOW, changed, credential, entropy

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.oauth_token import OauthToken, read_claims
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import AccessToken
from latchgate.core.scope import ALL, Scopes
from latchgate.keyring.jwt import unseal_jwt
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, draw
from latchgate.tokens.access import TokenSpec, draft, sign

KIND = OauthToken.configured("latchgate.oauth_token", {"issuer": "https://login.example"})
KEYS = AccessKey.configured("kakaocloud.access_key", {})
SOURCE = credential(KEYS.issue(Spec(service=""), entropy(1, KEYS.entropy_bytes)), KEYS)
MASTER = MasterKey(bytes(range(32)))
SIGNER = unseal_jwt(draw(Purpose.OAUTH, MASTER, secrets.token_bytes), MASTER)
SPEC = TokenSpec("client-1", Scopes.of(["b:write", "a:read"]))


def drafted(source=SOURCE, spec=SPEC, kind=KIND):
    return draft(kind, source, spec, now=NOW + 0.7, entropy=secrets.token_bytes)


def test_a_token_says_whose_it_is_and_what_it_was_minted_from():
    claims = drafted()
    assert (claims.iss, claims.aud) == ("https://login.example", "latchgate")
    assert (claims.sub, claims.client_id) == (SOURCE.owner_id, "client-1")
    assert claims.grant_id == SOURCE.id
    assert claims.scope == "a:read b:write"
    assert (claims.iat, claims.exp) == (int(NOW), int(NOW) + 600)
    assert (claims.auth_time, claims.act) == (None, None)
    assert drafted().jti != claims.jti


def test_a_token_ends_no_later_than_its_source_or_than_was_asked():
    assert drafted(changed(SOURCE, expires_at=NOW + 60.9)).exp == int(NOW) + 60
    short = TokenSpec("client-1", SPEC.scopes, lifetime=30.0)
    assert drafted(spec=short).exp == int(NOW) + 30
    long = TokenSpec("client-1", SPEC.scopes, lifetime=86_400.0)
    assert drafted(spec=long).exp == int(NOW) + 600


def test_what_is_signed_is_what_the_kind_reads():
    spec = TokenSpec("client-1", SPEC.scopes, auth_time=NOW - 5.5, actor="client-2")
    claims = drafted(spec=spec)
    text = sign(claims, SIGNER).reveal()
    assert read_claims(text) == claims
    assert claims.act == {"sub": "client-2"}
    assert claims.auth_time == int(NOW - 5.5)
    found = KIND.claim(text)
    assert isinstance(found, tuple)
    signed = found[0].signed
    assert signed is not None
    assert isinstance(signed.token, AccessToken)
    assert (signed.token.id, signed.token.scopes) == (claims.jti, SPEC.scopes)


def test_no_token_is_minted_of_every_scope_or_without_an_issuer():
    with pytest.raises(ValueError, match="one by one"):
        drafted(spec=TokenSpec("client-1", ALL))
    with pytest.raises(ValueError, match="issuer"):
        drafted(kind=OauthToken.configured("latchgate.oauth_token", {}))


def test_d5_41_a_token_of_what_ends_this_very_moment_has_no_life():
    over = TokenSpec("client-1", SPEC.scopes, lifetime=0.0)
    assert drafted(spec=over).exp <= NOW + 0.7
