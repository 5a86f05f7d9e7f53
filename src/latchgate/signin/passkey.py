"""Passkeys (WebAuthn Level 3): what a browser is asked for, and what it answered.

Rule of this file: a passkey signs in alone, so the person is verified each time, by PIN or body;
it says itself whose it is (a discoverable credential). The challenge, the origin and the relying
party are ours, the browser's page was not in a frame of another's, and a counter never goes back.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    # Loaded when somebody first uses a passkey, in 30 ms: 2.4 MiB of each worker till then.
    from fido2.server import Fido2Server
    from fido2.webauthn import AuthenticationResponse

CHALLENGE_BYTES = 32
_NAME = "Latchgate"


class PasskeyError(Exception):
    """What a browser answered proves nothing; the message says why, for the log."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who asks: the origin of the page, and the domain that its passkeys are bound to."""

    origin: str
    id: str

    @property
    def server(self) -> Fido2Server:
        """What makes and checks for it."""
        from fido2 import server, webauthn  # noqa: PLC0415 - as above

        return server.Fido2Server(
            webauthn.PublicKeyCredentialRpEntity(id=self.id, name=_NAME),
            attestation=webauthn.AttestationConveyancePreference.NONE,
            verify_origin=lambda origin: origin == self.origin,
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that a browser made: its id, its public half and its counter."""

    handle: bytes
    public: bytes
    counter: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser answered to sign in with: which passkey, and whose it says it is."""

    handle: bytes
    user_id: str
    response: AuthenticationResponse


def creation(
    party: Party, *, user_id: str, login: str, name: str, known: Iterable[bytes], challenge: bytes
) -> bytes:
    """Return, as JSON, what a browser is asked to make; `known` are those that the user has."""
    from fido2 import webauthn  # noqa: PLC0415 - as above

    options, _ = party.server.register_begin(
        webauthn.PublicKeyCredentialUserEntity(id=user_id.encode(), name=login, display_name=name),
        credentials=[
            webauthn.PublicKeyCredentialDescriptor(
                type=webauthn.PublicKeyCredentialType.PUBLIC_KEY, id=one
            )
            for one in known
        ],
        resident_key_requirement=webauthn.ResidentKeyRequirement.REQUIRED,
        user_verification=webauthn.UserVerificationRequirement.REQUIRED,
        challenge=challenge,
    )
    return msgspec.json.encode(dict(options))


def request(party: Party, *, challenge: bytes) -> bytes:
    """Return, as JSON, what a browser is asked to sign in with: any passkey of this party."""
    from fido2 import webauthn  # noqa: PLC0415 - as above

    options, _ = party.server.authenticate_begin(
        user_verification=webauthn.UserVerificationRequirement.REQUIRED, challenge=challenge
    )
    return msgspec.json.encode(dict(options))


def made(party: Party, text: str, *, challenge: bytes) -> Made:
    """Read and check what a browser made; PasskeyError."""
    from fido2 import webauthn  # noqa: PLC0415 - as above

    try:
        response = webauthn.RegistrationResponse.from_dict(_parsed(text))
        _check_frame(response.response.client_data.cross_origin)
        told = party.server.register_complete(_state(challenge), response)
        held = told.credential_data
    except Exception as error:  # whatever a stranger's bytes do to the parser
        raise PasskeyError(f"{type(error).__name__}: {error}") from error
    if held is None:
        raise PasskeyError("no credential data")
    return Made(held.credential_id, bytes(held), told.counter)


def answer(text: str) -> Answer:
    """Read what a browser answered; nothing of it is proven yet. PasskeyError."""
    from fido2 import webauthn  # noqa: PLC0415 - as above

    try:
        response = webauthn.AuthenticationResponse.from_dict(_parsed(text))
        handle = response.response.user_handle
        user_id = handle.decode() if handle is not None else ""
        return Answer(response.raw_id, user_id, response)
    except Exception as error:
        raise PasskeyError(f"{type(error).__name__}: {error}") from error


def proven(party: Party, told: Answer, *, public: bytes, counter: int, challenge: bytes) -> int:
    """Check an answer by the passkey's public half; returns its counter now. PasskeyError.

    A counter that doesn't rise, where there is one, is of a copy (WebAuthn §6.1.1).
    """
    from fido2 import webauthn  # noqa: PLC0415 - as above

    try:
        client_data = told.response.response.client_data
        _check_frame(client_data.cross_origin)
        held = webauthn.AttestedCredentialData(public)
        party.server.authenticate_complete(_state(challenge), [held], told.response)
        now = told.response.response.authenticator_data.counter
    except Exception as error:
        raise PasskeyError(f"{type(error).__name__}: {error}") from error
    if (now or counter) and now <= counter:
        raise PasskeyError("its counter went back: there may be a copy of it")
    return now


def _state(challenge: bytes) -> dict[str, Any]:
    from fido2 import webauthn  # noqa: PLC0415 - as above

    spelled = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
    return {
        "challenge": spelled,
        "user_verification": webauthn.UserVerificationRequirement.REQUIRED,
    }


def _check_frame(cross_origin: bool | None) -> None:  # noqa: FBT001 - as the browser tells it
    if cross_origin:
        raise ValueError("it was asked for in a frame of another origin's")


def _parsed(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    return found
