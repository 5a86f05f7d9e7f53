"""An engine and an identity provider's tokens, which are proven outside its lock."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading

import pytest
from tests.identity_provider import new_key, sign
from tests.world import FILES, asking, compiled

from latchgate.core.model import Decision
from latchgate.core.reason import Reason
from latchgate.manage import links
from latchgate.manage.links import LinkSpec
from latchgate.signin.jwks import FetchError
from latchgate.verify.walk import Prove

URL = "https://id.example.com/realms/r"
TARGET = "/api/v1/dashboard/account/profile"
ACCEPTS = 'accepts = ["service_key", "latchgate.service_key"]'
BELIEVED = FILES["wayscloud.toml"].replace(
    ACCEPTS, 'accepts = ["service_key", "latchgate.service_key", "oidc_bearer"]'
) + (f'\n[kinds.oidc_bearer]\nissuer = "{URL}"\njwks_uri = "{URL}/certs"\naudience = "a"\n')
POLICY = compiled({**FILES, "wayscloud.toml": BELIEVED}, 2)
KEY = new_key("ES256", "one")
DOCUMENT = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()


@pytest.fixture
def ada(world):
    """A world whose administrator is linked with `ada`."""
    world.publish({**FILES, "wayscloud.toml": BELIEVED})
    admin = world.acting(world.admin)
    links.link(
        world.store,
        POLICY,
        admin,
        admin.owner.id,
        spec=LinkSpec(issuer=URL, subject="ada"),
        now=world.clock(),
        entropy=secrets.token_bytes,
    )
    return world


def asked(world, key=KEY, **changes):
    now = int(world.clock())
    told = {"iss": URL, "aud": "a", "sub": "ada", "iat": now, "exp": now + 300, **changes}
    token = sign(told, key, alg="ES256")
    return asking(target=TARGET, headers={"authorization": f"Bearer {token}"})


def test_a_token_is_proven_and_the_next_one_is_decided_at_once(ada):
    engine = ada.engine(fetch=lambda _: DOCUMENT)
    request = asked(ada)
    assert isinstance(engine.attempt(request), Prove)
    assert engine.decide(request).allowed
    again = engine.attempt(request)
    assert isinstance(again, Decision)
    assert again.allowed


def test_an_event_loop_waits_for_it_without_a_thread(ada):
    engine = ada.engine(fetch=lambda _: DOCUMENT)

    async def decided():
        request = asked(ada)
        need = engine.attempt(request)
        assert isinstance(need, Prove)
        return await engine.decide_later(request, need)

    assert asyncio.run(decided()).allowed


def test_while_keys_are_fetched_other_requests_are_decided(ada):
    asking_for, gate = threading.Event(), threading.Event()

    def slow(_address):
        asking_for.set()
        assert gate.wait(30)
        return DOCUMENT

    engine = ada.engine(fetch=slow)
    request, found = asked(ada), []
    waiting = threading.Thread(target=lambda: found.append(engine.decide(request)))
    waiting.start()
    assert asking_for.wait(30)
    key = ada.key("storage")
    assert engine.decide(asking(key)).allowed
    gate.set()
    waiting.join(30)
    assert found[0].allowed


def test_d6_59_what_was_proven_is_worth_nothing_once_unlinked(ada):
    engine = ada.engine(fetch=lambda _: DOCUMENT)
    assert engine.decide(asked(ada)).allowed
    admin = ada.acting(ada.admin)
    (one,) = links.listed(ada.store, admin, admin.owner.id)
    links.unlink(ada.store, admin, admin.owner.id, one.id)
    assert engine.decide(asked(ada)).reason is Reason.CREDENTIAL_UNKNOWN


def test_a_token_of_another_key_or_without_keys_never_passes(ada):
    engine = ada.engine(fetch=lambda _: DOCUMENT)
    forged = engine.decide(asked(ada, new_key("ES256", "one")))
    assert (forged.reason, forged.credential) == (Reason.SECRET_WRONG, None)

    def nobody(_address):
        raise FetchError("nobody answers")

    alone = ada.engine(fetch=nobody)
    assert alone.decide(asked(ada)).reason is Reason.FAULT
    assert alone.decide(asking(ada.key("storage"))).allowed


def test_explain_fetches_nothing(ada):
    engine = ada.engine(fetch=lambda _: pytest.fail("fetched"))
    assert engine.explain(asked(ada)).reason is Reason.PASSWORDS_BUSY
