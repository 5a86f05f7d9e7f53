"""The authorization server, put together: what every grant is given to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latchgate.core.kinds import OauthToken
from latchgate.core.model import Credential, Facts, Grant, Noun
from latchgate.keyring.jwt import JwtSigner
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.grants import TOKEN_KIND
from latchgate.store.journal import Store
from latchgate.tokens.signers import Signers
from latchgate.verify.cache import Moment
from latchgate.verify.engine import Engine


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """Built by the door; `clock` gives Unix seconds, `entropy` n random bytes."""

    store: Store
    engine: Engine
    signers: Signers[JwtSigner]
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]

    @property
    def kind(self) -> OauthToken:
        """The kind of its access tokens, as the published policy has it."""
        kind = self.engine.policy.kinds[TOKEN_KIND]
        if not isinstance(kind, OauthToken):
            msg = f"{TOKEN_KIND} is no kind of access token"
            raise TypeError(msg)
        return kind

    @property
    def issuer(self) -> str:
        """Who signs its tokens: the address of the console, as configured (RFC 8414 §2)."""
        issuer = self.kind.issuer
        if issuer is None:
            msg = "tokens are minted by a server, which has an issuer"
            raise ValueError(msg)
        return issuer

    def moment(self) -> Moment:
        """Return where memory is right now; StoreError when it may not be believed."""
        return self.engine.moment()

    def source(self, credential_id: str) -> Credential:
        """Return what tokens are minted from; OAuthError invalid_grant when it is gone."""
        key = (Noun.CREDENTIAL, credential_id)
        record = self.engine.records([key])[key]
        if not isinstance(record, Credential):
            raise ended()
        return record


def ended() -> OAuthError:
    """Return what is answered when what a token would be minted from no longer stands."""
    return OAuthError(Code.INVALID_GRANT, "what was granted has ended or was withdrawn")


def standing(facts: Facts | None, now: float) -> Grant | None:
    """Return what a credential gives now, wherever its bearer is; None if it does not stand.

    Nobody came with it, so networks are not judged: they are when it is used.
    """
    above = facts
    while above is not None:
        credential = above.credential
        ends_at = credential.expires_at
        if credential.revoked_at is not None or credential.disabled_at is not None:
            return None
        if above.grant is None or (ends_at is not None and now >= ends_at):
            return None
        above = above.parent
    return facts.grant if facts is not None else None
