"""Claims and e-mail addresses of external providers: to the letter, and by type."""

from __future__ import annotations

import pytest

from latchgate.core.identity_provider import Claim, is_of, verified_email

ROLES = ("realm_access", "roles")


@pytest.mark.parametrize(
    ("claim", "told", "holds"),
    [
        (Claim(ROLES, "staff"), {"realm_access": {"roles": ["staff"]}}, True),
        (Claim(ROLES, "staff"), {"realm_access": {"roles": "staff"}}, True),
        (Claim(ROLES, "staff"), {"realm_access": {"roles": ["staff2", "Staff"]}}, False),
        (Claim(ROLES, "staff"), {"realm_access": {"roles": {"staff": 1}}}, False),
        (Claim(ROLES, "staff"), {"realm_access": ["roles"]}, False),
        (Claim(ROLES, "staff"), {"realm_access.roles": ["staff"]}, False),
        (Claim(("https://x.example/r",), "a"), {"https://x.example/r": "a"}, True),
        (Claim(("staff",), value=True), {"staff": True}, True),
        (Claim(("staff",), value=True), {"staff": "true"}, False),
        (Claim(("staff",), value=True), {"staff": 1}, False),
        (Claim(("staff",), "1"), {"staff": 1}, False),
        (Claim(("staff",), value=False), {}, False),
        (Claim(("staff",), value=False), {"staff": None}, False),
    ],
    ids=str,
)
def test_a_claim_counts_when_it_is_the_very_value(claim, told, holds):
    assert claim.holds(told) is holds


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("ada@example.com", True),
        ("ada+a.b@Example.COM", True),
        ("a@b@example.com", False),
        ('"a@b"@example.com', False),
        ("ada@exa mple.com", False),
        ("ada@example.com\n", False),
        ("ada@ex\u0430mple.com", False),
        ("@example.com", False),
        ("ada", False),
        ("", False),
        (["ada@example.com"], False),
    ],
)
def test_an_address_counts_when_there_is_one_way_to_read_it(address, read):
    found = verified_email({"email": address, "email_verified": True})
    assert (found == address) is read
    for unproven in (False, None, "true", 1):
        assert verified_email({"email": address, "email_verified": unproven}) is None


def test_a_domain_is_compared_whole_and_without_case():
    domains = frozenset({"example.com"})
    assert is_of("ada@EXAMPLE.com", domains)
    for other in ("ada@sub.example.com", "ada@example.com.evil.example", "ada@notexample.com"):
        assert not is_of(other, domains)
