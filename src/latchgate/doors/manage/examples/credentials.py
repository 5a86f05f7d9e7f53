"""What people and programs come with: app passwords, passwords, tokens, access keys, identities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latchgate.doors.manage import (
    access_keys,
    authenticators,
    basic,
    links,
    passwords,
    seen,
    tokens,
)
from latchgate.doors.manage.examples.records import AT, PROJECT, RECEIPT, ROLE, SHOWN_ONCE, USER
from latchgate.manage.access_keys import AccessKeySpec
from latchgate.manage.basic import BasicSpec
from latchgate.manage.links import LinkSpec
from latchgate.manage.passwords import FirstPassword, PasswordChange
from latchgate.manage.tokens import TokenSpec

_LINK = {
    "id": "link-3xg7709peg6b",
    "user_id": USER["id"],
    "issuer": "https://id.example.com/realms/customers",
    "subject": "0d9b2a1c-6f52-4a0e-9a52-3c5fd0b8a7e1",
    "project_id": PROJECT["id"],
    "created_at": AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "revoked_at": None,
    "version": 49,
}
_BASIC = {
    "user_id": USER["id"],
    "namespace": "teracloud",
    "login": "ada",
    "enabled": True,
    "login_password": False,
    "credential_id": "tcap-3xg7709peg6b",
    "project_id": PROJECT["id"],
    "created_at": AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "expires_at": None,
}
_TOKEN = {
    "id": "0c511c65-5375-8dd3-a776-df12ba772110",
    "name": "terraform",
    "hint": "ucat_…",
    "state": "active",
    "scopes": None,
    "allowed_ip_ranges": ["192.0.2.0/24"],
    "can_create_tokens": False,
    "parent_id": None,
    "owner_id": USER["id"],
    "project_id": PROJECT["id"],
    "created_at": AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "expires_at": "2026-10-08T09:30:00Z",
    "disabled_at": None,
    "superseded_by": None,
    "superseded_at": None,
    "predecessor_id": None,
    "last_used_at": None,
    "last_used_from": None,
    "last_used_agent": None,
    "version": 51,
}
_ACCESS_KEY = {
    "id": "5f0c2b9d7e1a34680bd2c1f79a3e4d55",
    "name": "deploy",
    "description": "",
    "state": "active",
    "owner_id": USER["id"],
    "project_id": PROJECT["id"],
    "roles": [{"id": ROLE["id"], "name": ROLE["name"]}],
    "access_rules": [
        {
            "id": "0d9b3c5e7f1a42680bd2c1f79a3e4d55",
            "service": "identity",
            "method": "GET",
            "path": "/identity/v3/projects/*",
        }
    ],
    "unrestricted": False,
    "parent_id": None,
    "created_at": AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "expires_at": "2027-10-01T09:30:00Z",
    "disabled_at": None,
    "superseded_by": None,
    "superseded_at": None,
    "predecessor_id": None,
    "last_used_at": None,
    "last_used_from": None,
    "last_used_agent": None,
    "version": 51,
}

EXAMPLES: Mapping[type, dict[str, Any]] = {
    BasicSpec: {"login": "ada"},
    LinkSpec: {name: _LINK[name] for name in ("issuer", "subject")},
    links.Link: _LINK,
    links.Links: {"links": [_LINK]},
    links.Unlinked: {**_LINK, "revoked_at": AT, "version": 50, "receipt": RECEIPT},
    basic.BasicShape: _BASIC,
    basic.NewBasic: {**_BASIC, "password": SHOWN_ONCE},
    basic.ReissuedBasic: {**_BASIC, "password": SHOWN_ONCE, "receipt": RECEIPT},
    basic.DisabledBasic: {
        **_BASIC,
        "enabled": False,
        "login_password": False,
        "credential_id": None,
        "receipt": RECEIPT,
    },
    FirstPassword: {"login": "ada"},
    PasswordChange: {
        "current_password": "the one until now",
        "new_password": "at least fifteen characters",
    },
    passwords.NewPassword: {
        "user_id": USER["id"],
        "namespace": "latchgate",
        "login": "ada",
        "password": SHOWN_ONCE,
        "receipt": RECEIPT,
    },
    passwords.ChangedPassword: {"login": "ada", "receipt": RECEIPT},
    passwords.TakenPassword: {
        "user_id": USER["id"],
        "namespace": "latchgate",
        "receipt": RECEIPT,
    },
    authenticators.Cleared: {"user_id": USER["id"], "removed": 2},
    TokenSpec: {"name": "terraform", "expires_in": "7d", "allowed_ip_ranges": ["192.0.2.0/24"]},
    tokens.Token: _TOKEN,
    tokens.NewToken: {**_TOKEN, "token": SHOWN_ONCE},
    tokens.TokenPage: {"tokens": [_TOKEN], "next": None},
    seen.DeletedCredential: {"id": _TOKEN["id"], "deleted_at": AT, "receipt": RECEIPT},
    AccessKeySpec: {
        "name": "deploy",
        "roles": ["uploader"],
        "access_rules": [
            {"service": "identity", "method": "GET", "path": "/identity/v3/projects/*"}
        ],
        "expires_in": "365d",
    },
    access_keys.AccessKeyProof: {"password": "the account password"},
    access_keys.AccessKey: _ACCESS_KEY,
    access_keys.NewAccessKey: {**_ACCESS_KEY, "secret": SHOWN_ONCE, "auth_url": None},
    access_keys.AccessKeyPage: {"access_keys": [_ACCESS_KEY], "next": None},
}
