"""What another issuer signed about a workload: exchanged once, and every forged variant refused."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
import sqlalchemy as sa
from joserfc.jwk import RSAKey
from tests.identity_provider import new_key, sign, sign_with_secret
from tests.oauth import authority
from tests.world import asking

from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret
from latchgate.manage import workloads
from latchgate.manage.workloads import WorkloadSpec
from latchgate.oauth import workload
from latchgate.oauth.errors import OAuthError
from latchgate.oauth.exchange import JWT, Asked
from latchgate.oauth.workload import UntrustedError
from latchgate.signin.issuers import Issuers
from latchgate.signin.jose import read_keys
from latchgate.store import schema

ISSUER = "https://token.actions.githubusercontent.com"
SCOPES = ["own:account.read", "storage:read", "storage:write"]
MAIN = "repo:acme/photos:ref:refs/heads/main"
KEY = new_key("RS256", "one")
assert isinstance(KEY, RSAKey)
PEM = KEY.as_pem(private=False)
OTHER = new_key("RS256", "one")
KEYS = read_keys(json.dumps({"keys": [KEY.as_dict(private=False)]}).encode())


@pytest.fixture
def trusted(world, server):
    """A workload of the first tenant, as the exchange finds it."""
    owner = world.somebody(*SCOPES, tenant_id=world.owner.tenant_id)
    table = schema.user
    service = sa.update(table).where(table.c.id == owner.user_id).values(sort="service")
    world.change(Noun.USER, owner.user_id, service)
    spec = WorkloadSpec(
        name="deploy",
        issuer=ISSUER,
        jwks_uri=f"{ISSUER}/.well-known/jwks",
        claims={"sub": "repo:acme/photos:ref:refs/heads/*", "environment": ["prod", "test"]},
        user_id=owner.user_id,
        scopes=SCOPES,
        lifetime="1h",
    )
    issuers = Issuers(allowed=Networks.of([]), ticks=lambda: 0.0)
    made, _ = workloads.create(
        world.store,
        server.engine.policy,
        world.acting(world.admin),
        spec,
        issuers=issuers,
        now=world.clock(),
        entropy=secrets.token_bytes,
    )
    issuers.close()
    found = workload.found(world.store, made.id)
    assert found is not None
    return found


def claims(clock, **changes):
    now = int(clock.now)
    told: dict[str, Any] = {
        "iss": ISSUER,
        "aud": authority.ISSUER,
        "sub": MAIN,
        "environment": "prod",
    }
    told |= {"iat": now, "nbf": now - 5, "exp": now + 300, "jti": secrets.token_hex(8)}
    return {name: value for name, value in (told | changes).items() if value is not None}


def ask(server, trusted, token, *, scope=None, keys=KEYS):
    asked = Asked(Secret(token), JWT, scope, (), None)
    trial = workload.read(trusted, asked.subject)
    told = workload.proven(trial, keys, now=server.clock())
    return workload.exchanged(server, trial, told, asked)


def why(server, trusted, token, **more):
    with pytest.raises(UntrustedError) as error:
        ask(server, trusted, token, **more)
    return str(error.value)


def test_a_statement_gives_a_short_token_of_the_service_user(server, trusted, clock):
    told = ask(server, trusted, sign(claims(clock), KEY))
    assert (told.token_type, told.scope) == ("Bearer", " ".join(SCOPES))
    assert told.issued_token_type == "urn:ietf:params:oauth:token-type:access_token"
    _, said = authority.unchecked(told.access_token)
    assert (said["client_id"], said["grant_id"]) == (trusted.id, trusted.grant_id)
    assert said["act"] == {"sub": f"{ISSUER}#{MAIN}"}
    fewer = ask(server, trusted, sign(claims(clock), KEY), scope="storage:read")
    assert fewer.scope == "storage:read"
    with pytest.raises(OAuthError, match="the workload does not have"):
        ask(server, trusted, sign(claims(clock), KEY), scope="storage:delete")


def test_its_tokens_end_at_once_when_it_is_disabled(server, trusted, clock, world):
    told = ask(server, trusted, sign(claims(clock), KEY))
    headers = {"authorization": f"Bearer {told.access_token}"}
    request = asking(target="/manage/v1/account", headers=headers)
    assert server.engine.decide(request).reason is Reason.ALLOWED
    workloads.disable(world.store, world.acting(world.admin), trusted.id)
    assert server.engine.decide(request).reason is Reason.PARENT_GONE


@pytest.mark.parametrize(
    ("lasts", "expected"), [(60, 300), (400, 400), (7_200, 600)], ids=["floor", "its own", "policy"]
)
def test_a_token_never_outlasts_its_statement_but_for_five_minutes(
    server, trusted, clock, lasts, expected
):
    told = ask(server, trusted, sign(claims(clock, exp=int(clock.now) + lasts), KEY))
    assert told.expires_in == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iss": ISSUER + "/"}, "iss is not"),
        ({"iss": None}, "iss is not"),
        ({"aud": "https://other.example"}, "aud does not hold"),
        ({"aud": None}, "aud does not hold"),
        ({"sub": "repo:acme/photos:ref:refs/heads/a/b"}, "claim sub is"),
        ({"sub": "repo:eve/photos:ref:refs/heads/main"}, "claim sub is"),
        ({"sub": None}, "sub is not"),
        ({"environment": "dev"}, "claim environment is 'dev'"),
        ({"environment": None}, "claim environment is None"),
        ({"environment": ["prod"]}, "claim environment is"),
        ({"exp": None}, "no exp"),
        ({"exp": "soon"}, "no exp"),
        ({"nbf": 1_900_000_000}, "not hold yet"),
        ({"exp": 1_800_000_000}, "has expired"),
        ({"iat": 1_700_000_000}, "has expired"),
        ({"cnf": {"jkt": "x"}}, "bound to a key"),
        ({"typ": "Refresh"}, "not for calling"),
    ],
    ids=str,
)
def test_a_statement_that_is_not_about_the_workload_is_refused(
    server, trusted, clock, changes, said
):
    assert said in why(server, trusted, sign(claims(clock, **changes), KEY))


def test_a_forged_statement_is_refused(server, trusted, clock):
    good = sign(claims(clock), KEY)
    head, body, mark = good.split(".")
    _, other, _ = sign(claims(clock, sub=MAIN + "2"), KEY).split(".")
    assert "signature" in why(server, trusted, f"{head}.{other}.{mark}")
    assert "signature" in why(server, trusted, sign(claims(clock), OTHER))
    assert "no such key" in why(server, trusted, sign(claims(clock), KEY, header={"kid": "two"}))
    assert "no such key" in why(server, trusted, good, keys=())
    forged = sign_with_secret(claims(clock), PEM, "one", "HS256")
    assert "not signed with" in why(server, trusted, forged)
    unsigned = sign_with_secret(claims(clock), b"x", "one", "none")
    assert "not signed with" in why(server, trusted, unsigned)
    for header in ({"crit": ["x"]}, {"typ": "dpop+jwt"}, {"b64": False}):
        assert "token's" in why(server, trusted, sign(claims(clock), KEY, header=header))
    for text in ("x", f"{head}.{body}", f"{head}.{body}.", "a.b.c"):
        with pytest.raises(UntrustedError):
            ask(server, trusted, text)
    jwk = sign(claims(clock), OTHER, header={"jwk": OTHER.as_dict(private=False)})
    assert "signature" in why(server, trusted, jwk)
    assert ask(server, trusted, good).scope  # and none of them spent it


def test_a_statement_is_exchanged_once(server, trusted, clock):
    token = sign(claims(clock), KEY)
    ask(server, trusted, token)
    assert "exchanged before" in why(server, trusted, token)
    clock.now += 299
    assert "exchanged before" in why(server, trusted, token)
    clock.now += 1
    assert "expired" in why(server, trusted, token)


def test_what_was_exchanged_is_forgotten_when_it_ends_and_is_bounded(
    server, trusted, clock, monkeypatch, world
):
    monkeypatch.setattr(workload, "MAX_SPENT", 2)
    for _ in range(2):
        ask(server, trusted, sign(claims(clock), KEY))
    assert "hold still" in why(server, trusted, sign(claims(clock), KEY))
    clock.now += 300
    ask(server, trusted, sign(claims(clock), KEY))
    assert len(world.all(sa.select(schema.ceremony))) == 1


def test_a_statement_that_could_not_be_answered_is_not_spent(server, trusted, clock, world):
    token = sign(claims(clock), KEY)
    table = schema.credential
    off = sa.update(table).where(table.c.id == trusted.grant_id)
    world.change(Noun.CREDENTIAL, trusted.grant_id, off.values(disabled_at=1.0))
    assert "disabled" in why(server, trusted, token)
    world.change(Noun.CREDENTIAL, trusted.grant_id, off.values(disabled_at=None))
    assert ask(server, trusted, token).scope


def test_a_disabled_workload_reads_nothing(server, trusted, clock, world):
    workloads.disable(world.store, world.acting(world.admin), trusted.id)
    off = workload.found(world.store, trusted.id)
    assert "disabled" in why(server, off, sign(claims(clock), KEY))
    assert workload.found(world.store, "wl-nobody") is None
    assert workload.found(world.store, "x" * 100_000) is None
