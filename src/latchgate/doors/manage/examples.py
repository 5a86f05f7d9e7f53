"""One example of each shape, as the OpenAPI document shows it; a test reads every one back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latchgate.doors.manage import (
    access_keys,
    access_log,
    account,
    alerts,
    applications,
    audit,
    basic,
    consents,
    developers,
    imports,
    leaks,
    lifetimes,
    links,
    narrowing,
    oauth_clients,
    passwords,
    projects,
    roles,
    rotation,
    shadows,
    shapes,
    storage,
    tenants,
    tokens,
    usage,
    users,
    webhooks,
)
from latchgate.manage.access_keys import AccessKeySpec
from latchgate.manage.applications import ApplicationSpec, Review
from latchgate.manage.audit import Head
from latchgate.manage.basic import BasicSpec
from latchgate.manage.chain import Report
from latchgate.manage.developers import Reissue, Target
from latchgate.manage.keys import KeyPatch, KeySpec
from latchgate.manage.links import LinkSpec
from latchgate.manage.passwords import FirstPassword, PasswordChange
from latchgate.manage.projects import ProjectPatch, ProjectSpec
from latchgate.manage.published_key import PublishedKeySpec
from latchgate.manage.roles import RolePatch, RoleSpec
from latchgate.manage.storage import StoragePatch
from latchgate.manage.tenants import TenantPatch, TenantSpec
from latchgate.manage.tokens import TokenSpec
from latchgate.manage.users import UserPatch, UserSpec

_AT = "2026-10-01T09:30:00Z"
_TENANT = {
    "id": "t-9f3kq2m7x1vb4c8d",
    "name": "Acme",
    "active": True,
    "created_at": _AT,
    "version": 41,
}
_PROJECT = {
    "id": "p-2b7wq9h4zk3m6t1x",
    "name": "default",
    "active": True,
    "created_at": _AT,
    "version": 42,
}
_ROLE = {
    "id": "r-5d1n8v3jy6g2s0qe",
    "name": "uploader",
    "scopes": ["storage:read", "storage:write"],
    "implies": [],
    "shared": False,
    "created_at": _AT,
    "version": 43,
}
_USER = {
    "id": "u-7h4c0p2rw9x5f3am",
    "name": "nightly job",
    "sort": "service",
    "active": True,
    "allow_api": True,
    "ip_filters": ["192.0.2.0/24"],
    "email": None,
    "roles": [{"project_id": _PROJECT["id"], "role_id": _ROLE["id"]}],
    "created_at": _AT,
    "version": 45,
}
_KEY = {
    "id": "k3v9q1m7x2ab",
    "kind": "wayscloud.service_key",
    "hint": "wayscloud_storage_k3v9q1m7x2ab_…",
    "state": "active",
    "name": "Uploader",
    "description": "",
    "services": ["storage"],
    "scopes": ["storage:read", "storage:write"],
    "environment": "production",
    "external_id": "crm/7",
    "metadata": {"team": "blue"},
    "allowed_ip_ranges": ["192.0.2.0/24"],
    "owner_id": _USER["id"],
    "project_id": _PROJECT["id"],
    "created_at": _AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:49s7swh4t3k4",
    "expires_at": None,
    "revoked_at": None,
    "disabled_at": None,
    "superseded_by": None,
    "superseded_at": None,
    "predecessor_id": None,
    "version": 47,
    "last_used_at": None,
    "last_used_from": None,
    "last_used_agent": None,
}
_RECEIPT = {
    "journal": 48,
    "at": _AT,
    "elapsed_ms": 0.412,
    "verifiers": [{"id": "5b0f4c1d2e3a6978", "process": 811, "state": "acknowledged"}],
}

_LINK = {
    "id": "link-3xg7709peg6b",
    "user_id": _USER["id"],
    "issuer": "https://id.example.com/realms/customers",
    "subject": "0d9b2a1c-6f52-4a0e-9a52-3c5fd0b8a7e1",
    "project_id": _PROJECT["id"],
    "created_at": _AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "revoked_at": None,
    "version": 49,
}
_SHOWN_ONCE = "shown this once"
_BASIC = {
    "user_id": _USER["id"],
    "namespace": "teracloud",
    "login": "ada",
    "enabled": True,
    "login_password": False,
    "credential_id": "tcap-3xg7709peg6b",
    "project_id": _PROJECT["id"],
    "created_at": _AT,
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
    "owner_id": _USER["id"],
    "project_id": _PROJECT["id"],
    "created_at": _AT,
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
    "owner_id": _USER["id"],
    "project_id": _PROJECT["id"],
    "roles": [{"id": _ROLE["id"], "name": _ROLE["name"]}],
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
    "created_at": _AT,
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
_APPLICATION = {
    "id": "app-8c2m5x1kq7v9t3hd",
    "name": "Sync",
    "vendor": "Example AG",
    "contact": "keys@example.com",
    "purpose": "Shows quotas.",
    "developer": "open_source",
    "state": "approved",
    "reason": "Welcome",
    "created_at": _AT,
    "decided_at": _AT,
    "decided_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "version": 52,
}
_APPLICATION_KEY = {
    "id": "ak-5f0c2b9d7e1a34680bd2c1f7",
    "user_id": None,
    "created_at": _AT,
    "expires_at": None,
    "superseded_by": None,
}
_HEAD = {
    "format": "latchgate-journal-head-1",
    "epoch": "5b0e2c0a-7f3d-4c1e-9a57-0d6b8e2f1c44",
    "n": 52,
    "hash": "9f" * 32,
    "at": _AT,
    "key_id": "the thumbprint of the public key",
    "public_key": "base64url",
    "signature": "base64url",
}
_ROW = {
    "n": 52,
    "at": _AT,
    "actor": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "action": "key.revoke",
    "noun": "credential",
    "record": _KEY["id"],
    "tenant_id": _TENANT["id"],
    "credential_id": "k3v9q1m7x2ab",
    "address": "192.0.2.7",
    "detail": {"before": {"revoked_at": None}, "after": {"revoked_at": 1790847000.0}},
    "hash": "9f" * 32,
}
_EXPLANATION = {
    "id": "a0b34c67122dee4200dc",
    "at": _AT,
    "method": "PUT",
    "host": "api.example.com",
    "path": "/v1/storage/photos/cat.txt",
    "client": "203.0.113.9",
    "allowed": False,
    "reason": "scope_not_granted",
    "status": 403,
    "code": "INSUFFICIENT_PERMISSIONS",
    "area": "/v1/storage",
    "scope": "storage:write",
    "credential": _KEY["id"],
    "policy_version": 1,
    "journal": 52,
    "steps": [{"step": "rule", "ok": True, "text": "PUT there needs storage:write."}],
    "change": "Make a key with the scope storage:write; its owner may hold it.",
}

EXAMPLES: Mapping[type, dict[str, Any]] = {
    **lifetimes.EXAMPLES,
    **webhooks.EXAMPLES,
    TenantSpec: {"name": "Acme", "user": "eve", "email": "eve@acme.example"},
    TenantPatch: {"name": "Acme Ltd"},
    tenants.Tenant: _TENANT,
    tenants.NewTenant: {
        **_TENANT,
        "user_id": _USER["id"],
        "project_id": _PROJECT["id"],
        "role_id": _ROLE["id"],
        "token": "shown this once",
    },
    tenants.TenantPage: {"tenants": [_TENANT], "next": None},
    UserSpec: {"name": "nightly job", "sort": "service", "ip_filters": ["192.0.2.0/24"]},
    UserPatch: {"allow_api": False, "ip_filters": None},
    users.User: _USER,
    users.UserPage: {"users": [_USER], "next": None},
    users.RoleTaken: {"user": {**_USER, "roles": []}, "version": 48, "receipt": _RECEIPT},
    ProjectSpec: {"name": "default"},
    ProjectPatch: {"name": "production"},
    projects.Project: _PROJECT,
    projects.ProjectPage: {"projects": [_PROJECT], "next": None},
    RoleSpec: {"name": "uploader", "scopes": ["storage:read", "storage:write"]},
    RolePatch: {"scopes": ["storage:read"]},
    roles.Role: _ROLE,
    roles.RolePage: {"roles": [_ROLE], "next": None},
    KeySpec: {
        "name": "Uploader",
        "services": ["storage"],
        "scopes": ["storage:read", "storage:write"],
        "allowed_ip_ranges": ["192.0.2.0/24"],
        "expires_in": "90d",
    },
    KeyPatch: {"name": "Uploader 2", "metadata": {"team": "green", "ticket": None}},
    shapes.Key: _KEY,
    shapes.NewKey: {**_KEY, "key": "shown this once"},
    shapes.KeyPage: {"keys": [_KEY], "next": None},
    shapes.Revoked: {"id": _KEY["id"], "revoked_at": _AT, "receipt": _RECEIPT},
    shapes.Switched: {"id": _USER["id"], "active": False, "version": 48, "receipt": _RECEIPT},
    account.Account: {
        "user": _USER,
        "tenant_id": _TENANT["id"],
        "project_id": _PROJECT["id"],
        "credential_id": _KEY["id"],
        "rights": ["own:account.read", "storage:read"],
    },
    **narrowing.EXAMPLES,
    **alerts.EXAMPLES,
    BasicSpec: {"login": "ada"},
    LinkSpec: {name: _LINK[name] for name in ("issuer", "subject")},
    links.Link: _LINK,
    links.Links: {"links": [_LINK]},
    links.Unlinked: {**_LINK, "revoked_at": _AT, "version": 50, "receipt": _RECEIPT},
    basic.BasicShape: _BASIC,
    basic.NewBasic: {**_BASIC, "password": _SHOWN_ONCE},
    basic.ReissuedBasic: {**_BASIC, "password": _SHOWN_ONCE, "receipt": _RECEIPT},
    basic.DisabledBasic: {
        **_BASIC,
        "enabled": False,
        "login_password": False,
        "credential_id": None,
        "receipt": _RECEIPT,
    },
    FirstPassword: {"login": "ada"},
    PasswordChange: {
        "current_password": "the one until now",
        "new_password": "at least fifteen characters",
    },
    passwords.NewPassword: {
        "user_id": _USER["id"],
        "namespace": "latchgate",
        "login": "ada",
        "password": _SHOWN_ONCE,
        "receipt": _RECEIPT,
    },
    passwords.ChangedPassword: {"login": "ada", "receipt": _RECEIPT},
    passwords.TakenPassword: {
        "user_id": _USER["id"],
        "namespace": "latchgate",
        "receipt": _RECEIPT,
    },
    TokenSpec: {"name": "terraform", "expires_in": "7d", "allowed_ip_ranges": ["192.0.2.0/24"]},
    tokens.Token: _TOKEN,
    tokens.NewToken: {**_TOKEN, "token": _SHOWN_ONCE},
    tokens.TokenPage: {"tokens": [_TOKEN], "next": None},
    tokens.DeletedToken: {"id": _TOKEN["id"], "deleted_at": _AT, "receipt": _RECEIPT},
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
    access_keys.NewAccessKey: {**_ACCESS_KEY, "secret": _SHOWN_ONCE, "auth_url": None},
    access_keys.AccessKeyPage: {"access_keys": [_ACCESS_KEY], "next": None},
    access_keys.DeletedAccessKey: {
        "id": _ACCESS_KEY["id"],
        "deleted_at": _AT,
        "receipt": _RECEIPT,
    },
    ApplicationSpec: {
        name: _APPLICATION[name] for name in ("name", "vendor", "contact", "purpose", "developer")
    },
    Review: {"reason": "Welcome"},
    Target: {"user_id": _USER["id"]},
    Reissue: {"grace": "7d"},
    applications.Application: _APPLICATION,
    applications.ApplicationPage: {"applications": [_APPLICATION], "next": None},
    applications.DecidedApplication: {**_APPLICATION, "receipt": _RECEIPT},
    applications.PublishedApplicationKey: {
        "id": "ak-8f2c0d4e6a1b3c5d7e9f0a1b",
        "application_id": "app-test",
        "tenants": ["t-9f3kq2m7x1vb4c8d"],
        "receipt": _RECEIPT,
    },
    PublishedKeySpec: {
        "api_key": "FEF5078EA41D182EEF89A21E034BD680",
        "tenants": ["t-9f3kq2m7x1vb4c8d"],
    },
    storage.Storage: {
        "user_id": "u-4k8m2p6r0t3v7x1z",
        "node": "aki.example.com",
        "quota": 21_474_836_480,
        "used": 123,
        "introduce_code": "ABC12",
        "version": 31,
    },
    StoragePatch: {"node": "aki.example.com", "quota": 21_474_836_480, "used": 123},
    applications.BlockList: {
        "applications": [
            {
                "application_id": _APPLICATION["id"],
                "name": _APPLICATION["name"],
                "vendor": _APPLICATION["vendor"],
                "blocked_by": ["user"],
                "at": _AT,
            }
        ]
    },
    applications.Blocked: {
        "application_id": _APPLICATION["id"],
        "blocked": True,
        "receipt": _RECEIPT,
    },
    developers.NewApplication: {
        "application": {**_APPLICATION, "state": "requested"},
        "developer_token": _SHOWN_ONCE,
    },
    developers.OwnApplication: {
        "application": _APPLICATION,
        "keys": [_APPLICATION_KEY],
        "withdrawn_for": [],
    },
    developers.NewApplicationKey: {
        **_APPLICATION_KEY,
        "api_key": _SHOWN_ONCE,
        "receipt": _RECEIPT,
    },
    developers.WithdrawnApplication: {
        "application_id": _APPLICATION["id"],
        "user_id": None,
        "receipt": _RECEIPT,
    },
    shapes.PolicyShape: {
        "version": 1,
        "published_at": _AT,
        "files": {"wayscloud.toml": "the text of the file"},
    },
    shapes.PolicyFiles: {"files": {"wayscloud.toml": "the text of the file"}},
    shapes.PolicyApplied: {"version": 2, "receipt": _RECEIPT},
    shapes.ExplainRequest: {
        "method": "PUT",
        "url": "https://api.example.com/v1/storage/photos/cat.txt",
        "headers": {"Authorization": "Bearer wayscloud_storage_…"},
        "client": "203.0.113.9",
    },
    shapes.Explanation: _EXPLANATION,
    **usage.EXAMPLES,
    **access_log.EXAMPLES,
    audit.AuditPage: {"rows": [_ROW], "next": None},
    Head: _HEAD,
    audit.AuditVerify: {"against": _HEAD},
    Report: {
        "sound": True,
        "rows": 52,
        "epoch": _HEAD["epoch"],
        "n": 52,
        "hash": _HEAD["hash"],
        "against": 41,
        "faults": [],
        "unlisted": 0,
    },
    **rotation.EXAMPLES,
    **leaks.EXAMPLES,
    **imports.EXAMPLES,
    **shadows.EXAMPLES,
    **oauth_clients.EXAMPLES,
    **consents.EXAMPLES,
}
