"""Ask UpCloud whose token this is, with requests alone."""

from __future__ import annotations

import os
import re
import sys
from http import HTTPStatus

import requests

TOKEN = os.environ.get("UPCLOUD_TOKEN", "")
URL = os.environ.get("UPCLOUD_DEBUG_API_BASE_URL") or "https://api.upcloud.com"


def with_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add the token; as `auth`, for `headers` would lose to a password in ~/.netrc."""
    request.headers["Authorization"] = f"Bearer {TOKEN}"
    return request


def main() -> None:
    """Make one call."""
    if not re.fullmatch("[!-~]+", TOKEN):
        sys.exit("UPCLOUD_TOKEN is not set, or is no token")
    if not URL.startswith("https://"):
        sys.exit("UPCLOUD_DEBUG_API_BASE_URL is not https: the token goes over TLS only")
    try:
        answer = requests.get(
            f"{URL}/1.3/account", auth=with_token, timeout=30, allow_redirects=False
        )
    except requests.RequestException as error:
        sys.exit(f"UpCloud can't be reached: {error}")
    if answer.status_code != HTTPStatus.OK:
        sys.exit(f"UpCloud refused: {answer.status_code} {answer.text}")
    print(answer.json()["account"]["username"])


if __name__ == "__main__":
    main()
