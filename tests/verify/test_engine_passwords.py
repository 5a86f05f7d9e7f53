"""An engine and passwords: right, wrong, changed, throttled, as the server and a program decide."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from tests.core.worlds import basic
from tests.world import asking

from latchgate.core.answer import refusal
from latchgate.core.kinds.spec import Issued
from latchgate.core.model import Decision
from latchgate.core.reason import Reason
from latchgate.core.scope import ALL
from latchgate.core.secret import Secret
from latchgate.manage import logins
from latchgate.signin.throttle import FREE_FAILURES
from latchgate.verify.walk import Derive

TARGET = "/1.3/server"


def stored(password: str) -> bytes:
    made = Argon2id(salt=b"salt-of-16-bytes", length=32, iterations=1, lanes=1, memory_cost=32)
    return made.derive_phc_encoded(password.encode()).encode()


def give(world, password: str, credential_id: str) -> None:
    """Give the first user a password for UpCloud's area, in place of the one before."""
    owner = (world.owner.tenant_id, world.owner.project_id, world.owner.user_id)
    with world.changing() as change:
        logins.give(
            change,
            kind="upcloud.account_password",
            issued=Issued(credential_id, Secret(""), stored(password), ""),
            login="upcloud:ada",
            scopes=ALL,
            networks=None,
            owner=owner,
            issues=True,
        )


@pytest.fixture
def ada(world):
    with world.changing() as change:
        logins.add_login(change, world.owner.tenant_id, world.owner.user_id, "upcloud", "Ada")
    give(world, "correct horse", "pw-1")
    return world


def asked(password: str, login: str = "ada"):
    return asking(target=TARGET, headers=basic(login, password), client="127.0.0.1")


def test_the_right_password_opens_and_the_next_one_is_decided_at_once(ada):
    engine = ada.engine()
    assert isinstance(engine.attempt(asked("correct horse")), Derive)
    assert engine.decide(asked("correct horse")).allowed
    found = engine.attempt(asked("correct horse", "ADA"))
    assert isinstance(found, Decision)
    assert found.allowed


def test_a_wrong_one_and_an_account_that_is_not_there_are_told_the_same(ada):
    engine = ada.engine()
    wrong, nobody = engine.decide(asked("wrong")), engine.decide(asked("wrong", "nobody"))
    assert (wrong.reason, nobody.reason) == (Reason.SECRET_WRONG, Reason.CREDENTIAL_UNKNOWN)
    assert refusal(wrong) == refusal(nobody)
    assert wrong.credential is nobody.credential is None


def test_a_changed_password_takes_effect_on_the_very_next_decision(ada):
    engine = ada.engine()
    assert engine.decide(asked("correct horse")).allowed
    give(ada, "another horse", "pw-2")
    assert engine.decide(asked("correct horse")).reason is Reason.SECRET_WRONG
    assert engine.decide(asked("another horse")).allowed


def test_whoever_guesses_too_often_looks_wrong_and_whoever_is_in_stays_in(ada):
    engine = ada.engine()
    assert engine.decide(asked("correct horse")).allowed
    told = [engine.decide(asked(f"wrong {number}")) for number in range(FREE_FAILURES + 2)]
    assert [one.reason for one in told[-2:]] == [Reason.PASSWORD_THROTTLED] * 2
    assert (
        len({refusal(one).body for one in told}) == len({refusal(one).status for one in told}) == 1
    )
    assert engine.decide(asked("correct horse")).allowed


def test_the_event_loops_way_decides_the_same_and_many_at_once(ada, monkeypatch):
    # However long the hashes take, no guess comes free meanwhile.
    monkeypatch.setattr(ada, "passwords", lambda made=ada.passwords: made(ticks=lambda: 1.0))
    engine = ada.engine()

    async def later(request) -> Decision:
        due = engine.attempt(request)
        return due if isinstance(due, Decision) else await engine.decide_later(request, due)

    async def all_at_once(passwords: list[str]) -> list[Decision]:
        return await asyncio.gather(*[later(asked(one)) for one in passwords])

    found = asyncio.run(all_at_once(["correct horse"] * 20))
    assert all(one.allowed for one in found)
    # Not beside the right ones: each that ends right gives the free guesses back.
    found = asyncio.run(all_at_once([f"wrong {number}" for number in range(20)]))
    reasons = [one.reason for one in found]
    assert set(reasons) == {Reason.SECRET_WRONG, Reason.PASSWORD_THROTTLED}
    assert reasons.count(Reason.SECRET_WRONG) <= FREE_FAILURES


def test_each_decision_is_recorded_once_however_long_it_took(ada):
    noted = []
    engine = ada.engine(on_decision=lambda decision, *_: noted.append(decision.reason))
    engine.decide(asked("correct horse"))
    engine.decide(asked("wrong"))
    assert noted == [Reason.ALLOWED, Reason.SECRET_WRONG]


def test_a_stored_hash_that_cannot_be_checked_is_a_fault_and_never_a_pass(ada, caplog):
    owner = (ada.owner.tenant_id, ada.owner.project_id, ada.owner.user_id)
    with ada.changing() as change:
        logins.give(
            change,
            kind="upcloud.account_password",
            issued=Issued("pw-3", Secret(""), b"$2b$12$made-up", ""),
            login="upcloud:ada",
            scopes=ALL,
            networks=None,
            owner=owner,
            issues=True,
        )
    found = ada.engine().decide(asked("correct horse"))
    assert found.reason is Reason.FAULT
    assert refusal(found).status == 503
    assert "correct horse" not in caplog.text


def test_explaining_works_out_no_password(ada):
    engine = ada.engine()
    assert engine.explain(asked("correct horse")).reason is Reason.PASSWORDS_BUSY
    engine.decide(asked("correct horse"))
    assert engine.explain(asked("correct horse")).allowed


def test_a_closed_pool_refuses(ada):
    engine = ada.engine()
    engine._passwords.close()
    assert engine.decide(asked("correct horse")).reason is Reason.FAULT
