"""Applications, their developers' acts, and the users they may not act for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latchgate.doors.manage import applications, developers
from latchgate.doors.manage.examples.records import AT, RECEIPT, SHOWN_ONCE, USER
from latchgate.manage.applications import ApplicationSpec, Review
from latchgate.manage.developers import Reissue, Target
from latchgate.manage.published_key import PublishedKeySpec

_APPLICATION = {
    "id": "app-8c2m5x1kq7v9t3hd",
    "name": "Sync",
    "vendor": "Example AG",
    "contact": "keys@example.com",
    "purpose": "Shows quotas.",
    "developer": "open_source",
    "state": "approved",
    "reason": "Welcome",
    "created_at": AT,
    "decided_at": AT,
    "decided_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "version": 52,
}
_APPLICATION_KEY = {
    "id": "ak-5f0c2b9d7e1a34680bd2c1f7",
    "user_id": None,
    "created_at": AT,
    "expires_at": None,
    "superseded_by": None,
}

EXAMPLES: Mapping[type, dict[str, Any]] = {
    ApplicationSpec: {
        name: _APPLICATION[name] for name in ("name", "vendor", "contact", "purpose", "developer")
    },
    Review: {"reason": "Welcome"},
    Target: {"user_id": USER["id"]},
    Reissue: {"grace": "7d"},
    applications.Application: _APPLICATION,
    applications.ApplicationPage: {"applications": [_APPLICATION], "next": None},
    applications.DecidedApplication: {**_APPLICATION, "receipt": RECEIPT},
    applications.PublishedApplicationKey: {
        "id": "ak-8f2c0d4e6a1b3c5d7e9f0a1b",
        "application_id": "app-test",
        "tenants": ["t-9f3kq2m7x1vb4c8d"],
        "receipt": RECEIPT,
    },
    PublishedKeySpec: {
        "api_key": "FEF5078EA41D182EEF89A21E034BD680",
        "tenants": ["t-9f3kq2m7x1vb4c8d"],
    },
    applications.BlockList: {
        "applications": [
            {
                "application_id": _APPLICATION["id"],
                "name": _APPLICATION["name"],
                "vendor": _APPLICATION["vendor"],
                "blocked_by": ["user"],
                "at": AT,
            }
        ]
    },
    applications.Blocked: {
        "application_id": _APPLICATION["id"],
        "blocked": True,
        "receipt": RECEIPT,
    },
    developers.NewApplication: {
        "application": {**_APPLICATION, "state": "requested"},
        "developer_token": SHOWN_ONCE,
    },
    developers.OwnApplication: {
        "application": _APPLICATION,
        "keys": [_APPLICATION_KEY],
        "withdrawn_for": [],
    },
    developers.NewApplicationKey: {
        **_APPLICATION_KEY,
        "api_key": SHOWN_ONCE,
        "receipt": RECEIPT,
    },
    developers.WithdrawnApplication: {
        "application_id": _APPLICATION["id"],
        "user_id": None,
        "receipt": RECEIPT,
    },
}
