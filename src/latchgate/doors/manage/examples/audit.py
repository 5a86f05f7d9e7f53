"""The journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latchgate.doors.manage import audit
from latchgate.doors.manage.examples.records import AT, KEY, TENANT
from latchgate.manage.audit import Head
from latchgate.manage.chain import Report

_HEAD = {
    "format": "latchgate-journal-head-1",
    "epoch": "5b0e2c0a-7f3d-4c1e-9a57-0d6b8e2f1c44",
    "n": 52,
    "hash": "9f" * 32,
    "at": AT,
    "key_id": "the thumbprint of the public key",
    "public_key": "base64url",
    "signature": "base64url",
}
_ROW = {
    "n": 52,
    "at": AT,
    "actor": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "action": "key.revoke",
    "noun": "credential",
    "record": KEY["id"],
    "tenant_id": TENANT["id"],
    "credential_id": "k3v9q1m7x2ab",
    "address": "192.0.2.7",
    "detail": {"before": {"revoked_at": None}, "after": {"revoked_at": 1790847000.0}},
    "hash": "9f" * 32,
}

EXAMPLES: Mapping[type, dict[str, Any]] = {
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
}
