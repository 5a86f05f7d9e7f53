"""The records that the examples are about: one of each, that refer to each other."""

from __future__ import annotations

AT = "2026-10-01T09:30:00Z"
TENANT = {
    "id": "t-9f3kq2m7x1vb4c8d",
    "name": "Acme",
    "active": True,
    "created_at": AT,
    "version": 41,
}
PROJECT = {
    "id": "p-2b7wq9h4zk3m6t1x",
    "name": "default",
    "active": True,
    "created_at": AT,
    "version": 42,
}
ROLE = {
    "id": "r-5d1n8v3jy6g2s0qe",
    "name": "uploader",
    "scopes": ["storage:read", "storage:write"],
    "implies": [],
    "shared": False,
    "created_at": AT,
    "version": 43,
}
USER = {
    "id": "u-7h4c0p2rw9x5f3am",
    "name": "nightly job",
    "sort": "service",
    "active": True,
    "allow_api": True,
    "ip_filters": ["192.0.2.0/24"],
    "email": None,
    "roles": [{"project_id": PROJECT["id"], "role_id": ROLE["id"]}],
    "created_at": AT,
    "version": 45,
}
KEY = {
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
    "owner_id": USER["id"],
    "project_id": PROJECT["id"],
    "created_at": AT,
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
RECEIPT = {
    "journal": 48,
    "at": AT,
    "elapsed_ms": 0.412,
    "verifiers": [
        {
            "id": "5b0f4c1d2e3a6978",
            "process": 811,
            "state": "acknowledged",
            "kind": "node",
            "node": "node-1",
            "trust_seconds": 2.0,
            "stale": False,
        }
    ],
    "known": True,
    "waited": True,
}
GIVEN = {
    "journal": 48,
    "at": AT,
    "elapsed_ms": 31.07,
    "acknowledged": 1,
    "verifiers": RECEIPT["verifiers"],
}
STATUS = {
    "database": "postgresql",
    "head": 48,
    "policy_version": 3,
    "epoch": "b55a40f7-7c1e-4d53-9d0e-5f2f0c3a9e11",
    "timeline": "00000001",
    "settled": True,
    "max_trust_seconds": 2.0,
    "gateway_tail_seconds": 0.0,
    "jobs": "node-1 811 9c1d2e3f4a5b6c7d",
    "verifiers": [
        {
            "id": "5b0f4c1d2e3a6978",
            "kind": "node",
            "node": "node-1",
            "process": 811,
            "state": "live",
            "acknowledged": 48,
            "lag": 0,
            "trust_seconds": 2.0,
            "stale": False,
            "joined_at": AT,
            "seen_seconds_ago": 0.213,
            "program": "0.1.0",
            "schema": "0008",
            "tenants": None,
        }
    ],
    "receipts": [GIVEN],
}
SHOWN_ONCE = "shown this once"
