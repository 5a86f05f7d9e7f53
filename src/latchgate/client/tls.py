"""TLS 1.2 or later, whichever library speaks it."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from latchgate.client.errors import InsecureTransport


def context(
    given: ssl.SSLContext | None,
    usual: Callable[[], ssl.SSLContext] = ssl.create_default_context,
) -> ssl.SSLContext:
    """Return `given`, or the usual one where none is; neither agrees to less than TLS 1.2.

    Raises InsecureTransport for a given one that would: it is the caller's, and is not changed.
    """
    if given is None:
        made = usual()
        if _below(made):
            made.minimum_version = ssl.TLSVersion.TLSv1_2
        return made
    if _below(given):
        msg = "the TLS context takes versions before 1.2; set its minimum_version to TLSv1_2"
        raise InsecureTransport(msg)
    return given


def _below(made: ssl.SSLContext) -> bool:
    lowest = made.minimum_version
    # MAXIMUM_SUPPORTED is a negative number too.
    return lowest < ssl.TLSVersion.TLSv1_2 and lowest is not ssl.TLSVersion.MAXIMUM_SUPPORTED
