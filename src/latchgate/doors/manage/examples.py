"""One example of each shape, as the OpenAPI document shows it; a test reads every one back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latchgate.doors.manage import account, projects, roles, shapes, tenants, users
from latchgate.manage.keys import KeyPatch, KeySpec
from latchgate.manage.projects import ProjectPatch, ProjectSpec
from latchgate.manage.roles import RolePatch, RoleSpec
from latchgate.manage.tenants import TenantPatch, TenantSpec
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
    "version": 47,
    "last_used_at": None,
    "last_used_from": None,
}
_RECEIPT = {
    "journal": 48,
    "at": _AT,
    "elapsed_ms": 0.412,
    "verifiers": [{"id": "5b0f4c1d2e3a6978", "process": 811, "state": "acknowledged"}],
}

EXAMPLES: Mapping[type, dict[str, Any]] = {
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
}
