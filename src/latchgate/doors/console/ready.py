"""What was just made, ready to be used: commands and files with its secret in them.

Rule of this file: every value is quoted for the language that it stands in. A download is part of
the page (a `data:` link), so that the secret is in one answer alone.
"""

from __future__ import annotations

import shlex

import msgspec

from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.policy import Policy
from latchgate.core.secret import Secret
from latchgate.doors.console.samples import Sample

_UPCLOUD_VERSION = "/1.3"
_ACCOUNT = f"{_UPCLOUD_VERSION}/account"


def of_token(policy: Policy, kind: ApiToken, token: Secret, api_url: str) -> list[Sample]:
    """Return how an API token is used: with curl, with `upctl`, from a file of variables."""
    paths = [area.path for area in policy.areas if kind in area.kinds]
    path = _ACCOUNT if _ACCOUNT in paths else next(iter(paths), "/")
    text = token.reveal()
    header = shlex.quote(f"Authorization: Bearer {text}")
    samples = [Sample("curl", "request.sh", f"curl -H {header} \\\n  {_sh(api_url + path)}\n")]
    if _ACCOUNT in paths:
        variables = _exports({"UPCLOUD_TOKEN": text, "UPCLOUD_DEBUG_API_BASE_URL": api_url})
        samples.append(Sample("upctl", "upctl.sh", f"{variables}upctl account show\n"))
        samples.append(Sample(".env", "upcloud.env", f"UPCLOUD_TOKEN={text}\n"))
    return samples


def of_access_key(key_id: str, secret: Secret, auth_url: str) -> list[Sample]:
    """Return how an access key is used: by OpenStack's clients, and exchanged with curl."""
    text = secret.reveal()
    auth = {
        "auth_url": auth_url,
        "application_credential_id": key_id,
        "application_credential_secret": text,
    }
    # YAML 1.2 reads JSON's strings as JSON does.
    lines = "".join(f"      {name}: {_json(value)}\n" for name, value in auth.items())
    clouds = "clouds:\n  latchgate:\n    auth_type: v3applicationcredential\n"
    clouds += f"    identity_api_version: 3\n    auth:\n{lines}"
    openrc = _exports(
        {
            "OS_AUTH_TYPE": "v3applicationcredential",
            "OS_AUTH_URL": auth_url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_APPLICATION_CREDENTIAL_ID": key_id,
            "OS_APPLICATION_CREDENTIAL_SECRET": text,
        }
    )
    credential = {"id": key_id, "secret": text}
    identity = {"methods": ["application_credential"], "application_credential": credential}
    body = _json({"auth": {"identity": identity}})
    curl = f"curl -i -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)} \\\n"
    return [
        Sample("clouds.yaml", "clouds.yaml", clouds),
        Sample("openrc", "openrc.sh", openrc),
        Sample("curl", "token.sh", f"{curl}  {_sh(auth_url + '/auth/tokens')}\n"),
    ]


def of_app_password(login: str, password: Secret, url: str, *, webdav: bool) -> list[Sample]:
    """Return how an app password is used at a URL: with curl, and as WebDAV with rclone."""
    text = password.reveal()
    user = shlex.quote(f"{login}:{text}")
    if not webdav:
        return [Sample("curl", "request.sh", f"curl -u {user} \\\n  {_sh(url)}\n")]
    listing = f"curl -u {user} \\\n  -X PROPFIND -H 'Depth: 1' {_sh(url)}\n"
    rclone = f"rclone lsf :webdav: --webdav-url {_sh(url)} \\\n  --webdav-user {_sh(login)} \\\n"
    rclone += f'  --webdav-pass "$(rclone obscure {_sh(text)})"\n'
    return [Sample("curl", "list.sh", listing), Sample("rclone", "rclone.sh", rclone)]


def _exports(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={_sh(value)}\n" for name, value in variables.items())


def _sh(text: str) -> str:
    return shlex.quote(text)


def _json(told: object) -> str:
    return msgspec.json.encode(told).decode()
