"""Examples of what edges and the feed tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latchgate.core import feed
from latchgate.doors.manage.examples.records import KEY, PROJECT, TENANT, USER

_PLACE = {
    "epoch": "0f6d1c9a5b7e4832",
    "position": 52,
    "hash": "9f2c" + "0" * 56 + "41d7",
}
_NONCE = "3c1d5a0e9b7f4826"
_CHANGES = [(53, "credential", KEY["id"]), (55, "policy", "2")]
_KEYS = [("project", PROJECT["id"]), ("user", USER["id"])]
_RECORDS = [
    {
        "noun": "project",
        "id": PROJECT["id"],
        "record": {
            "id": PROJECT["id"],
            "tenant_id": TENANT["id"],
            "active": True,
            "name": PROJECT["name"],
        },
    },
    {"noun": "user", "id": USER["id"], "record": None},
]

EXAMPLES: Mapping[type, dict[str, Any]] = {
    feed.FeedRegistration: {
        "format": feed.FORMAT,
        "incarnation": "5b0f4c1d2e3a6978",
        "node": "edge-1.fra",
        "process": 811,
        "program": "0.1.0",
        "trust": 2.0,
        "stale": False,
        "tenants": [TENANT["id"]],
    },
    feed.FeedRegistered: {
        "place": _PLACE,
        "policy_version": 1,
        "timeline": "",
        "tenants": [TENANT["id"]],
        "issuer": "https://login.example.com",
    },
    feed.FeedBeat: {"since": _PLACE, "timeline": "", "nonce": _NONCE},
    feed.FeedBeaten: {
        "nonce": _NONCE,
        "place": {**_PLACE, "position": 55},
        "changes": _CHANGES,
        "reached": True,
        "timeline": "",
        "age": 0.0,
    },
    feed.FeedWanted: {"keys": _KEYS},
    feed.FeedRecords: {"number": 55, "timeline": "", "records": _RECORDS},
    feed.FeedWantedThrough: {
        "keys": _KEYS,
        "nonce": _NONCE,
    },
    feed.FeedRecordsThrough: {
        "nonce": _NONCE,
        "number": 55,
        "policy_version": 2,
        "records": _RECORDS,
    },
    feed.FeedPosition: {"position": 55},
    feed.FeedHead: {"head": 55},
    feed.FeedPolicy: {
        "version": 2,
        "files": {"wayscloud.toml": 'provider = "wayscloud"\n'},
        "number": 55,
        "timeline": "",
    },
}
