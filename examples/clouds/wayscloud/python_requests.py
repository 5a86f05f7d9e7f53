"""List WAYSCloud's buckets with requests alone."""

from __future__ import annotations

import os
import re
import sys
from http import HTTPStatus

import requests

KEY = os.environ.get("WAYSCLOUD_API_KEY", "")
URL = os.environ.get("WAYSCLOUD_API_URL") or "https://api.wayscloud.services"


def with_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add the key; as `auth`, for `headers` would lose to a password in ~/.netrc."""
    request.headers["Authorization"] = f"Bearer {KEY}"
    return request


def main() -> None:
    """Make one call."""
    if not re.fullmatch("[!-~]+", KEY):
        sys.exit("WAYSCLOUD_API_KEY is not set, or is no key")
    if not URL.startswith("https://"):
        sys.exit("WAYSCLOUD_API_URL is not https: the key goes over TLS only")
    try:
        answer = requests.get(
            f"{URL}/v1/storage/", auth=with_key, timeout=30, allow_redirects=False
        )
    except requests.RequestException as error:
        sys.exit(f"WAYSCloud can't be reached: {error}")
    if answer.status_code != HTTPStatus.OK:
        sys.exit(f"WAYSCloud refused: {answer.status_code} {answer.text}")
    print(answer.text)


if __name__ == "__main__":
    main()
