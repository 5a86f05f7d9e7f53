"""Signing in through an external OpenID provider, npm's: forged, replayed, refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.external_provider import SECRET, ExternalProvider
from tests.world import Server, World

from latchgate.core.model import Noun
from latchgate.signin import session
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

BEGIN = "/sign-in/provider/external"
ALERT = re.compile(r'<p class="problem" role="alert"[^>]*>([^<]*)</p>')


@dataclass(frozen=True)
class Desk:
    """A server, its database and the provider."""

    server: Server
    world: World
    provider: ExternalProvider

    def staff(self, subject: str, **claims: object) -> None:
        """Give the provider an account of whom a user may be made."""
        told: dict[str, object] = {"email": f"{subject}@example.com", "email_verified": True}
        told |= {"preferred_username": subject, "realm_access": {"roles": ["staff"]}}
        self.provider.account(subject, **told | claims)

    def answer(self, visitor: Visitor, subject: str | None, following: str = "/security") -> str:
        """Go to the provider and sign in there; returns the path that it leads back to."""
        asked = visitor.see(f"{BEGIN}?next={following}")
        assert asked.status == 303, asked.body
        told = self.provider.sign_in(asked.headers["location"], subject)
        assert told.startswith(visitor.origin)
        return told.removeprefix(visitor.origin)

    def signed_in(self, subject: str) -> Visitor:
        """Return a browser in which somebody signed in through the provider."""
        visitor = Visitor(self.server)
        answer = visitor.see(self.answer(visitor, subject))
        assert (answer.status, answer.headers["location"]) == (303, "/security"), answer.body
        return visitor

    def refused(self, subject: str) -> str:
        """Sign in there, and return what the page says that is not let in here."""
        visitor = Visitor(self.server)
        answer = visitor.see(self.answer(visitor, subject))
        assert session.COOKIE not in visitor.cookies
        assert answer.status in {403, 503}
        return words(visitor)

    def users(self, name: str) -> list[sa.Row[Any]]:
        """Return the users of a name."""
        return list(self.world.all(sa.select(schema.user).where(schema.user.c.name == name)))


def words(visitor: Visitor) -> str:
    """Return what the page seen last refuses with."""
    found = ALERT.search(visitor.page)
    assert found is not None, visitor.page
    return found[1]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("provider")
    provider = ExternalProvider(folder / "external")
    server = Server.made(folder / "lg")
    world = World.beside(server)
    role = world.role(world.owner.tenant_id, ["storage:read"])
    with server.config.open("a") as file:
        file.write(
            provider.config(tenant=f'"{world.owner.tenant_id}"', create_users="true")
            + '[[sign_in.providers.roles]]\nclaim = "realm_access.roles"\nvalue = "reader"\n'
            f'project = "{world.owner.project_id}"\nrole = "{role}"\n'
            '[sign_in.providers.required]\nclaim = "realm_access.roles"\nvalue = "staff"\n'
            "disable = true\n"
        )
    server.start()
    provider.control(redirect_uris=[f"{server.addresses['console']}/sign-in/callback/external"])
    yield Desk(server, world, provider)
    world.close()
    server.kill()
    provider.stop()


def test_the_question_binds_the_browser_and_asks_for_no_more_than_a_code(desk):
    visitor = Visitor(desk.server)
    sent = [visitor.see(f"{BEGIN}?next=/security").headers["location"] for _ in range(2)]
    for one in sent:
        told = {name: text[0] for name, text in parse_qs(urlsplit(one).query).items()}
        assert told["response_type"] == "code"
        assert told["code_challenge_method"] == "S256"
        assert told["redirect_uri"] == f"{visitor.origin}/sign-in/callback/external"
        assert len({told["state"], told["nonce"], told["code_challenge"]}) == 3
    assert sent[0] != sent[1]


def test_a_devices_link_leads_through_the_provider_that_it_names_and_back_to_its_code(desk):
    visitor = Visitor(desk.server)
    path = "/device?user_code=BCDF-GHJK"
    sign_in = visitor.see(f"{path}&provider=external").headers["location"]
    told = visitor.see(sign_in).headers["location"]
    assert told == f"{BEGIN}?{urlencode({'next': path})}"


def test_whoever_was_told_which_provider_is_sent_to_it_at_once(desk):
    visitor = Visitor(desk.server)
    answer = visitor.see("/sign-in?next=/device?user_code=BCDF&provider=external")
    assert answer.headers["location"] == f"{BEGIN}?next=%2Fdevice%3Fuser_code%3DBCDF"
    assert visitor.see("/sign-in?provider=//evil.example").status == 200


def test_who_is_no_longer_staff_is_signed_out_and_disabled_until_somebody_enables_them(desk):
    desk.staff("bob")
    visitor = desk.signed_in("bob")
    assert visitor.is_signed_in()
    desk.staff("bob", realm_access={"roles": []})
    assert "does not give you access" in desk.refused("bob")
    assert desk.users("bob")[0].active is False
    assert not visitor.is_signed_in()
    desk.staff("bob")
    assert "can't be used" in desk.refused("bob")


def test_a_disabled_user_is_not_let_in_whatever_the_provider_says(desk):
    desk.staff("dan")
    visitor = desk.signed_in("dan")
    user_id = desk.users("dan")[0].id
    assert desk.server.call("POST", f"/manage/v1/users/{user_id}/disable").status == 200
    assert not visitor.is_signed_in()
    assert "can't be used" in desk.refused("dan")


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": "admin@example.com@evil.example"},
        {"email": '"a@example.com"@evil.example'},
        {"email": None},
    ],
    ids=["unverified", "not-a-boolean", "two-ats", "quoted", "none"],
)
def test_d6_58_an_address_that_is_not_verified_or_not_one_makes_nobody_a_user(desk, claims):
    desk.staff("eve", **claims)
    assert "has not verified your e-mail address" in desk.refused("eve")
    assert desk.users("eve") == []


def test_d6_59_an_account_here_is_never_taken_by_a_name_or_an_address(desk):
    mine = people.person(desk.world)
    (own,) = desk.world.all(sa.select(schema.user).where(schema.user.c.id == mine.id))
    desk.staff("mallory", preferred_username=own.name, name=own.name)
    visitor = desk.signed_in("mallory")
    assert len(desk.users(own.name)) == 1
    (made,) = desk.users(f"{own.name} (external)")
    assert made.id != mine.id
    visitor.see("/security")
    assert mine.login not in visitor.page


def test_an_answer_counts_once_and_in_the_browser_that_asked(desk):
    desk.staff("erin")
    visitor, other = Visitor(desk.server), Visitor(desk.server)
    path = desk.answer(visitor, "erin")
    other.see("/sign-in")
    for wrong in (other, Visitor(desk.server)):
        assert wrong.see(path).status == 403
        assert "not begun in this browser" in words(wrong)
    assert visitor.see(path).status == 303
    for again in (visitor, other):
        assert again.see(path).status == 403
    told = parse_qs(urlsplit(path).query)
    for secret in (told["code"][0], told["state"][0], SECRET):
        assert secret not in desk.server.log


def test_an_answer_to_a_question_put_again_counts_no_more(desk):
    desk.staff("fred")
    visitor = Visitor(desk.server)
    first = desk.answer(visitor, "fred")
    second = desk.answer(visitor, "fred")
    assert visitor.see(first).status == 403
    assert visitor.see(second).status == 303  # what came first took nothing away


@pytest.mark.parametrize(
    ("name", "forged", "said"),
    [
        ("state", "forged", "not begun in this browser"),
        ("state", "", "not begun in this browser"),
        ("iss", "https://evil.example", "gave no answer that could sign you in"),
        ("iss", None, "gave no answer that could sign you in"),
        ("code", "forged", "gave no answer that could sign you in"),
        ("code", None, "gave no answer that could sign you in"),
    ],
)
def test_a_forged_answer_signs_nobody_in(desk, name, forged, said):
    desk.staff("finn")
    visitor = Visitor(desk.server)
    path = desk.answer(visitor, "finn")
    changed = f"&{name}={forged}" if forged is not None else ""
    path = re.sub(rf"&{name}=[^&]*", changed, path.replace("?", "?&", 1)).replace("?&", "?", 1)
    assert visitor.see(path).status == 403
    assert said in words(visitor)
    assert session.COOKIE not in visitor.cookies


def test_a_code_of_another_sign_in_is_refused(desk):
    desk.staff("finn")
    thief, visitor = Visitor(desk.server), Visitor(desk.server)
    stolen = parse_qs(urlsplit(desk.answer(thief, "finn")).query)["code"][0]
    path = re.sub(r"code=[^&]*", f"code={stolen}", desk.answer(visitor, "finn"))
    assert visitor.see(path).status == 403
    assert session.COOKIE not in visitor.cookies


def test_a_parameter_twice_is_refused(desk):
    desk.staff("finn")
    visitor = Visitor(desk.server)
    path = desk.answer(visitor, "finn")
    assert visitor.see(f"{path}&code=another").status == 400
    assert session.COOKIE not in visitor.cookies


def test_who_cancels_there_is_told_so_and_nothing_that_the_provider_said(desk):
    visitor = Visitor(desk.server)
    assert visitor.see(desk.answer(visitor, None)).status == 403
    assert words(visitor) == "Example Inc. did not sign you in."
    assert "not you" not in visitor.page


def test_a_new_key_of_the_provider_is_fetched_and_counts(desk):
    desk.staff("gina")
    desk.provider.control(rotate=True, withdraw=True)
    assert desk.signed_in("gina").is_signed_in()


def test_nobody_is_sent_to_another_origin_afterwards(desk):
    desk.staff("gina")
    visitor = Visitor(desk.server)
    answer = visitor.see(desk.answer(visitor, "gina", "//evil.example"))
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_a_link_is_made_by_who_is_signed_in_and_by_no_other_page(desk):
    mine = people.person(desk.world)
    desk.staff("carol")
    visitor = Visitor(desk.server)
    visitor.sign_in(mine)
    visitor.see("/security")
    form = {"name": "external"}
    assert visitor.send("/security/links/new", form, Origin="https://evil.example").status == 403
    assert visitor.send("/security/links/new", form | {"csrf": "0" * 64}).status == 403
    assert visitor.send("/security/links/new", {"name": "other"}).status == 422


def test_a_provider_that_is_no_longer_configured_signs_out_who_came_by_it(desk):
    desk.staff("iris")
    visitor = desk.signed_in("iris")
    assert visitor.is_signed_in()
    mine = sa.update(schema.session).where(schema.session.c.user_id == desk.users("iris")[0].id)
    desk.world.change(Noun.SESSION, "any", mine.values(provider="gone"))
    assert not visitor.is_signed_in()
