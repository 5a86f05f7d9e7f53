"""Whether a client takes JSON (RFC 9110 §12.5.1)."""

from __future__ import annotations

import re

_ZERO = re.compile(r"q=0(?:\.0{0,3})?", re.IGNORECASE)
# More specific ranges go before less specific ones, whatever their order.
_RANGES = ("application/json", "application/*", "*/*")


def takes_json(accept: list[str]) -> bool:
    """Whether the `Accept` headers of a request allow `application/json`; none allow everything."""
    told: dict[str, bool] = {}
    for one in ",".join(accept).split(","):
        media, *parameters = [part.strip() for part in one.split(";")]
        if media:
            told[media.lower()] = not any(_ZERO.fullmatch(part) for part in parameters)
    if not told:
        return True
    return next((told[one] for one in _RANGES if one in told), False)
