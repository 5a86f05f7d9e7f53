"""List KakaoCloud's projects with requests alone."""

from __future__ import annotations

import os
import sys
import time
from http import HTTPStatus

import requests

KEY_ID = os.environ.get("OS_APPLICATION_CREDENTIAL_ID", "")
SECRET = os.environ.get("OS_APPLICATION_CREDENTIAL_SECRET", "")
URL = os.environ.get("OS_AUTH_URL") or "https://iam.kakaocloud.com/identity/v3"
FRESH = 11 * 3600  # seconds: a token lasts for 12 hours, and may end before


class RefusedError(Exception):
    """What KakaoCloud answered instead."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(f"KakaoCloud refused: {answer.status_code} {answer.text}")


class Session:
    """A project token: replaced before it ends, and once where it is refused."""

    def __init__(self) -> None:
        """Get the first one."""
        self._renew()

    def get(self, path: str) -> requests.Response:
        """Ask with the token."""
        if time.monotonic() - self._since > FRESH:
            self._renew()
        answer = self._send("GET", path)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._renew()
            answer = self._send("GET", path)
        if answer.status_code != HTTPStatus.OK:
            raise RefusedError(answer)
        return answer

    def _renew(self) -> None:
        self._token, self._since = "", time.monotonic()
        credential = {"id": KEY_ID, "secret": SECRET}
        identity = {"methods": ["application_credential"], "application_credential": credential}
        answer = self._send("POST", "/auth/tokens", {"auth": {"identity": identity}})
        if answer.status_code != HTTPStatus.CREATED:
            raise RefusedError(answer)
        self._token = answer.headers["X-Subject-Token"]
        self.user_id: str = answer.json()["token"]["user"]["id"]

    def _send(self, method: str, path: str, body: object = None) -> requests.Response:
        return requests.request(
            method, URL + path, json=body, auth=self._signed, timeout=30, allow_redirects=False
        )

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token; as `auth`, so that no password of ~/.netrc goes along."""
        if self._token:
            request.headers["X-Auth-Token"] = self._token
        return request


def main() -> None:
    """List the projects."""
    if not (KEY_ID and SECRET):
        sys.exit("OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET are not set")
    if not URL.startswith("https://"):
        sys.exit("OS_AUTH_URL is not https: the secret goes over TLS only")
    try:
        session = Session()
        listed = session.get(f"/users/{session.user_id}/projects").json()
    except requests.RequestException as error:
        sys.exit(f"KakaoCloud can't be reached: {error}")
    except RefusedError as error:
        sys.exit(str(error))
    for project in listed["projects"]:
        print(project["id"], project["name"])


if __name__ == "__main__":
    main()
