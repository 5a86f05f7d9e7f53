"""From a WSGI environ to what is asked (PEP 3333); shared by Django and Flask.

Rule of this file: PEP 3333 knows no raw path, so a server's own is held against the decoded one
that the application serves, and where there is none that one is quoted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from latchgate.integrations.guard import Asked, doubt
from latchgate.integrations.identity import Identity, is_identity_header

Environ = dict[str, Any]

# gunicorn tells RAW_URI; uWSGI, mod_wsgi, waitress and Werkzeug tell REQUEST_URI. A client can't
# set either: its headers start with HTTP_.
_RAW = ("REQUEST_URI", "RAW_URI")
# gunicorn lets a peer that it trusts (127.0.0.1, unless told) move the mount point by a header.
_MOVES = ("HTTP_SCRIPT_NAME", "HTTP_PATH_INFO")
_SAFE = "/:@!$&'()*+,;=~"


def text(environ: Environ, name: str) -> str:
    """Return a variable as UTF-8 text; a server hands its bytes on as Latin-1."""
    value: str = environ.get(name, "")
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def read(environ: Environ, *, prefix: str, path: str) -> Asked:
    """Read what was asked; `path` is the decoded one that will be served, mounted at `prefix`."""
    raw = next((environ[name] for name in _RAW if environ.get(name)), None)
    if raw is None:
        # Every % that is left is data, so it is quoted too; what the server decoded (%2F) reads
        # the same to the application and to us.
        served, why = quote(prefix + path, safe=_SAFE, errors="surrogatepass"), None
    else:
        served = raw.partition("?")[0]
        why = doubt(served, prefix=prefix, path=path)
    if any(name in environ for name in _MOVES):
        why = "a header (SCRIPT_NAME or PATH_INFO) would change which path is served"
    query = environ.get("QUERY_STRING", "")
    return Asked(
        method=environ["REQUEST_METHOD"],
        target=f"{served}?{query}" if query else served,
        headers=tuple(_headers(environ)),
        peer=environ.get("REMOTE_ADDR"),
        tls=environ.get("wsgi.url_scheme") == "https",
        doubt=why,
    )


def _headers(environ: Environ) -> list[tuple[str, str]]:
    found = [
        (name[5:].replace("_", "-"), value)
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    ]
    if environ.get("CONTENT_TYPE"):
        found.append(("Content-Type", environ["CONTENT_TYPE"]))
    return found


def hide(environ: Environ, replaced: Mapping[str, str]) -> None:
    """Take away identity headers that a client sent, in every spelling.

    Those of the area's old system (`Verdict.replaced`) stand in their place.
    """
    for name in list(environ):
        if name.startswith("HTTP_") and is_identity_header(name[5:], replaced):
            del environ[name]
    for name, value in replaced.items():
        if value:
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value


def tell(environ: Environ, identity: Identity) -> None:
    """Hand the identity on as headers, for code that reads those."""
    for name, value in identity.headers():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
