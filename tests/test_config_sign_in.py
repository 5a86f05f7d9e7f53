"""External providers in `latchgate.toml`: read, and refused where anybody could be let in."""

from __future__ import annotations

import re

import pytest

from latchgate.config import ConfigError, load
from latchgate.core.identity_provider import Claim, RoleClaim

PROVIDER = """\
[[sign_in.providers]]
name = "keycloak"
title = "Example Inc."
issuer = "https://id.example.com/realms/staff"
client_id = "latchgate"
"""
ROLE = '[[sign_in.providers.roles]]\nclaim = "a.b"\nvalue = "v"\nproject = "p"\nrole = "r"\n'


@pytest.fixture
def file(tmp_path):
    return tmp_path / "latchgate.toml"


def test_a_provider_is_read_with_what_is_safe_where_nothing_is_told(file):
    file.write_text(PROVIDER)
    (found,) = load(file).providers
    assert (found.name, found.secret_file, found.tenant) == ("keycloak", None, None)
    assert (found.create_users, found.require_verified_email) == (False, True)
    assert (found.roles, found.required, found.mfa_acr) == ((), None, frozenset())
    file.write_text(
        PROVIDER
        + 'client_secret_file = "s"\ntenant = "t"\ncreate_users = true\n'
        + ROLE
        + '[sign_in.providers.required]\nclaim = ["https://a.b/c"]\nvalue = true\ndisable = true\n'
    )
    (found,) = load(file).providers
    assert found.secret_file == file.parent / "s"
    assert found.roles == (RoleClaim(Claim(("a", "b"), "v"), "p", "r"),)
    assert found.required == Claim(("https://a.b/c",), value=True)
    assert found.disable_without_required


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (PROVIDER.replace("https://id", "http://id"), "providers[0].issuer: must be an https"),
        (PROVIDER.replace("staff", "staff?a=b"), "providers[0].issuer: must be an https"),
        (PROVIDER.replace("staff", "staff#a"), "providers[0].issuer: must be an https"),
        (PROVIDER.replace("id.example", "me:pw@id.example"), "issuer: must be an https"),
        (PROVIDER.replace("https://id", "http://127.0.0.1.evil"), "issuer: must be an https"),
        (PROVIDER + 'scopes = ["email"]\n', '"openid" among them'),
        (PROVIDER + 'scopes = ["openid email"]\n', '"openid" among them'),
        (PROVIDER + 'algorithms = ["HS256"]\n', "algorithms: must be some of"),
        (PROVIDER + 'algorithms = ["none"]\n', "algorithms: must be some of"),
        (PROVIDER + "algorithms = []\n", "algorithms: must be some of"),
        (PROVIDER + "create_users = true\n", "tenant: name the tenant"),
        (PROVIDER + ROLE, "tenant: name the tenant"),
        (PROVIDER + 'email_domains = ["Example.com"]\n', "is no domain in lower case"),
        (PROVIDER + 'email_domains = ["@example.com"]\n', "is no domain in lower case"),
        (PROVIDER + 'tenant = "t"\n' + ROLE.replace("a.b", "a..b"), "roles[0].claim: must be a"),
        (PROVIDER * 2, "two providers are named keycloak"),
        (PROVIDER + PROVIDER.replace('"keycloak"', '"other"'), "another provider has this issuer"),
        (PROVIDER.replace('"keycloak"', '"../x"'), "sign_in.providers"),
        (PROVIDER + 'client_secret = "s"\n', "unknown key 'client_secret'"),
    ],
)
def test_what_could_let_in_somebody_whom_nobody_meant_is_refused(file, text, problem):
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(problem)):
        load(file)
