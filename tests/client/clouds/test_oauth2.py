"""OAuth2: what is asked of whom, what an answer means, and where the token goes."""

from __future__ import annotations

import base64
import json
import re
import runpy
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from tests import people
from tests.client.stage import Asked, Said, Stage
from tests.client.steps import answer, asked, taken
from tests.doors.console.relying import carried
from tests.doors.console.visitor import Visitor
from tests.oauth import authority
from tests.people import Person
from tests.world import Server

from latchgate.client import (
    AuthenticationFailed,
    ClientError,
    CredentialInvalid,
    CredentialMissing,
    InsecureTransport,
    OAuth2,
    PermissionDenied,
    Refused,
    Secret,
    SignInEnded,
    Unreachable,
    WrongHost,
)
from latchgate.client.adapters.urllib import Opener
from latchgate.client.clouds.oauth2 import DeviceCode
from latchgate.client.flow import Obtain
from latchgate.client.message import Target
from latchgate.client.renewal import Pause
from latchgate.client.sources.environment import Environment
from latchgate.client.token import Token
from latchgate.client.token_cache import TokenCache

ISSUER = "https://login.example"
TOKEN = f"{ISSUER}/oauth/token"
METADATA = {
    "issuer": ISSUER,
    "token_endpoint": TOKEN,
    "device_authorization_endpoint": f"{ISSUER}/oauth/device",
    "userinfo_endpoint": f"{ISSUER}/oauth/userinfo",
}
GIVEN = {"access_token": "t0ken", "token_type": "bearer", "expires_in": 600}
BEGUN = {
    "device_code": "d3vice",
    "user_code": "BCDF-GHJK",
    "verification_uri": f"{ISSUER}/device/",
    "verification_uri_complete": f"{ISSUER}/device/?user_code=BCDF-GHJK",
    "expires_in": 30,
}
PENDING = answer({"error": "authorization_pending"}, 400)


def client(**told) -> OAuth2:
    given = {"token_url": TOKEN} if "issuer" not in told else {}
    if told.get("grant", "client_credentials") == "client_credentials":
        given |= {"client_secret": "s3cret"}
    return OAuth2("c1", **{"cache": None, **given, **told})


def device(prompt: Callable[[DeviceCode], object] | None = lambda _: None, **told) -> OAuth2:
    return client(grant="device", device_url=f"{ISSUER}/oauth/device", prompt=prompt, **told)


def form(step: Any) -> dict[str, str]:
    method, _, headers, body = asked(step)
    assert (method, headers["Content-Type"]) == ("POST", "application/x-www-form-urlencoded")
    assert body is not None
    return dict(parse_qsl(body.decode(), strict_parsing=True))


def token(refresh: str | None = None, scope: str = "") -> Token:
    facts = {"scope": scope}
    return Token.arrived("t0ken", now=0, lasts=600, chance=0, refresh=refresh, facts=facts)


# --- client credentials, and how a client proves itself


def test_a_client_proves_itself_by_basic_with_both_parts_form_encoded():
    made = OAuth2("c:1 ä", "s%c+ret", token_url=TOKEN, scope=["a", "b"], cache=None,
                  audience="https://api.example", resource=["https://one.example"])  # fmt: skip
    steps, issued = taken(made.exchange(None), [answer(GIVEN | {"scope": "a"})])
    _, url, headers, _ = asked(steps[0])
    wanted = base64.b64encode(b"c%3A1+%C3%A4:s%25c%2Bret").decode()
    assert (url, headers["Authorization"]) == (TOKEN, f"Basic {wanted}")
    assert form(steps[0]) == {
        "grant_type": "client_credentials",
        "scope": "a b",
        "resource": "https://one.example",
        "audience": "https://api.example",
    }
    assert (issued.value, issued.lasts, issued.refresh) == ("t0ken", 600.0, None)
    assert issued.facts == {"scope": "a"}


def test_a_client_proves_itself_in_the_body_where_that_is_said():
    for made in (
        client(auth="post"),
        client(issuer=ISSUER),
    ):
        said = METADATA | {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        answers = [answer(GIVEN)] if made.url == TOKEN else [answer(said), answer(GIVEN)]
        step = taken(made.exchange(None), answers).steps[-1]
        assert "Authorization" not in asked(step)[2]
        assert form(step)["client_id"] == "c1"
        assert form(step)["client_secret"] == "s3cret"


def test_a_client_without_a_secret_says_only_who_it_is():
    made = client(grant="refresh", refresh_token="r1")
    step = taken(made.exchange(None), [answer(GIVEN)]).steps[0]
    assert "Authorization" not in asked(step)[2]
    assert form(step) == {"grant_type": "refresh_token", "refresh_token": "r1", "client_id": "c1"}


@pytest.mark.parametrize(
    "told",
    [
        {"client_secret": None},
        {"grant": "password"},
        {"auth": "jwt"},
        {"auth": "none"},
        {"grant": "device", "auth": "basic"},
        {"grant": "refresh"},
        {"grant": "device"},
        {"refresh_token": "r"},
        {"issuer": ISSUER, "token_url": TOKEN},
        {"issuer": ISSUER, "device_url": TOKEN},
        {"issuer": f"{ISSUER}?a=b"},
        {"issuer": "login.example"},
        {"token_url": None},
        {"origins": ["api.example"]},
    ],
)
def test_settings_that_can_not_be_are_refused(told):
    with pytest.raises(CredentialInvalid):
        client(**told)


@pytest.mark.parametrize(
    "told",
    [
        {"token_url": "http://login.example/token"},
        {"issuer": "http://login.example"},
        {"origins": ["http://api.example"]},
    ],
)
def test_everything_goes_over_tls(told):
    with pytest.raises(InsecureTransport):
        client(**told)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 100_000, b'"x"', b"\xff"])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_answer_that_is_none_of_oauth2_is_typed(body, status):
    with pytest.raises(Unreachable if status == 200 else Refused):
        taken(client().exchange(None), [answer(body, status)])


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("invalid_client", 401, AuthenticationFailed),
        ("invalid_client", 400, AuthenticationFailed),
        ("invalid_grant", 400, SignInEnded),
        ("unauthorized_client", 400, PermissionDenied),
        ("invalid_scope", 400, PermissionDenied),
        ("invalid_target", 400, PermissionDenied),
        ("invalid_request", 400, Refused),
        ("server_error", 500, Refused),
        (7, 400, Refused),
    ],
)
def test_a_refusal_is_typed_and_shows_no_secret(code, status, error):
    told = {"error": code, "error_description": "not s3cret"}
    with pytest.raises(error) as caught:
        taken(client().exchange(None), [answer(told, status)])
    assert (type(caught.value), caught.value.status) == (error, status)
    assert "s3cret" not in f"{caught.value}{caught.value!r}"
    assert caught.value.code == (code if isinstance(code, str) else None)


def test_an_issuer_is_asked_where_its_endpoints_are_and_never_told_a_secret():
    steps = taken(client(issuer=ISSUER).exchange(None), [answer(METADATA), answer(GIVEN)]).steps
    place = f"{ISSUER}/.well-known/oauth-authorization-server"
    assert [asked(one)[1] for one in steps] == [place, TOKEN]
    assert "s3cret" not in str(asked(steps[0]))


# --- refresh


def test_the_newest_refresh_token_is_used_and_the_old_one_kept_where_none_comes():
    made = client(grant="refresh", refresh_token="r1")
    first = taken(made.exchange(None), [answer(GIVEN | {"refresh_token": "r2"})])
    assert (form(first.steps[0])["refresh_token"], first.result.refresh) == ("r1", "r2")
    second = taken(made.exchange(token("r2")), [answer(GIVEN)])
    # None: what keeps it keeps the one before.
    assert (form(second.steps[0])["refresh_token"], second.result.refresh) == ("r2", None)


def test_a_refresh_token_that_ended_is_said_to_be_the_end_of_the_sign_in_and_not_shown():
    told = answer({"error": "invalid_grant", "error_description": "r1xyz and r2xyz"}, 400)
    with pytest.raises(SignInEnded, match="sign in again") as caught:
        taken(client(grant="refresh", refresh_token="r1xyz").exchange(token("r2xyz")), [told])
    assert "r1xyz" not in str(caught.value)
    assert "r2xyz" not in str(caught.value)


# --- device codes


def test_a_person_is_shown_a_code_and_waited_for_no_faster_than_is_allowed():
    shown: list[DeviceCode] = []
    slower = answer({"error": "slow_down"}, 400)
    said = [answer(BEGUN), None, PENDING, None, slower, None, Unreachable("gone"), None]
    given = answer(GIVEN | {"refresh_token": "r1"})
    made = device(shown.append, scope="a", audience="x")
    steps, issued = taken(made.exchange(None), [*said, given])
    link = f"{ISSUER}/device/?user_code=BCDF-GHJK"
    assert shown == [DeviceCode("BCDF-GHJK", f"{ISSUER}/device/", link, 30.0)]
    assert form(steps[0]) == {"scope": "a", "audience": "x", "client_id": "c1"}
    pauses = [step.seconds for step in steps if isinstance(step, Pause)]
    assert pauses == [5.0, 5.0, 10.0, 20.0]
    assert form(steps[-1]) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "d3vice",
        "client_id": "c1",
    }
    assert issued.refresh == "r1"
    # What was allowed may be less than was asked for, which would be refused now.
    again = form(taken(made.exchange(token("r1")), [answer(GIVEN)]).steps[0])
    assert again == {
        "grant_type": "refresh_token",
        "refresh_token": "r1",
        "client_id": "c1",
        "audience": "x",
    }


def test_a_server_that_is_away_is_asked_ever_more_seldom():
    gone = [None, Unreachable("gone"), None, answer(b"<html>", 502)] * 3
    said = [answer(BEGUN | {"expires_in": 300}), *gone, None, answer({}, 429), None]
    steps = taken(device().exchange(None), [*said, answer(GIVEN)]).steps
    pauses = [step.seconds for step in steps if isinstance(step, Pause)]
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 65.0]


@pytest.mark.parametrize(
    ("code", "error"),
    [("access_denied", PermissionDenied), ("expired_token", SignInEnded), ("x", Refused)],
)
def test_a_persons_no_and_their_silence_are_typed(code, error):
    told = {"error": code, "error_description": "of d3vice"}
    with pytest.raises(error) as caught:
        taken(device().exchange(None), [answer(BEGUN), None, answer(told, 400)])
    assert type(caught.value) is error
    assert "d3vice" not in str(caught.value)


def test_a_code_is_not_asked_for_after_its_time():
    def ever() -> Generator[Any]:
        yield answer(BEGUN | {"interval": 7})
        while True:
            yield None
            yield PENDING

    with pytest.raises(SignInEnded, match="in time"):
        taken(device().exchange(None), ever())


def test_what_a_terminal_should_not_get_is_not_shown():
    shown: list[DeviceCode] = []
    with pytest.raises(Unreachable):
        taken(device(shown.append).exchange(None), [answer(BEGUN | {"user_code": "\x1b[2J"})])
    assert shown == []


def test_nobody_to_ask_is_said_before_anybody_is_asked():
    with pytest.raises(CredentialMissing, match="prompt="):
        taken(device(None).exchange(None))
    bare = {name: METADATA[name] for name in ("issuer", "token_endpoint")}
    made = client(grant="device", issuer=ISSUER, prompt=print)
    with pytest.raises(CredentialMissing, match="device codes"):
        taken(made.exchange(None), [answer(bare)])


def test_a_sign_in_that_ended_is_asked_for_anew_where_there_is_somebody_to_ask():
    ended = answer({"error": "invalid_grant"}, 400)
    shown: list[DeviceCode] = []
    said = [ended, answer(BEGUN), None, answer(GIVEN)]
    assert taken(device(shown.append).exchange(token("r1")), said).result.value == "t0ken"
    assert len(shown) == 1
    with pytest.raises(SignInEnded):
        taken(device(None).exchange(token("r1")), [ended])


# --- where the token goes, and whose it is


def test_the_token_goes_to_the_origins_that_were_named_and_nowhere_else():
    made = client(origins=["https://api.example/v1"])
    steps = taken(made.flow(Target.of("https://api.example/x")), [token()]).steps
    assert steps[0] == Obtain()
    assert dict(steps[1].headers) == {"Authorization": "Bearer t0ken"}
    for other in ("https://api.example:8443/", "https://evil.example/", TOKEN):
        with pytest.raises(WrongHost):
            made.flow(Target.of(other))
    with pytest.raises(WrongHost, match="origins"):
        client().flow(Target.of("https://api.example/x"))


def test_a_client_and_its_server_come_from_one_source():
    told = {"OAUTH2_CLIENT_ID": "c1", "OAUTH2_CLIENT_SECRET": "s3cret", "OAUTH2_ISSUER": ISSUER,
            "OAUTH2_API_URL": "https://api.example/v1"}  # fmt: skip
    made = OAuth2(sources=(Environment(told),), cache=None)
    assert (made.client_id, made.url) == ("c1", "https://api.example/v1")
    assert next(made.flow(Target.of("https://api.example/x"))) == Obtain()
    assert asked(taken(made.exchange(None), [answer(METADATA), answer(GIVEN)]).steps[1])[1] == TOKEN
    other = OAuth2(token_url="https://other.example/t", sources=(Environment(told),), cache=None)
    steps = taken(other.exchange(None), [answer(GIVEN)]).steps
    assert asked(steps[0])[1] == "https://other.example/t"
    with pytest.raises(CredentialInvalid, match="issuer, or token_url"):
        OAuth2("c1", "s3cret", sources=(Environment(told),))
    with pytest.raises(CredentialInvalid, match="client_id beside"):
        OAuth2(client_secret="s3cret", token_url=TOKEN)
    with pytest.raises(CredentialMissing, match="OAUTH2_CLIENT_ID"):
        OAuth2(token_url=TOKEN, sources=(Environment({}),))


def test_nothing_shows_a_secret():
    made = OAuth2("c1", Secret("s3cret"), token_url=TOKEN, grant="refresh", refresh_token="r1xyz")
    issued = taken(made.exchange(None), [answer(GIVEN)]).result
    shown = f"{made!r}{made.slot}{made.secrets}{issued!r}"
    for one in ("s3cret", "r1xyz", "t0ken"):
        assert one not in shown


def test_the_identity_is_the_persons_where_the_server_tells_it():
    made = client(grant="refresh", refresh_token="r", issuer=ISSUER)
    said = [token(scope="openid a"), answer(METADATA), answer({"sub": "u-1"})]
    steps, identity = taken(made.identify(), said)
    assert asked(steps[-1])[1:3] == (
        METADATA["userinfo_endpoint"],
        {"Authorization": "Bearer t0ken"},
    )
    assert (identity.principal, identity.rights) == ("u-1", ("openid", "a"))
    identity = taken(client().identify(), [token()]).result
    assert (identity.principal, identity.rights, identity.ends_at) == ("c1", None, 600.0)
    refused = [token(scope="openid"), answer(METADATA), answer({}, 401)]
    with pytest.raises(AuthenticationFailed):
        taken(made.identify(), refused)


def test_a_sign_in_is_ended_at_the_server():
    made = client(grant="refresh", refresh_token="r1xyz", issuer=ISSUER)
    said = answer(METADATA | {"revocation_endpoint": f"{ISSUER}/revoke"})
    step = taken(made.revoke("r1xyz"), [said, answer()]).steps[1]
    assert asked(step)[1] == f"{ISSUER}/revoke"
    assert form(step) == {"token": "r1xyz", "client_id": "c1"}
    with pytest.raises(Refused):
        taken(made.revoke("r1xyz"), [said, answer({"error": "server_error"}, 503)])
    with pytest.raises(CredentialInvalid, match="no place to revoke"):
        taken(made.revoke("r1xyz"), [answer(METADATA)])


@pytest.mark.enable_socket
def test_a_rotated_refresh_token_is_found_again_by_the_next_process(tmp_path):
    seen: list[str] = []

    def say(one: Asked) -> Said:
        if one.path != "/token":
            return Said()
        seen.append(dict(parse_qsl(one.body.decode()))["refresh_token"])
        told = {"access_token": f"t{len(seen)}", "token_type": "Bearer"}
        told |= {"refresh_token": f"r{len(seen)}"}
        return Said(body=json.dumps(told).encode())

    with Stage(say) as stage:

        def process() -> OAuth2:
            made = OAuth2("c", token_url=f"{stage.url}/token", grant="refresh", refresh_token="r0",
                          cache=TokenCache(tmp_path / "tokens"), origins=[stage.url])  # fmt: skip
            Opener(made).open(f"{stage.url}/a").close()
            return made

        process()
        made = process()
        assert seen == ["r0"]
        refused = taken(made.flow(Target.of(f"{stage.url}/a")), [token()]).steps
        assert len(refused) == 2
        Opener(made).run(hurried(made.exchange(token("r1"))))
        assert seen == ["r0", "r1"]


# --- against Latchgate


def hurried(
    flow: Generator[Any, Any, Any], paused: Callable[[float], object] = lambda _: None
) -> Generator[Any, Any, Any]:
    """Carry a flow out without its pauses, of which `paused` is told."""
    told: Any = None
    while True:
        try:
            step = flow.send(told)
        except StopIteration as ended:
            return ended.value
        told = paused(step.seconds) if isinstance(step, Pause) else (yield step)


def allowed(server: Server, person: Person, shown: DeviceCode) -> None:
    """Allow what a program asks for, as the person in a browser who was given the link."""
    visitor = Visitor(server)
    visitor.sign_in(person)
    visitor.see(shown.link.removeprefix(visitor.origin))
    visitor.page = visitor.send("/device", {"user_code": shown.user_code}).body.decode()
    assert visitor.send("/device/answer", carried(visitor) | {"decision": "allow"}).status == 200


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_program_calls_the_api_by_client_credentials(server, world):
    acts_as = world.somebody("own:account.read", tenant_id=world.owner.tenant_id)
    made = authority.client(
        world, scopes=["own:account.read"], tenant_id=acts_as.tenant_id, acts_as=acts_as
    )
    api, issuer = server.addresses["api"], server.addresses["console"]
    told = {"issuer": issuer, "origins": [api], "cache": None}
    for auth in ("basic", "post"):
        cloud = OAuth2(made.id, made.secret, scope="own:account.read", auth=auth, **told)
        with Opener(cloud).open(f"{api}/manage/v1/account") as answered:
            assert json.load(answered)["user"]["id"] == acts_as.user_id
        assert Opener(cloud).run(cloud.identify()).rights == ("own:account.read",)
    for wrong, error in (
        (OAuth2(made.id, "wrong", **told), AuthenticationFailed),
        (OAuth2("nobody", made.secret, **told), AuthenticationFailed),
        (OAuth2(made.id, made.secret, scope="operator:x", **told), PermissionDenied),
    ):
        with pytest.raises(error) as caught:
            Opener(wrong).open(f"{api}/manage/v1/account")
        assert isinstance(caught.value, ClientError)


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_person_allows_a_program_until_that_is_withdrawn(server, world):
    person = people.person(world, "own:account.read", "own:consents.read")
    made = authority.client(
        world, public=True, scopes=["openid", "offline_access", "own:account.read"]
    )
    api, issuer = server.addresses["api"], server.addresses["console"]
    scope = "openid offline_access own:account.read"
    begin = OAuth2(made.id, issuer=issuer, grant="device", scope=scope, cache=None,
                   prompt=lambda shown: allowed(server, person, shown))  # fmt: skip
    issued = Opener(begin).run(hurried(begin.exchange(None)))
    assert issued.refresh
    goes_on = OAuth2(made.id, issuer=issuer, grant="refresh", refresh_token=issued.refresh,
                     scope=scope, origins=[api], cache=None)  # fmt: skip
    opener = Opener(goes_on)
    with opener.open(f"{api}/manage/v1/account") as answered:
        assert json.load(answered)["user"]["id"] == person.id
    assert opener.run(goes_on.identify()).principal == person.id
    first = opener.run(hurried(goes_on.exchange(token(issued.refresh))))
    assert first.refresh not in {None, issued.refresh}
    opener.run(hurried(goes_on.revoke(first.refresh)))
    with pytest.raises(SignInEnded):
        opener.run(hurried(goes_on.exchange(token(first.refresh))))


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_whoever_asks_too_fast_slows_down_and_is_answered_all_the_same(server, world):
    person = people.person(world, "own:account.read")
    made = authority.client(world, public=True)
    codes: list[DeviceCode] = []
    cloud = OAuth2(made.id, issuer=server.addresses["console"], grant="device", scope="openid",
                   prompt=codes.append, cache=None)  # fmt: skip
    pauses: list[float] = []

    def paused(seconds: float) -> None:
        pauses.append(seconds)  # and it is not: so each question but the first comes too soon
        if len(pauses) == 4:
            allowed(server, person, codes[0])

    assert Opener(cloud).run(hurried(cloud.exchange(None), paused)).value
    assert pauses == [5.0, 5.0, 10.0, 15.0]


EXAMPLES = Path(__file__).parents[3] / "examples" / "clouds" / "library"


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_the_examples_are_what_a_program_and_a_person_do(
    server, world, tmp_path, monkeypatch, capsys
):
    acts_as = world.somebody("own:account.read", tenant_id=world.owner.tenant_id)
    scopes = ["openid", "offline_access", "own:account.read"]
    secret = authority.client(world, scopes=scopes, tenant_id=acts_as.tenant_id, acts_as=acts_as)
    public = authority.client(world, scopes=scopes, public=True)
    person = people.person(world, "own:account.read")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("OAUTH2_ISSUER", server.addresses["console"])
    monkeypatch.setenv("OAUTH2_API_URL", server.addresses["api"])
    monkeypatch.setenv("OAUTH2_CLIENT_ID", secret.id)
    monkeypatch.setenv("OAUTH2_CLIENT_SECRET", secret.secret)
    runpy.run_path(str(EXAMPLES / "oauth2_program.py"))
    assert capsys.readouterr().out == f"{acts_as.user_id}\n"

    monkeypatch.setenv("OAUTH2_CLIENT_ID", public.id)
    monkeypatch.delenv("OAUTH2_CLIENT_SECRET")
    said: list[str] = []

    def sleep(_seconds: float) -> None:
        """In the place of the wait the person does what is printed."""
        said.append(capsys.readouterr().out)
        link, code = re.findall(r"Open (\S+) and allow (\S+) ", said[-1])[0]
        allowed(server, person, DeviceCode(code, link, link, 1.0))

    monkeypatch.setattr("latchgate.client.shell.time.sleep", sleep)
    for _ in range(2):  # the second time nobody is asked
        runpy.run_path(str(EXAMPLES / "oauth2_person.py"))
        assert capsys.readouterr().out == f"{person.id}\n"
    assert len(said) == 1
