"""What a credential may be spelled with, and how it is spelled in a header."""

from __future__ import annotations

import base64

from latchgate.client.errors import CredentialInvalid
from latchgate.client.secret import Secret


def one_word(value: Secret, cloud: str) -> Secret:
    """Return a key that can go into a header; raises CredentialInvalid for what can't."""
    text = value.reveal()
    if text and all("!" <= char <= "~" for char in text):
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
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
