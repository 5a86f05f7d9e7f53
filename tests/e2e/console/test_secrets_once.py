"""A secret is in exactly one answer that the console ever gives (ATTACKS D5.50, D7.60)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pyotp
import pytest
from tests import people
from tests.doors.console.visitor import Visitor
from tests.e2e.console.addresses import IN_PASSING, address, shown
from tests.e2e.console.creating import CREATING, SECRET, Field, Forms, filled, makers, secrets
from tests.world import Answer

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@dataclass
class Keeping(Visitor):
    """A browser that keeps every answer it ever got."""

    answers: list[tuple[str, bytes]] = field(default_factory=list)

    def ask(self, method, path, form=None, /, **more) -> Answer:
        """Send a request, and keep what came."""
        answer = super().ask(method, path, form, **more)
        told = "\n".join(f"{name}: {text}" for name, text in answer.pairs)
        self.answers.append((f"{method} {path}", told.encode() + b"\n\n" + answer.body))
        return answer


def _add_an_app(visitor: Visitor) -> None:
    """Add an authenticator app: recovery codes are for whoever has one."""
    visitor.see("/security")
    visitor.send("/security/app/new")
    visitor.see("/security/app")
    seed = next(iter(SECRET.findall(visitor.page))).replace(" ", "")
    form = {"code": pyotp.TOTP(seed).at(time.time()), "name": "Phone"}
    assert visitor.send("/security/app", form).status == 200


def test_every_noun_that_shows_a_secret_has_its_forms_named():
    named = {one.sent for one in CREATING}
    without = [
        noun.__name__
        for noun in makers()
        if not any(page.path in named for page in noun.PAGES if page.take is not None)
    ]
    assert without == [], "give each of its forms that show a secret a line in creating.CREATING"


def test_a_secret_is_in_exactly_one_answer_whatever_is_opened_or_sent_afterwards(furnished):
    visitor = Keeping(furnished.server)
    person = people.colleague(furnished.world, furnished.person, "*")
    visitor.sign_in(person)
    _add_an_app(visitor)
    made: dict[str, str] = {}
    for one in CREATING:
        opened, sent = address(one.opened, furnished), address(one.sent, furnished)
        assert visitor.see(opened).status == 200, opened
        form = Forms(visitor.answers[-1][1].decode()).found.get(sent)
        form = [Field("csrf", "hidden", visitor.token, required=True)] if one.bare else form
        assert form is not None, f"{opened} has no form that is sent to {sent}"
        body = urlencode(filled(form, one.told, person.password)).encode()
        answer = visitor.ask("POST", sent, body)
        assert answer.status in {200, 201}, (sent, body, answer.body.decode()[-3_000:])
        found = secrets(one, answer.body.decode())
        assert found, f"{sent} was answered without a secret"
        made |= dict.fromkeys(found, sent)
        visitor.ask("POST", sent, body)  # sent twice
        visitor.see(opened)
    for path in shown():
        if path not in IN_PASSING:
            visitor.ask("GET", address(path, furnished))
    for secret, sent in made.items():
        within = [asked for asked, told in visitor.answers if secret.encode() in told]
        assert within == [f"POST {sent}"]
    files = [file for file in furnished.server.folder.rglob("*") if file.is_file()]
    assert len(files) > 4
    kept = [
        (file.name, sent)
        for file in files
        for secret, sent in made.items()
        if secret.encode() in file.read_bytes()
    ]
    assert kept == []
