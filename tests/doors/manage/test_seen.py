"""How credentials are shown."""

from __future__ import annotations

import msgspec
import pytest

from latchgate.doors.manage.seen import told
from latchgate.doors.manage.shapes import Key
from latchgate.manage.keys import StoredKey
from latchgate.store.usage import LastUse

STORED = StoredKey(
    id="k",
    kind="wayscloud.service_key",
    hint="wayscloud_storage_k_…",
    name="n",
    description="",
    services=["storage"],
    scopes=["storage:read"],
    environment=None,
    external_id=None,
    metadata={},
    allowed_ip_ranges=None,
    owner_id="u",
    project_id="p",
    created_at=1_000.0,
    created_by="user:u key:x",
    expires_at=2_000.0,
    revoked_at=None,
    disabled_at=None,
    superseded_by=None,
    superseded_at=None,
    predecessor_id=None,
    version=7,
)


def shown(key, now, use=None):
    return msgspec.convert(told(key, now, use), Key)


@pytest.mark.parametrize(
    ("now", "revoked_at", "state"),
    [
        (1_999.999, None, "active"),
        (2_000.0, None, "expired"),
        (1_500.0, 1_400.0, "revoked"),
        (3_000.0, 1_400.0, "revoked"),
    ],
)
def test_a_key_is_active_while_now_is_before_its_expiry_and_revoked_for_good(
    now, revoked_at, state
):
    key = msgspec.structs.replace(STORED, revoked_at=revoked_at)
    assert shown(key, now).state == state


def test_times_are_told_in_utc():
    key = shown(STORED, 1_500.0, LastUse(1_400.5, "192.0.2.1"))
    assert (key.created_at, key.expires_at, key.revoked_at) == (
        "1970-01-01T00:16:40Z",
        "1970-01-01T00:33:20Z",
        None,
    )
    assert (key.last_used_at, key.last_used_from) == ("1970-01-01T00:23:20.5Z", "192.0.2.1")


def test_a_shown_key_has_no_secret():
    assert not {"key", "digest"} & set(msgspec.to_builtins(shown(STORED, 1_500.0)))
