"""How keys and receipts are shown."""

from __future__ import annotations

import msgspec
import pytest

from latchgate.doors.manage import shapes
from latchgate.manage.keys import StoredKey
from latchgate.store.bell import Listener
from latchgate.store.usage import LastUse
from latchgate.verify.receipts import Receipt

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
    assert shapes.key_shape(key, now, None).state == state


def test_times_are_told_in_utc():
    shown = shapes.key_shape(STORED, 1_500.0, LastUse(1_400.5, "192.0.2.1"))
    assert (shown.created_at, shown.expires_at, shown.revoked_at) == (
        "1970-01-01T00:16:40Z",
        "1970-01-01T00:33:20Z",
        None,
    )
    assert (shown.last_used_at, shown.last_used_from) == ("1970-01-01T00:23:20.5Z", "192.0.2.1")


def test_a_shown_key_has_no_secret_and_a_new_one_has():
    assert not hasattr(shapes.key_shape(STORED, 1_500.0, None), "key")
    new = shapes.new_key_shape(STORED, 1_500.0, "the secret")
    assert new.key == "the secret"
    assert b"digest" not in msgspec.json.encode(new)


def test_a_receipt_lists_who_dropped_it_and_who_did_not():
    receipt = Receipt(
        journal=7,
        elapsed=0.001_234_5,
        acknowledged=(Listener(0xABC, 11, 7, 0),),
        lapsed=(Listener(0xDEF, 12, 6, 0),),
    )
    shown = shapes.receipt_shape(receipt, 1_000.0)
    assert (shown.journal, shown.at) == (7, "1970-01-01T00:16:40Z")
    assert shown.elapsed_ms == pytest.approx(1.234, abs=0.001)
    assert [msgspec.structs.astuple(one) for one in shown.verifiers] == [
        ("0000000000000abc", 11, "acknowledged"),
        ("0000000000000def", 12, "lapsed"),
    ]
