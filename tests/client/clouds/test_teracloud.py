"""TeraCLOUD: which path gets which credential, where, and what the account API is believed."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request as Outgoing

import pytest
from tests.client.stage import Said, Stage
from tests.client.steps import answer, asked, taken
from tests.e2e.stack import DavGateway
from tests.oauth import authority as clients

from latchgate.client import (
    AuthenticationFailed,
    CredentialInvalid,
    CredentialMissing,
    InsecureTransport,
    NotReady,
    OAuth2,
    PermissionDenied,
    Refused,
    TeraCloud,
    Unreachable,
    WrongHost,
)
from latchgate.client.adapters.urllib import Opener, check
from latchgate.client.clouds.teracloud import Account
from latchgate.client.flow import Obtain
from latchgate.client.message import Target
from latchgate.client.sources.environment import Environment
from latchgate.client.token import Token

KEY = "FEF5078EA41D182EEF89A21E034BD680"  # printed in the provider's own documents
NODE = "https://uno.teracloud.jp"
BASIC = "Basic " + base64.b64encode("jörg:päss:wort".encode()).decode()
ACCOUNT = {
    "result": 0,
    "user": "jörg",
    "node": "uno.teracloud.jp",
    "webdav_url": "https://uno.teracloud.jp/dav/",
    "capacity": 20,
}
CHALLENGE = {"www_authenticate": 'Bearer realm="x", Basic realm="TeraCLOUD", charset="UTF-8"'}


def cloud(**told) -> TeraCloud:
    return TeraCloud("jörg", "päss:wort", **{"api_key": KEY, **told})


def sent(cloud: TeraCloud, url: str, *answers) -> list[tuple[dict[str, str], str | None]]:
    steps = taken(cloud.flow(Target.of(url)), answers).steps
    return [(dict(step.headers), step.path) for step in steps]


@pytest.mark.parametrize(
    "path", ["/dav/", "/dav", "/dav/a;api_key=b", "/backup/x/y", "/backup", "/dav//v2/api/"]
)
def test_files_get_basic_alone(path):
    assert sent(cloud(), NODE + path) == [({"Authorization": BASIC}, None)]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/api/ba/user",
        "/v2/api/dataset/(capacity)",
        "/ba/user/",
        "/ba",
        "/v2/api/dataset/(property);properties=quota,used;recursive=false",
    ],
)
def test_the_rest_api_gets_basic_and_the_key_in_the_header_or_the_path(path):
    both = {"Authorization": BASIC, "X-TeraCLOUD-API-KEY": KEY}
    assert sent(cloud(), NODE + path + "?a=b") == [(both, None)]
    put = [({"Authorization": BASIC}, f"{path};api_key={KEY}")]
    assert sent(cloud(via="matrix"), NODE + path + "?a=b") == put


@pytest.mark.parametrize(
    "path", ["/", "/v2/", "/davs/x", "/DAV/", "/%64av/", "/v2/apis", "/x/dav/", "/dav/../v2/dav/",
             "/v2/api/..", "/v2/api/%2e%2E/dav/x", "/v2/api/.;a=b/../x"],
)  # fmt: skip
def test_other_paths_and_those_that_may_end_elsewhere_get_nothing(path):
    assert sent(cloud(), NODE + path) == [({}, None)]


@pytest.mark.parametrize(
    "path", ["/ba/user;api_key=A", "/v2/api/x%3bapi_key=A", "/ba/x;a=b;api_key"]
)
@pytest.mark.parametrize("via", ["header", "matrix"])
def test_a_path_that_holds_a_key_already_is_refused(path, via):
    with pytest.raises(CredentialInvalid, match="api_key already"):
        sent(cloud(via=via), NODE + path)


def test_without_a_key_files_are_served_and_the_rest_api_is_not_asked():
    made = TeraCloud("u", "p")
    assert len(sent(made, f"{NODE}/dav/")) == 1
    with pytest.raises(CredentialMissing, match="give api_key"):
        sent(made, f"{NODE}/v2/api/ba/user")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (KEY.lower(), "upper case"),
        (KEY[:-1], "31 characters"),
        (KEY + " ", "33 characters"),
        (KEY[:-1] + "G", "other characters"),
        ("", "0 characters"),
    ],
)
def test_a_key_that_can_not_be_one_is_refused_without_being_shown(key, says):
    with pytest.raises(CredentialInvalid, match=says) as caught:
        cloud(api_key=key)
    assert KEY[:8].lower() not in str(caught.value).lower()


@pytest.mark.parametrize(
    "told",
    [{"via": "query"}, {"url": "https://gate.example/tera"}, {"oauth2": TeraCloud("u", "p")}],
)
def test_settings_that_can_not_be_are_refused(told):
    with pytest.raises(CredentialInvalid):
        cloud(**told)


def test_half_a_credential_is_refused():
    for user, password in (("u", None), (None, "p")):
        with pytest.raises(CredentialInvalid, match="both user and password"):
            TeraCloud(user, password)
    with pytest.raises(CredentialInvalid, match="no colon"):
        TeraCloud("a:b", "p")


def test_nothing_shows_a_secret():
    assert "päss" not in f"{cloud()!r}{cloud()}{cloud().secrets}"
    assert KEY not in f"{cloud()!r}{vars(cloud())['_key']}"


def test_the_programs_key_goes_with_a_user_from_the_environment():
    told = {"TERACLOUD_USER": "u", "TERACLOUD_PASSWORD": "p", "TERACLOUD_API_KEY": "0" * 32}
    both = TeraCloud(sources=(Environment(told),))
    assert sent(both, f"{NODE}/ba/user")[0][0]["X-TeraCLOUD-API-KEY"] == "0" * 32
    own = TeraCloud(api_key=KEY, sources=(Environment(told),))
    assert sent(own, f"{NODE}/ba/user")[0][0]["X-TeraCLOUD-API-KEY"] == KEY
    assert "TERACLOUD_USER" in own.source
    with pytest.raises(CredentialMissing, match="TERACLOUD_USER"):
        TeraCloud(api_key=KEY, sources=(Environment({"TERACLOUD_USER": "u"}),))


# --- where


@pytest.mark.parametrize(
    "url",
    [
        "https://api.teracloud.jp/ba/user/",
        "https://api.infini-cloud.net/v2/api/ba/user",
        "https://aki.teracloud.jp/dav/",
        "https://AKI.infini-cloud.net/dav/",
    ],
)
@pytest.mark.parametrize("api", [None, "https://api.infini-cloud.net"])
def test_the_clouds_servers_are_its_own_under_both_names(url, api):
    assert len(sent(cloud(url=api), url)) == 1


@pytest.mark.parametrize(
    "host",
    [
        "teracloud.jp",
        "a.b.teracloud.jp",
        ".teracloud.jp",
        "evilteracloud.jp",
        "aki.teracloud.jp.evil.example",
        "aki.teracloud.jp.",
        "aki.teracloud.jp:8443",
        "aki.teracloud.jp@evil.example",
        "infini-cloud.net",
    ],
)
def test_another_host_gets_nothing_and_a_redirect_there_goes_without(host):
    target = Target.of(f"https://{host}/dav/")
    with pytest.raises(WrongHost, match="nothing was sent"):
        cloud().flow(target)
    assert taken(cloud().flow(target, redirected=True)).steps[0].headers == ()


def test_the_clouds_own_host_without_tls_gets_nothing():
    with pytest.raises(InsecureTransport):
        cloud().flow(Target.of("http://aki.teracloud.jp/dav/"), redirected=True)


@pytest.mark.parametrize("added", [f";api_key={KEY}", f"%3bapi_key={KEY}"])
def test_a_redirect_that_repeats_the_key_is_followed_within_the_cloud_alone(added):
    own = Target.of(f"{NODE}/ba/user/{added};a=b")
    (step,) = taken(cloud(via="matrix").flow(own, redirected=True)).steps
    assert step.path == f"/ba/user/;a=b;api_key={KEY}"
    with pytest.raises(WrongHost) as caught:
        cloud(via="matrix").flow(Target.of(f"https://evil.example/x{added}"), redirected=True)
    assert KEY not in str(caught.value)


def test_another_server_is_the_only_one_beside_the_origins_that_were_named():
    own = cloud(url="https://api.cloud.example", origins=["https://n1.cloud.example:8443/dav/"])
    assert len(sent(own, "https://api.cloud.example/ba/user")) == 1
    assert len(sent(own, "https://n1.cloud.example:8443/dav/")) == 1
    for other in (NODE, "https://n1.cloud.example", "https://api.teracloud.jp"):
        with pytest.raises(WrongHost):
            own.flow(Target.of(f"{other}/dav/"))


# --- after a challenge


def test_basic_waits_for_a_challenge_where_that_is_wished():
    made = cloud(preemptive=False)
    first, second = sent(made, f"{NODE}/dav/", answer(status=401, **CHALLENGE))
    assert (first, second) == (({}, None), ({"Authorization": BASIC}, None))
    key = {"X-TeraCLOUD-API-KEY": KEY}
    rest = sent(made, f"{NODE}/ba/user", answer(status=401, **CHALLENGE), answer(status=401))
    assert rest == [(key, None), (key | {"Authorization": BASIC}, None)]


@pytest.mark.parametrize(
    "told",
    [
        answer(status=200),
        answer(status=401),
        answer(status=403, **CHALLENGE),
        answer(status=401, www_authenticate='Digest realm="a, Basic b", nonce="\\", Basic "'),
        answer(status=401, www_authenticate="Basically x"),
        None,
    ],
)
def test_what_asks_for_no_basic_gets_none(told):
    assert sent(cloud(preemptive=False), f"{NODE}/dav/", told) == [({}, None)]


# --- OAuth2


def test_v2_dav_takes_the_token_of_the_oauth2_object_and_nothing_else():
    oauth2 = OAuth2("c", "s3cret", token_url="https://login.example/token", cache=None)
    flow = cloud(oauth2=oauth2).flow(Target.of(f"{NODE}/v2/dav/x"))
    assert next(flow) == Obtain(of=oauth2)
    with pytest.raises(CredentialMissing, match="give oauth2"):
        sent(cloud(), f"{NODE}/v2/dav/")
    alone = TeraCloud(oauth2=oauth2)
    assert alone.secrets == oauth2.secrets
    with pytest.raises(CredentialMissing, match="give user and password"):
        sent(alone, f"{NODE}/dav/")


@pytest.mark.enable_socket
def test_a_token_is_fetched_once_for_v2_dav_and_again_when_it_is_refused():
    given = iter(["one", "two"])
    token = b'{"access_token":"%s","token_type":"Bearer","expires_in":600}'

    def say(asked) -> Said:
        if asked.path == "/token":
            return Said(body=token % next(given).encode())
        return Said(401 if asked.header("Authorization") == "Bearer one" else 207)

    with Stage(say) as stage:
        oauth2 = OAuth2("c", "s", token_url=f"{stage.url}/token", cache=None)
        opener = Opener(TeraCloud(oauth2=oauth2, url=stage.url))
        for _ in range(2):
            with opener.open(f"{stage.url}/v2/dav/") as told:
                assert told.status == 207
        assert [one.path for one in stage.asked].count("/token") == 2
        assert len(stage.asked) == 5


# --- the account


def told_by(made: TeraCloud, told: object, status: int = 200) -> Account:
    result = taken(made.account(), [answer(told, status)]).result
    assert isinstance(result, Account)
    return result


def test_the_account_api_tells_the_users_node():
    steps, account = taken(cloud().account(), [answer(ACCOUNT)])
    method, url, headers, body = asked(steps[0])
    assert (method, url, body) == ("GET", "https://api.teracloud.jp/v2/api/ba/user", None)
    assert headers["Authorization"] == BASIC
    assert headers["X-TeraCLOUD-API-KEY"] == KEY
    assert (account.user, account.node, account.capacity) == ("jörg", "uno.teracloud.jp", 20)
    assert account.at("/dav/ä b") == "https://uno.teracloud.jp/dav/ä b"
    assert account.at("") == "https://uno.teracloud.jp"
    with pytest.raises(CredentialInvalid):
        account.at("@evil.example/dav/")


def test_the_account_is_asked_by_matrix_and_after_a_challenge_too():
    made = cloud(via="matrix", preemptive=False, url="https://api.infini-cloud.net")
    answers = [answer(status=401, **CHALLENGE), answer(ACCOUNT)]
    first, second = taken(made.account(), answers).steps
    url = f"https://api.infini-cloud.net/v2/api/ba/user;api_key={KEY}"
    assert (asked(first)[1], asked(second)[1]) == (url, url)
    assert "Authorization" not in asked(first)[2]
    assert asked(second)[2]["Authorization"] == BASIC


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"node": "uno.teracloud.jp.evil.example"}, WrongHost),
        ({"node": "evil.example"}, WrongHost),
        ({"node": "127.0.0.1"}, WrongHost),
        ({"webdav_url": "https://evil.example/dav/"}, WrongHost),
        ({"webdav_url": "https://uno.teracloud.jp@evil.example/"}, WrongHost),
        ({"webdav_url": "http://uno.teracloud.jp/dav/"}, InsecureTransport),
        ({"webdav_url": "/dav/"}, Unreachable),
        ({"node": "uno.teracloud.jp@evil.example"}, Unreachable),
        ({"node": "evil.example/.teracloud.jp"}, Unreachable),
        ({"node": "uno.teracloud.jp:99999"}, Unreachable),
        ({"node": 5}, Unreachable),
        ({"capacity": "20"}, Unreachable),
        ({"result": None}, Unreachable),
        ({"result": False}, Unreachable),
        ({"result": 7, "message": f"no, {KEY}"}, Refused),
    ],
)
def test_an_answer_moves_the_password_nowhere(changed, error):
    with pytest.raises(error) as caught:
        told_by(cloud(), ACCOUNT | changed)
    assert type(caught.value) is error
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 100_000, b"null", b"\xff"])
def test_an_answer_that_is_none_is_said_to_be_none(body):
    with pytest.raises(Unreachable):
        told_by(cloud(), body)


@pytest.mark.parametrize(
    ("status", "error"),
    [(202, NotReady), (401, AuthenticationFailed), (403, PermissionDenied), (404, Refused)],
)
def test_a_refusal_is_typed(status, error):
    with pytest.raises(error) as caught:
        told_by(cloud(), {"result": status, "message": "why"}, status)
    assert (type(caught.value), caught.value.status) == (error, status)


def test_the_identity_is_the_accounts():
    identity = taken(cloud().identify(), [answer(ACCOUNT)]).result
    assert (identity.cloud, identity.principal, identity.rights) == ("TeraCLOUD", "jörg", None)
    assert identity.told["node"] == "uno.teracloud.jp"


def test_with_oauth2_alone_the_identity_is_the_tokens():
    oauth2 = OAuth2("c", "s", token_url="https://login.example/token", cache=None)
    one = Token.arrived("t", now=0, lasts=600, chance=0, facts={"scope": "dav:read"})
    steps, identity = taken(TeraCloud(oauth2=oauth2).identify(), [one])
    assert steps == [Obtain(of=oauth2)]
    assert (identity.cloud, identity.principal, identity.rights) == (
        "TeraCLOUD",
        "c",
        ("dav:read",),
    )


# --- against Latchgate as TeraCLOUD


class User(NamedTuple):
    """Who has files there."""

    login: str
    password: str


@pytest.fixture(scope="module")
def user(server) -> User:
    """A user's login name and app password, with a program's key for their tenant."""
    made = server.cli("basic", "enable", "--login", "Jörg", "--json").json
    tenant = server.call("GET", "/manage/v1/account").json["tenant_id"]
    assert server.cli("app", "test-key", KEY, "--tenant", tenant).code == 0
    return User("jörg", made["password"])


@pytest.fixture(scope="module")
def node(server, authority, user, tmp_path_factory):
    """nginx's WebDAV behind Latchgate: the user's node."""
    verify = server.addresses["verify"].removeprefix("http://").split(":")
    with DavGateway(
        tmp_path_factory.mktemp("gateway"),
        verify=(verify[0], int(verify[1])),
        rest=(verify[0], 9),
        pair=authority.issue("server"),
    ) as gateway:
        gateway.start()
        yield gateway


def storage(server, **told) -> None:
    me = server.call("GET", "/manage/v1/account").json["user"]["id"]
    path = f"/manage/v1/users/{me}/storage"
    version = server.call("GET", path).headers["etag"]
    done = server.call(
        "PATCH",
        path,
        told,
        headers={"If-Match": version, "Content-Type": "application/merge-patch+json"},
    )
    assert done.status == 200, done.body


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize("told", [{}, {"via": "matrix"}, {"preemptive": False}])
def test_a_user_finds_their_node_and_their_files(server, node, authority, user, told):
    host = node.secure.removeprefix("https://")
    storage(server, node=host, quota=20 * 2**30)
    api = server.addresses["api"]
    made = TeraCloud(user.login, user.password, KEY, url=api, origins=[node.secure], **told)
    opener = Opener(made, tls=authority.client())
    account = opener.run(made.account())
    assert (account.user, account.node, account.capacity) == ("jörg", host, 20)
    assert opener.run(made.identify()).principal == "jörg"
    with opener.open(f"{api}/v2/api/ba/dataset/(property);properties=quota") as answered:
        assert b'"quota":21474836480' in answered.read()
    put = Outgoing(account.at("/dav/a.txt"), b"hello", method="PUT")  # noqa: S310 - https, as asserted
    with opener.open(put) as answered:
        assert answered.status in {201, 204}
    with opener.open(account.webdav_url + "a.txt") as answered:
        assert answered.read() == b"hello"
    assert KEY not in node.access_log


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_node_that_was_not_named_is_not_believed(server, user, node):
    storage(server, node=node.secure.removeprefix("https://"), quota=1)
    made = TeraCloud(user.login, user.password, KEY, url=server.addresses["api"])
    with pytest.raises(WrongHost, match="nothing was sent"):
        Opener(made).run(made.account())


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_what_is_wrong_is_told_as_what_it_is(server, user, node, authority):
    api = server.addresses["api"]
    storage(server, node=None, quota=None)
    for made, error in (
        (TeraCloud(user.login, user.password, KEY, url=api), NotReady),
        (TeraCloud(user.login, "tcap_wrong", KEY, url=api), AuthenticationFailed),
        (TeraCloud(user.login, user.password, "0" * 32, url=api), PermissionDenied),
    ):
        with pytest.raises(error):
            Opener(made).run(made.account())
    wrong = TeraCloud(user.login, "tcap_wrong", url=node.secure)
    opener = Opener(wrong, tls=authority.client())
    with pytest.raises(HTTPError) as caught:
        opener.open(f"{node.secure}/dav/")
    with pytest.raises(AuthenticationFailed):
        check(wrong, caught.value)


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_program_reaches_v2_dav_by_its_token_and_not_by_basic(
    server, world, node, user, authority
):
    acts_as = world.somebody("dav:read", "dav:write", tenant_id=world.owner.tenant_id)
    scopes = ["dav:read", "dav:write"]
    made = clients.client(world, scopes=scopes, tenant_id=acts_as.tenant_id, acts_as=acts_as)
    issuer = server.addresses["console"]
    oauth2 = OAuth2(made.id, made.secret, issuer=issuer, scope=scopes, cache=None)
    opener = Opener(TeraCloud(oauth2=oauth2, url=node.secure), tls=authority.client())
    url = f"{node.secure}/v2/dav/by-token.txt"
    with opener.open(Outgoing(url, b"hello", method="PUT")) as answered:  # noqa: S310 - https
        assert answered.status in {201, 204}
    with opener.open(url) as answered:
        assert answered.read() == b"hello"
    assert opener.run(opener.cloud.identify()).rights == ("dav:read", "dav:write")
    basic = Opener(TeraCloud(user.login, user.password, url=node.secure), tls=authority.client())
    with pytest.raises(CredentialMissing, match="give oauth2"):
        basic.open(url)
