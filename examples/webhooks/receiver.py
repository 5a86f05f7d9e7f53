"""Check that an event was sent by Latchgate, with nothing but the standard library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

MAX_AGE = 300  # seconds


def check(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether Latchgate sent this within MAX_AGE; header names in lower case."""
    sent_at = headers["webhook-timestamp"]
    if abs(time.time() - int(sent_at)) > MAX_AGE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = b".".join([headers["webhook-id"].encode(), sent_at.encode(), body])
    made = base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
    told = headers["webhook-signature"].split()
    return any(hmac.compare_digest(f"v1,{made}", one) for one in told)
