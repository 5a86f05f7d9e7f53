"""`clouds.yaml` is read as openstacksdk reads it, but for what would let a folder take secrets."""

from __future__ import annotations

import json

import pytest
from tests.client.sources.written import lacking, revealed, write

from latchgate.client import KakaoCloud, SourceExposed, SourceUnreadable
from latchgate.client.clouds.kakaocloud import WANTED
from latchgate.client.sources import ClientFile, clouds_yaml

_URL = "https://iam.kakaocloud.com/identity/v3"
_FOUND = {"access_key_id": "kid", "secret": "5ecret", "url": _URL}


def _clouds(**clouds: object) -> str:
    return json.dumps({"clouds": clouds})  # which is YAML too


def _cloud(auth_type: str = "v3applicationcredential", **auth: object) -> dict[str, object]:
    whole = {
        "auth_url": _URL,
        "application_credential_id": "kid",
        "application_credential_secret": "5ecret",
        **auth,
    }
    return {"auth_type": auth_type, "auth": {n: v for n, v in whole.items() if v is not None}}


@pytest.fixture(autouse=True)
def site(monkeypatch, tmp_path):
    """Give the folder that stands for /etc/openstack."""
    monkeypatch.setattr(clouds_yaml, "_SITE", tmp_path / "etc")
    return tmp_path / "etc"


def test_the_only_cloud_of_the_first_file_is_found(folder, home, site):
    write(site / "clouds.yaml", _clouds(site=_cloud(application_credential_id="site")))
    assert revealed(ClientFile().look(WANTED))["access_key_id"] == "site"
    write(home / ".config/openstack/clouds.yml", _clouds(own=_cloud()))
    assert revealed(ClientFile().look(WANTED)) == _FOUND
    path = write(folder / "clouds.json", _clouds(work=_cloud(application_credential_id="work")))
    found = ClientFile().look(WANTED)
    assert revealed(found)["access_key_id"] == "work"
    assert found.where == f"{path}, cloud work"


def test_a_document_as_people_write_it_is_read(folder):
    text = f"""
    clouds:
      kc: &kc
        auth-type: v3applicationcredential
        auth:
          auth_url: {_URL}
          application-credential-name: my-key
          application_credential_secret: "5ecret"
          user_id: u1
        region_name: kr-central-2
      other: {{<<: *kc, auth_type: password}}
    """
    write(folder / "clouds.yaml", text)
    cloud = KakaoCloud(sources=(ClientFile(entry="kc"),), cache=None)
    assert cloud.slot == ("KakaoCloud", _URL, "access_key_name=my-key", "user_id=u1")
    assert cloud.secrets[0].reveal() == "5ecret"


def test_several_clouds_take_a_name_by_argument_or_by_the_environment(folder, monkeypatch):
    path = write(
        folder / "clouds.yaml", _clouds(one=_cloud(), two=_cloud(application_credential_id="2"))
    )
    told = lacking(ClientFile().look(WANTED))
    assert str(told) == f"{path}: OS_CLOUD, or the entry's name, says which cloud: one, two"
    monkeypatch.setenv("OS_CLOUD", "two")
    assert revealed(ClientFile().look(WANTED))["access_key_id"] == "2"
    assert revealed(ClientFile(entry="one").look(WANTED))["access_key_id"] == "kid"
    monkeypatch.setenv("OS_CLOUD", "three")
    told = lacking(ClientFile().look(WANTED))
    assert told.why == "no such cloud; there are: one, two"
    assert told.unreadable


def test_the_file_that_the_environment_names_goes_before_all_and_has_to_be_there(
    folder, home, monkeypatch
):
    write(folder / "clouds.yaml", _clouds(work=_cloud(application_credential_id="work")))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "~/mine.yaml")
    assert "which OS_CLIENT_CONFIG_FILE names" in lacking(ClientFile().look(WANTED)).why
    write(home / "mine.yaml", _clouds(own=_cloud()))
    assert revealed(ClientFile().look(WANTED)) == _FOUND
    assert revealed(ClientFile("clouds.yaml").look(WANTED))["access_key_id"] == "work"


def test_a_secret_may_be_in_a_file_beside_which_alone_is_to_be_private(folder):
    write(
        folder / "clouds.yaml", _clouds(kc=_cloud(application_credential_secret=None)), mode=0o644
    )
    assert lacking(ClientFile().look(WANTED)).why == (
        "application_credential_id without application_credential_secret"
    )
    secret = {"auth": {"application_credential_secret": "5ecret"}}
    write(folder / "secure.yaml", _clouds(kc=secret))
    assert revealed(ClientFile().look(WANTED)) == _FOUND
    (folder / "secure.yaml").chmod(0o644)
    with pytest.warns(SourceExposed, match=r"secure\.yaml"):
        ClientFile().look(WANTED)


def test_a_folders_clouds_never_get_a_secret_from_elsewhere(folder, home, monkeypatch):
    secret = {"auth": {"application_credential_secret": "5ecret"}}
    own = write(home / ".config/openstack/secure.yaml", _clouds(kc=secret))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(own))
    evil = _cloud(auth_url="https://evil.example", application_credential_secret=None)
    write(folder / "clouds.yaml", _clouds(kc=evil))
    told = lacking(ClientFile().look(WANTED))
    assert told.why == "application_credential_id without application_credential_secret"


def test_a_folders_clouds_get_no_secret_by_a_link_to_the_users_own(folder, home):
    own = home / ".config" / "openstack"
    secret = {"auth": {"application_credential_secret": "5ecret"}}
    kept = write(own / "kept" / "secure.yaml", _clouds(kc=secret))
    write(folder / "clouds.yaml", _clouds(kc=_cloud(application_credential_secret=None)))
    (folder / "secure.yaml").symlink_to(kept)
    told = lacking(ClientFile().look(WANTED))
    assert told.where == f"{folder}/secure.yaml"
    assert told.why.startswith("is a link out of its folder")
    # The user's own folder may hold links, and so may a folder to what lies together.
    (folder / "clouds.yaml").rename(own / "clouds.yaml")
    (own / "secure.yaml").symlink_to(kept)
    assert revealed(ClientFile().look(WANTED)) == _FOUND
    (own / "clouds.yaml").rename(own / "kept" / "clouds.yaml")
    (folder / "clouds.yaml").symlink_to(own / "kept" / "clouds.yaml")
    assert revealed(ClientFile().look(WANTED)) == _FOUND


def test_a_file_of_secrets_that_the_environment_names_goes_with_the_clouds_that_it_names(
    home, monkeypatch
):
    clouds = write(home / "c.yaml", _clouds(kc=_cloud(application_credential_secret=None)))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(home / "s.yaml"))
    with pytest.raises(SourceUnreadable, match="which OS_CLIENT_SECURE_FILE names"):
        ClientFile().look(WANTED)
    write(home / "s.yaml", _clouds(kc={"auth": {"application_credential_secret": "5ecret"}}))
    assert revealed(ClientFile().look(WANTED)) == _FOUND


@pytest.mark.parametrize(
    ("cloud", "why"),
    [
        (_cloud("password"), "its auth_type is not v3applicationcredential"),
        ({"profile": "vendor", **_cloud(auth_url=None)}, "says no auth_url"),
        ({}, "its auth_type is not v3applicationcredential"),
        (
            {"auth_type": "v3applicationcredential", "auth": ["5ecret"]},
            (
                "application_credential_id+application_credential_secret or "
                "application_credential_name+application_credential_secret+user_id not set"
            ),
        ),
    ],
)
def test_what_is_no_access_key_of_a_known_address_is_none(folder, cloud, why):
    write(folder / "clouds.yaml", _clouds(kc=cloud))
    assert lacking(ClientFile().look(WANTED)).why == why


def test_a_name_of_some_folders_file_does_not_drive_the_terminal(folder, monkeypatch):
    write(folder / "clouds.yaml", json.dumps({"clouds": {"\x1b[2J": {}, "b": {}}}))
    assert lacking(ClientFile().look(WANTED)).why.endswith(r"'\x1b[2J', b")
    monkeypatch.setenv("OS_CLOUD", "\x1b[2J")
    assert "\x1b" not in str(lacking(ClientFile().look(WANTED)))


@pytest.mark.parametrize("text", ["", "clouds:\n", "clouds: 5ecret\n", "other: {}\n"])
def test_a_file_without_clouds_has_none(folder, text):
    write(folder / "clouds.yaml", text)
    assert lacking(ClientFile().look(WANTED)).why.endswith("says which cloud: none")


def test_broken_files_are_refused_and_not_shown(folder):
    write(folder / "clouds.yaml", _clouds(kc=_cloud(application_credential_secret=52)))
    with pytest.raises(
        SourceUnreadable, match=r"kc: application_credential_secret is to be a text"
    ):
        ClientFile().look(WANTED)
    (folder / "clouds.yaml").rename(folder / "x")
    write(folder / "clouds.json", '{"clouds":\n{"5ecret"}}')
    with pytest.raises(SourceUnreadable, match=r"clouds\.json, line 2: is no JSON") as told:
        ClientFile().look(WANTED)
    assert told.value.__context__ is None
