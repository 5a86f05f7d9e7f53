"""What one address may ask for: counted exactly, forgotten in time, bounded in memory."""

from __future__ import annotations

from latchgate.core.network import parse_address
from latchgate.signin.quota import Quota

ONE = parse_address("192.0.2.1")


def test_the_limit_holds_to_the_second_and_asking_again_does_not_prolong_it():
    quota = Quota(2, 60.0)
    assert [quota.take(ONE, at) for at in (0.0, 1.0)] == [0.0, 0.0]
    assert [quota.take(ONE, at) for at in (2.0, 59.0, 59.5)] == [58.0, 1.0, 0.5]
    assert quota.take(ONE, 60.0) == 0.0


def test_addresses_are_counted_apart_but_not_those_of_one_subscriber():
    quota = Quota(1, 60.0)
    assert quota.take(ONE, 0.0) == 0.0
    assert quota.take(parse_address("192.0.2.2"), 0.0) == 0.0
    assert quota.take(parse_address("2001:db8::1"), 0.0) == 0.0
    assert quota.take(parse_address("2001:db8::ffff:1"), 0.0) > 0
    assert quota.take(parse_address("2001:db8:0:1::1"), 0.0) == 0.0
    assert quota.take(parse_address("::ffff:192.0.2.1"), 0.0) > 0


def test_those_whom_nobody_can_name_share_one_count():
    quota = Quota(1, 60.0)
    assert quota.take(None, 0.0) == 0.0
    assert quota.take(None, 0.0) > 0


def test_memory_is_bounded():
    quota = Quota(1, 60.0, max_sites=3)
    for at in range(10):
        quota.take(parse_address(f"192.0.2.{at}"), 0.0)
    assert len(quota._begun) == 3
