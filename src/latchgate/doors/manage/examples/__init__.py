"""One example of each shape, as the OpenAPI document shows it; a test reads every one back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latchgate.doors.manage import (
    access_log,
    account,
    alerts,
    consents,
    export,
    imports,
    leaks,
    lifetimes,
    narrowing,
    oauth_clients,
    projects,
    roles,
    rotation,
    shadows,
    shapes,
    storage,
    tenants,
    usage,
    users,
    webhooks,
    workloads,
)
from latchgate.doors.manage.examples import applications, audit, credentials, feed
from latchgate.doors.manage.examples.records import AT, KEY, PROJECT, RECEIPT, ROLE, TENANT, USER
from latchgate.manage.decisions import ExplainRequest
from latchgate.manage.keys import KeyPatch, KeySpec
from latchgate.manage.projects import ProjectPatch, ProjectSpec
from latchgate.manage.roles import RolePatch, RoleSpec
from latchgate.manage.storage import StoragePatch
from latchgate.manage.tenants import TenantPatch, TenantSpec
from latchgate.manage.users import UserPatch, UserSpec

_EXPLANATION = {
    "id": "a0b34c67122dee4200dc",
    "at": AT,
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
    "credential": KEY["id"],
    "policy_version": 1,
    "journal": 52,
    "steps": [{"step": "rule", "ok": True, "text": "PUT there needs storage:write."}],
    "change": "Make a key with the scope storage:write; its owner may hold it.",
}

EXAMPLES: Mapping[type, dict[str, Any]] = {
    **applications.EXAMPLES,
    **audit.EXAMPLES,
    **credentials.EXAMPLES,
    **feed.EXAMPLES,
    **lifetimes.EXAMPLES,
    **webhooks.EXAMPLES,
    TenantSpec: {"name": "Acme", "user": "eve", "email": "eve@acme.example"},
    TenantPatch: {"name": "Acme Ltd"},
    tenants.Tenant: TENANT,
    tenants.NewTenant: {
        **TENANT,
        "user_id": USER["id"],
        "project_id": PROJECT["id"],
        "role_id": ROLE["id"],
        "token": "shown this once",
    },
    tenants.TenantPage: {"tenants": [TENANT], "next": None},
    UserSpec: {"name": "nightly job", "sort": "service", "ip_filters": ["192.0.2.0/24"]},
    UserPatch: {"allow_api": False, "ip_filters": None},
    users.User: USER,
    users.UserPage: {"users": [USER], "next": None},
    users.RoleTaken: {"user": {**USER, "roles": []}, "version": 48, "receipt": RECEIPT},
    ProjectSpec: {"name": "default"},
    ProjectPatch: {"name": "production"},
    projects.Project: PROJECT,
    projects.ProjectPage: {"projects": [PROJECT], "next": None},
    RoleSpec: {"name": "uploader", "scopes": ["storage:read", "storage:write"]},
    RolePatch: {"scopes": ["storage:read"]},
    roles.Role: ROLE,
    roles.RolePage: {"roles": [ROLE], "next": None},
    KeySpec: {
        "name": "Uploader",
        "services": ["storage"],
        "scopes": ["storage:read", "storage:write"],
        "allowed_ip_ranges": ["192.0.2.0/24"],
        "expires_in": "90d",
    },
    KeyPatch: {"name": "Uploader 2", "metadata": {"team": "green", "ticket": None}},
    shapes.Key: KEY,
    shapes.NewKey: {**KEY, "key": "shown this once"},
    shapes.KeyPage: {"keys": [KEY], "next": None},
    shapes.Revoked: {"id": KEY["id"], "revoked_at": AT, "receipt": RECEIPT},
    shapes.Switched: {"id": USER["id"], "active": False, "version": 48, "receipt": RECEIPT},
    account.Account: {
        "user": USER,
        "tenant_id": TENANT["id"],
        "project_id": PROJECT["id"],
        "credential_id": KEY["id"],
        "rights": ["own:account.read", "storage:read"],
    },
    **narrowing.EXAMPLES,
    **alerts.EXAMPLES,
    storage.Storage: {
        "user_id": "u-4k8m2p6r0t3v7x1z",
        "node": "aki.example.com",
        "quota": 21_474_836_480,
        "used": 123,
        "introduce_code": "ABC12",
        "version": 31,
    },
    StoragePatch: {"node": "aki.example.com", "quota": 21_474_836_480, "used": 123},
    shapes.PolicyShape: {
        "version": 1,
        "published_at": AT,
        "files": {"wayscloud.toml": "the text of the file"},
    },
    shapes.PolicyFiles: {"files": {"wayscloud.toml": "the text of the file"}},
    shapes.PolicyApplied: {"version": 2, "receipt": RECEIPT},
    ExplainRequest: {
        "method": "PUT",
        "url": "https://api.example.com/v1/storage/photos/cat.txt",
        "headers": {"Authorization": "Bearer wayscloud_storage_…"},
        "client": "203.0.113.9",
    },
    shapes.Explanation: _EXPLANATION,
    **usage.EXAMPLES,
    **access_log.EXAMPLES,
    **rotation.EXAMPLES,
    **leaks.EXAMPLES,
    **export.EXAMPLES,
    **imports.EXAMPLES,
    **shadows.EXAMPLES,
    **oauth_clients.EXAMPLES,
    **workloads.EXAMPLES,
    **consents.EXAMPLES,
}
