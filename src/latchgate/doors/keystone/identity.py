"""The identity API under the published policy: its kinds, its address, what it says of itself.

Made once for a policy, because the documents, links and the catalog are the same for every request
under it. Source: Keystone v3, "Versions", "Catalog"; the links name `/identity`, or clients of it
would ask for what is not there.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.policy import Policy
from latchgate.doors.keystone.answers import Answer, encode, json_answer, not_found

_VERSION = "v3.14"
_UPDATED = "2020-04-07T00:00:00Z"
_MEDIA = {
    "base": "application/json",
    "type": "application/vnd.openstack.identity-v3+json",
}
_INTERFACES = ("public", "internal", "admin")


class Identity(msgspec.Struct, frozen=True):
    """One provider's identity API; `url` is where clients reach it, up to `/v3`.

    `passwords` is None where nobody signs in with one; `logins` is the namespace of their names.
    `validates` is the scope that the tokens of others are validated with.
    """

    tokens: ProjectToken
    keys: AccessKey | None
    passwords: AccountPassword | None
    logins: str
    validates: str
    url: str
    catalog: msgspec.Raw
    version: Answer
    versions: Answer

    @classmethod
    def of(cls, policy: Policy, provider: str, api_url: str) -> Identity:
        """Find what a provider's policy file says of it; RefusedError 404 when it has no tokens."""
        tokens = policy.kinds.get(f"{provider}.project_token")
        keys = policy.kinds.get(f"{provider}.access_key")
        passwords = policy.kinds.get(f"{provider}.account_password")
        if not isinstance(tokens, ProjectToken):
            raise not_found()
        url = tokens.reached_at(api_url) or ""
        version = _version(url)
        return cls(
            tokens=tokens,
            keys=keys if isinstance(keys, AccessKey) else None,
            passwords=passwords if isinstance(passwords, AccountPassword) else None,
            logins=provider,
            validates="identity:validate",
            url=url,
            catalog=msgspec.Raw(encode([_service(url, tokens.region)])),
            version=json_answer({"version": version}),
            versions=json_answer(
                {"versions": {"values": [version]}},
                status=300,
                headers=[(b"location", f"{url}/".encode())],
            ),
        )

    def link(self, path: str) -> str:
        """Return the URL of a resource of this API; `path` begins with a slash."""
        return self.url + path

    def listed(self, path: str, name: str, items: list[dict[str, Any]]) -> Answer:
        """Answer a whole list, which Keystone's clients take as one page."""
        links = {"next": None, "self": self.link(path), "previous": None}
        return json_answer({name: items, "links": links})


def _version(url: str) -> dict[str, Any]:
    return {
        "id": _VERSION,
        "status": "stable",
        "updated": _UPDATED,
        "links": [{"rel": "self", "href": f"{url}/"}],
        "media-types": [_MEDIA],
    }


def _service(url: str, region: str) -> dict[str, Any]:
    """Return the catalog's entry of this very API: a catalog without one breaks older clients."""
    return {
        "endpoints": [
            {
                "id": _id(interface, url),
                "interface": interface,
                "region_id": region,
                "url": url,
                "region": region,
            }
            for interface in _INTERFACES
        ],
        "id": _id("service", url),
        "type": "identity",
        "name": "keystone",
    }


def _id(what: str, url: str) -> str:
    """Return an id that stays the same as long as what it names, on every worker."""
    return hashlib.sha256(f"{what}\0{url}".encode()).hexdigest()[:32]
