"""Where somebody is sent after they signed in: a path of this origin, and nowhere else.

Rule of this file: what could be read as another origin by any browser is no path (CWE-601). Nothing
is repaired: what is not plainly local becomes the start page.
"""

from __future__ import annotations

import re

HOME = "/"
MAX_LENGTH = 4_096
# One slash, then what RFC 3986 §3.3 and §3.4 let stand unescaped in a path and a query. A second
# slash or a backslash names a host in a browser's eyes, and so do both when escaped and decoded by
# whoever is next; a control character is left out before it looks (WHATWG URL §4.4).
_LOCAL = re.compile(
    r"/(?:[A-Za-z0-9._~-][A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
)
_HIDDEN = re.compile(r"//|/\.\.?(?:/|$)")


def local(text: str | None) -> str:
    """Return a path with its query where it is plainly of this origin, else the start page."""
    if not text or len(text) > MAX_LENGTH or not _LOCAL.fullmatch(text):
        return HOME
    path = text.partition("?")[0]
    return HOME if _HIDDEN.search(path) else text
