"""Profiles: one source each, whole credentials, the cloud that comes of them."""

from __future__ import annotations

import inspect
import json
import sys

import pytest

from latchgate.client import KakaoCloud, OAuth2, TeraCloud, UpCloud, WaysCloud, profile
from latchgate.client.errors import CredentialInvalid, CredentialMissing, SourceUnreadable
from latchgate.client.profile_kinds import CLOUDS
from latchgate.client.profiles import find, of
from latchgate.client.profiles_file import Entry, put

KEY = "wayscloud_storage_abc123_top-secret"
API_KEY = "0123456789ABCDEF0123456789ABCDEF"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "profiles.toml"


def opened(path, entry: Entry):
    put("p", entry, replacing=True, path=path)
    return profile("p", path=path)


def test_what_a_profile_holds_itself_makes_its_cloud(path):
    cloud = opened(path, Entry("wayscloud", "here", secrets={"key": KEY}))
    assert isinstance(cloud, WaysCloud)
    assert [one.reveal() for one in cloud.secrets] == [KEY]
    assert (cloud.url, cloud.source) == ("https://api.wayscloud.services", "profile p")


def test_address_origins_and_settings_reach_the_cloud(path):
    entry = Entry(
        "teracloud",
        "here",
        url="http://127.0.0.1:1",
        origins=("http://127.0.0.1:2",),
        fields={"user": "me"},
        secrets={"password": "pw", "api_key": API_KEY},
        settings={"via": "matrix"},
    )
    cloud = opened(path, entry)
    assert isinstance(cloud, TeraCloud)
    assert cloud.url == "http://127.0.0.1:1"
    assert cloud.hosts.more == {"http://127.0.0.1:1", "http://127.0.0.1:2"}
    assert cloud._matrix


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_takes_what_its_profiles_may_hold(cloud):
    kind = CLOUDS[cloud]
    wanted = kind.wanted({})
    arguments = set(inspect.signature(type(kind)._module(kind).__dict__[kind.type]).parameters)
    assert arguments >= {*kind.settings, "origins"}
    assert arguments >= ({"cache"} if kind.fetched else {"sources", "url"})
    assert set(kind.public) <= set(wanted.fields)
    assert not set(kind.settings) & set(wanted.fields)


def test_the_environment_alone_is_looked_at_where_a_profile_says_so(path, monkeypatch):
    entry = Entry("kakaocloud", "environment", fields={"access_key_id": "id"})
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", "from-here")
    cloud = opened(path, entry)
    assert isinstance(cloud, KakaoCloud)
    assert cloud.secrets[0].reveal() == "from-here"
    assert cloud.source == "profile p, environment OS_APPLICATION_CREDENTIAL_SECRET"
    monkeypatch.delenv("OS_APPLICATION_CREDENTIAL_SECRET")
    (path.parent / ".env").write_text("OS_APPLICATION_CREDENTIAL_SECRET=not-asked-for\n")
    with pytest.raises(CredentialMissing, match="profile p, environment"):
        profile("p", path=path)


def test_a_dotenv_and_a_clients_file_are_those_that_are_named(path):
    env = path.with_name("other.env")
    env.write_text("UPCLOUD_USERNAME=me\nUPCLOUD_PASSWORD='p w'\n")
    env.chmod(0o600)
    with pytest.warns(DeprecationWarning, match="make an API token"):
        cloud = opened(path, Entry("upcloud", "dotenv", file=str(env)))
    assert isinstance(cloud, UpCloud)
    clouds = path.with_name("mine.yaml")
    auth = {"auth_url": "https://iam.kakaocloud.com/identity/v3"}
    auth |= {"application_credential_id": "id", "application_credential_secret": "from-yaml"}
    one = {"auth_type": "v3applicationcredential", "auth": auth}
    clouds.write_text(json.dumps({"clouds": {"one": one, "two": {}}}))
    clouds.chmod(0o600)
    kakao = opened(path, Entry("kakaocloud", "file", file=str(clouds), entry="one"))
    assert kakao.secrets[0].reveal() == "from-yaml"


def test_a_command_may_print_the_secret_alone_beside_what_the_profile_has(path):
    program = (sys.executable, "-c", "print('from-vault')")
    entry = Entry("kakaocloud", "command", command=program, fields={"access_key_id": "id"})
    assert opened(path, entry).secrets[0].reveal() == "from-vault"
    failing = (sys.executable, "-c", "raise SystemExit(3)")
    with pytest.raises(SourceUnreadable, match="ended with 3"):
        opened(path, Entry("wayscloud", "command", command=failing))


def test_an_address_of_the_source_counts_and_one_of_the_profile_goes_before_it(path, monkeypatch):
    monkeypatch.setenv("WAYSCLOUD_API_KEY", KEY)
    monkeypatch.setenv("WAYSCLOUD_API_URL", "http://127.0.0.1:1")
    assert opened(path, Entry("wayscloud", "environment")).url == "http://127.0.0.1:1"
    own = Entry("wayscloud", "environment", url="http://127.0.0.1:2")
    assert opened(path, own).url == "http://127.0.0.1:2"


def test_a_profile_of_oauth2_sends_its_token_to_its_own_address(path):
    entry = Entry(
        "oauth2",
        "here",
        url="https://api.example.com/v1",
        fields={"client_id": "me"},
        secrets={"client_secret": "sec"},
        settings={"token_url": "https://login.example.com/token", "scope": "a b"},
    )
    cloud = opened(path, entry)
    assert isinstance(cloud, OAuth2)
    assert cloud.hosts.more == {"https://api.example.com"}
    assert find("p", path).address(cloud) == "https://api.example.com/v1"
    assert cloud.source == "profile p"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry("aws", "here"), "no cloud 'aws'; there are wayscloud, upcloud"),
        (Entry("upcloud", "vault"), "from is one of here, keyring"),
        (Entry("upcloud", "command"), "from = command, and no command"),
        (
            Entry("upcloud", "here", fields={"user": "me"}),
            "upcloud has no user; of these it has username",
        ),
        (Entry("wayscloud", "here", settings={"via": "x"}), "it has none of these"),
        (Entry("oauth2", "here", settings={"grant": "password"}), "grant is one of"),
    ],
)
def test_what_a_profile_can_not_be_is_told(entry, said):
    with pytest.raises(CredentialInvalid) as caught:
        of("p", entry)
    assert said in str(caught.value)
    assert "profile p" in str(caught.value)


def test_fields_that_make_no_credential_are_told_with_those_that_do(path):
    entry = Entry("kakaocloud", "here", fields={"access_key_id": "a", "access_key_name": "b"})
    with pytest.raises(
        CredentialInvalid, match=r"access_key_id\+access_key_name make no credential"
    ):
        opened(path, entry)


def test_a_profile_that_is_not_there_is_told_with_those_that_are(path):
    put("one", Entry("wayscloud", "environment"), path=path)
    with pytest.raises(CredentialMissing, match=r"no profile 'two'; there are: one"):
        profile("two", path=path)


def test_nothing_of_a_profile_shows_its_secret(path):
    cloud = opened(path, Entry("wayscloud", "here", secrets={"key": KEY}))
    assert KEY not in repr(find("p", path)) + repr(cloud)
