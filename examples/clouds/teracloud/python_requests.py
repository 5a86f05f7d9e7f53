"""Ask TeraCLOUD for the user's node, then for the files there, with requests alone."""

from __future__ import annotations

import base64
import os
import re
import sys
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

USER = os.environ.get("TERACLOUD_USER", "")
PASSWORD = os.environ.get("TERACLOUD_PASSWORD", "")
API_KEY = os.environ.get("TERACLOUD_API_KEY", "")
URL = os.environ.get("TERACLOUD_URL") or "https://api.teracloud.jp"
DOMAINS = (".teracloud.jp", ".infini-cloud.net")


def with_user(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add the user's credential in UTF-8; of a name and a password requests makes Latin-1."""
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request.headers["Authorization"] = f"Basic {basic}"
    return request


def ask(method: str, url: str, headers: dict[str, str]) -> requests.Response:
    """Send a request, and follow nobody with its credentials."""
    return requests.request(
        method, url, headers=headers, auth=with_user, timeout=30, allow_redirects=False
    )


def own(node: str) -> bool:
    """Whether the password may go there: to the API's own host, or below the cloud's domains."""
    # Spelled otherwise, it might be one host to this check and another to the library.
    found = re.fullmatch("([a-z0-9.-]+)(:[0-9]+)?", node)
    if found is None:
        return False
    return found[1] == urlsplit(URL).hostname or found[1].endswith(DOMAINS)


def main() -> None:
    """Make both calls."""
    if not (USER and PASSWORD):
        sys.exit("TERACLOUD_USER and TERACLOUD_PASSWORD are not set")
    if not re.fullmatch("[0-9A-F]{32}", API_KEY):
        sys.exit("TERACLOUD_API_KEY is not set, or is not 32 digits of 0-9 and A-F")
    if not URL.startswith("https://"):
        sys.exit("TERACLOUD_URL is not https: the password goes over TLS only")
    try:
        # The REST API takes both credentials …
        answer = ask("GET", f"{URL}/v2/api/ba/user", {"X-TeraCLOUD-API-KEY": API_KEY})
        if answer.status_code == HTTPStatus.ACCEPTED:
            sys.exit("The account is new, and its node is not ready yet: try again later")
        if answer.status_code != HTTPStatus.OK:
            sys.exit(f"TeraCLOUD refused: {answer.status_code} {answer.text}")
        node = answer.json()["node"]
        if not own(node):
            sys.exit(f"{node} is none of TeraCLOUD's hosts: the password does not go there")
        # … and WebDAV the user's alone.
        files = ask("PROPFIND", f"https://{node}/dav/", {"Depth": "0"})
    except requests.RequestException as error:
        sys.exit(f"TeraCLOUD can't be reached: {error}")
    if files.status_code != HTTPStatus.MULTI_STATUS:
        sys.exit(f"TeraCLOUD refused: {files.status_code} {files.text}")
    print(f"{answer.json()['user']} on {node}, {answer.json()['capacity']} GB")


if __name__ == "__main__":
    main()
