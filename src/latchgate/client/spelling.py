"""What a credential may be spelled with, how it is spelled in a header, and what it says."""

from __future__ import annotations

import base64
import json

from latchgate.client.errors import CredentialInvalid
from latchgate.client.secret import Secret

_CLAIMS = 64 * 1024  # characters; more is in no header
_LAST = 253_402_300_800  # the year 10000, at which calendars end


def fits_header(text: str) -> bool:
    """Whether a text is one word of printable ASCII."""
    return text != "" and all("!" <= char <= "~" for char in text)


def one_word(value: Secret, cloud: str) -> Secret:
    """Return a key that can go into a header; raises CredentialInvalid for what can't."""
    text = value.reveal()
    if fits_header(text):
        return value
    wrong = "is empty" if not text else "holds a space, a line break or what is no ASCII"
    msg = f"{cloud}: the credential {wrong}; it was copied wrong"
    raise CredentialInvalid(msg)


def basic(user: str, password: Secret, cloud: str) -> str:
    """Return an `Authorization` of scheme Basic in UTF-8 (RFC 7617 §2.1).

    Raises CredentialInvalid where the user holds a colon, which can't be told from the password's.
    """
    text = user + password.reveal()
    # RFC 7617 §2: no control characters.
    if ":" in user or any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):  # noqa: PLR2004
        msg = f"{cloud}: a user name holds no colon, nor it or the password a control character"
        raise CredentialInvalid(msg)
    if not encodable(text):
        msg = f"{cloud}: the user name or the password is no text in UTF-8"
        raise CredentialInvalid(msg)
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()


def encodable(text: str) -> bool:
    """Whether a text can be sent; what an environment had in other bytes than UTF-8 can't."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def own_end(value: Secret) -> float | None:
    """Return when a token ends by what it says itself (a JWT's `exp`, RFC 7519), in Unix seconds.

    None for what is no JWT or names no end. Nothing is checked: whoever has the token is told when
    it ends, nobody is let in by it.
    """
    parts = value.reveal().split(".")
    if len(parts) != 3 or len(parts[1]) > _CLAIMS:  # noqa: PLR2004 - RFC 7515 §7.1
        return None
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    end = told.get("exp") if isinstance(told, dict) else None
    if isinstance(end, bool) or not isinstance(end, int | float) or not 0 < end < _LAST:
        return None
    return float(end)
