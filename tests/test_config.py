"""`latchgate.toml`: every key has its place, and what is wrong is told by file, line and key."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate import config_entries
from latchgate.config import (
    AccessFiles,
    Address,
    AuditExport,
    ConfigError,
    TlsFiles,
    load,
    parse_address,
)
from latchgate.core.network import parse_address as parse_client
from latchgate.serve.local import CONFIG_TEXT

WHOLE = """\
database = "a.db"
usage_database = "b.db"
policy = ["p/one.toml", "/etc/two.toml"]

[listen]
api = "127.0.0.1:1"
console = "[::1]:2"
verify = "unix:/run/latchgate.sock"

[gateways]
trusted = ["10.0.0.0/8"]

[tls]
certificate = "tls/full.pem"
key = "/etc/lg.key"

[audit]
export_directory = "journal"
export_every = "1d"
keep = "400d"

[access_log]
directory = "access"
days = 7
max_megabytes = 20
"""


MAIL = "host = 'h'\nfrom = 'a@b.example'\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "latchgate.toml"


def written(file, text):
    file.write_text(text, encoding="utf-8")
    return load(file)


def refusal(file, text):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(file)
    return str(refused.value)


# --- good ones


def test_a_whole_file_is_read_with_absolute_paths(file):
    found = written(file, WHOLE)
    folder = file.parent
    assert found.file == file
    assert (found.database, found.usage_database) == (folder / "a.db", folder / "b.db")
    assert found.policy == (folder / "p/one.toml", Path("/etc/two.toml"))
    assert found.tls == TlsFiles(folder / "tls/full.pem", Path("/etc/lg.key"))
    assert found.api == Address("127.0.0.1", 1, None, tls=True)
    assert found.console == Address("::1", 2, None, tls=True)
    assert found.verify == Address("", 0, "/run/latchgate.sock")
    assert parse_client("10.1.2.3") in found.trusted
    assert parse_client("127.0.0.1") not in found.trusted
    assert found.profile == folder / "profile.toml"
    assert found.access_log == AccessFiles(folder / "access", 7, 20 << 20)


def test_an_empty_file_means_every_default(file):
    found = written(file, "")
    assert found.database == file.parent / "latchgate.db"
    assert found.usage_database == file.parent / "latchgate-usage.db"
    assert found.policy == (file.parent / "providers/wayscloud.toml",)
    assert [str(one) for one in (found.api, found.console, found.verify)] == [
        "127.0.0.1:8420",
        "127.0.0.1:8421",
        "127.0.0.1:8422",
    ]
    assert parse_client("127.0.0.1") in found.trusted
    assert parse_client("::1") in found.trusted
    assert parse_client("10.0.0.1") not in found.trusted


def test_nobody_but_this_machine_is_reachable_or_believed_by_default(file):
    # Trusted proxies that default to everybody: oauth2-proxy#3506.
    found = written(file, "")
    assert {one.host for one in (found.api, found.console, found.verify)} == {"127.0.0.1"}
    assert parse_client("192.0.2.1") not in found.trusted


def test_with_tls_api_and_console_are_https_and_verify_stays_in_the_clear(file):
    text = WHOLE.replace("unix:/run/latchgate.sock", "127.0.0.1:3")
    found = written(file, text)
    urls = ["https://127.0.0.1:1", "https://[::1]:2", "http://127.0.0.1:3"]
    assert [one.url for one in (found.api, found.console, found.verify)] == urls
    clear = found.with_tls(None)
    assert clear.tls is None
    assert (clear.api.url, clear.console.url) == ("http://127.0.0.1:1", "http://[::1]:2")


def test_mail_and_webhooks_are_off_until_they_are_told(file):
    found = written(file, "")
    assert (found.mail, found.webhook_networks.entries) == (None, ())
    found = written(file, f"[webhooks]\nallowed_networks = ['10.1.0.0/16']\n[mail]\n{MAIL}")
    assert found.webhook_networks.listed() == ["10.1.0.0/16"]
    assert found.mail is not None
    assert (found.mail.port, found.mail.tls, found.mail.username) == (587, "starttls", None)
    told = f"[mail]\n{MAIL}tls = 'implicit'\nusername = 'u'\npassword_file = 'p'\nca = 'c.pem'"
    found = written(file, told)
    assert found.mail is not None
    files = found.mail.password_file, found.mail.ca
    assert (found.mail.port, *files) == (465, file.parent / "p", file.parent / "c.pem")


def test_without_tls_nothing_claims_to_have_it(file):
    for text in ("", "[tls]\n"):
        found = written(file, text)
        assert found.tls is None
        assert (found.api.url, found.api.tls) == ("http://127.0.0.1:8420", False)


def test_what_init_writes_is_what_the_program_reads(file):
    text = CONFIG_TEXT.format(
        database="",
        policy='"providers/wayscloud.toml"',
        api="127.0.0.1:1",
        console="[::1]:2",
        verify="h:3",
    )
    found = written(file, text)
    assert (found.api.port, found.console.port, found.verify.port) == (1, 2, 3)
    assert found.database == written(file, "").database


def test_a_relative_file_starts_where_the_program_runs(file, monkeypatch):
    file.write_text("")
    monkeypatch.chdir(file.parent)
    assert load(Path("latchgate.toml")).database == file.parent / "latchgate.db"


def test_the_same_port_0_may_stand_three_times(file):
    text = '[listen]\napi = "127.0.0.1:0"\nconsole = "127.0.0.1:0"\nverify = "127.0.0.1:0"\n'
    assert written(file, text).api.port == 0


def test_nobody_may_be_believed(file):
    assert parse_client("127.0.0.1") not in written(file, "[gateways]\ntrusted = []\n").trusted


# --- bad ones


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("databse = 'x'", "1: databse", "unknown key 'databse'"),
        ("\n\n[listen]\n\napi_ = 'x'", "5: listen.api_", "unknown key 'api_'"),
        ("[listne]\napi = 'x'", "1: listne", "unknown key 'listne'"),
        ("[listen]\napi = 8420", "2: listen.api", "Expected `str`, got `int`"),
        ("database = ['x']", "1: database", "Expected `str`"),
        ("\npolicy = 'x'", "2: policy", "Expected `array`"),
        ("policy = [1]", "1: policy[0]", "Expected `str`"),
        ("[gateways]\ntrusted = '127.0.0.1'", "2: gateways.trusted", "Expected `array`"),
        ("[gateways]\ntrusted = ['everybody']", "2: gateways.trusted", "'everybody'"),
        ("[gateways]\ntrusted = ['10.0.0.0/40']", "2: gateways.trusted", "10.0.0.0/40"),
        ("listen = 'x'", "1: listen", "Expected `object`"),
        ("[listen]\napi = '8420'", "2: listen.api", "HOST:PORT"),
        ("[listen]\napi = ':8420'", "2: listen.api", "HOST:PORT"),
        ("[listen]\napi = 'h:99999'", "2: listen.api", "HOST:PORT"),
        ("[listen]\napi = '::1:8420'", "2: listen.api", "HOST:PORT"),
        ("[listen]\napi = 'unix:/x'", "2: listen.api", "HOST:PORT"),
        ("[listen]\nverify = 'unix:x'", "2: listen.verify", "unix:/PATH"),
        ("[listen]\nconsole = 'http://h:1'", "2: listen.console", "HOST:PORT"),
        ("[tls]\nchain = 'x'", "2: tls.chain", "unknown key 'chain'"),
        ("[tls]\nkey = 7", "2: tls.key", "Expected `str | null`, got `int`"),
        ("\n[tls]\ncertificate = 'x'", "2: tls", "name the file of the key too"),
        ("[tls]\nkey = 'x'", "1: tls", "name the file of the certificate too"),
        ("[tls]\nkey = 'x'\ncertificate = ''", "1: tls", "belong together"),
        ("[tls]\nkey = ''\ncertificate = ''", "1: tls", "belong together"),
        ("[access_log]\ndays = 3", "1: access_log", "nothing is written without directory"),
        ("[access_log]\ndirectory = ''", "2: access_log.directory", "must name a folder"),
        ("[access_log]\ndirectory = 'a'\nmax_megabytes = 0", "3: access_log.max_megabytes", ">= 1"),
        ("usage_database = 'latchgate.db'", "1: usage_database", "another file than database"),
        ("[webhooks]\nallowed_networks = ['x']", "2: webhooks.allowed_networks", "'x'"),
        ("[webhooks]\nallowed = []", "2: webhooks.allowed", "unknown key 'allowed'"),
        ("[mail]\nfrom = 'a@b.example'", "1: mail.host", "name the server"),
        ("[mail]\nhost = 'a b'", "2: mail.host", "a host name"),
        ("[mail]\nhost = 'h'", "1: mail.from", "an e-mail address"),
        ("[mail]\nhost = 'h'\nfrom = 'a b@c'", "3: mail.from", "an e-mail address"),
        ("[mail]\nhost = 'h'\ntls = 'ssl'", "3: mail.tls", "Invalid enum value 'ssl'"),
        ("[mail]\noperator = 'a@b.example'", "1: mail.host", "name the server"),
        (f"[mail]\n{MAIL}operator = 'nobody'", "4: mail.operator", "an e-mail address"),
        (f"[mail]\n{MAIL}port = 0", "4: mail.port", "from 1 to 65535"),
        (f"[mail]\n{MAIL}username = 'u'", "4: mail.username", "belong together"),
        (
            f"[mail]\n{MAIL}username = 'u'\npassword_file = 'p'\ntls = 'none'",
            "6: mail.tls",
            "over TLS only",
        ),
        (
            "[listen]\napi = '127.0.0.1:8421'",
            "1: listen",
            "three different addresses",
        ),
    ],
)
def test_what_is_wrong_is_told_by_file_line_and_key(file, text, where, says):
    told = refusal(file, text)
    assert told.startswith(f"{file}:{where}: ")
    assert says in told


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "a = ",
        "[listen",
        "a = 1\na = 2",
        "database = 'a\nb'",
        "a = " + "[" * 5_000,
        "a = " + "9" * 5_000,
        "a = 1\x00",
    ],
    ids=["words", "no value", "open", "twice", "newline", "deep", "long number", "NUL"],
)
def test_what_is_not_toml_is_told_by_file(file, text):
    assert refusal(file, text).startswith(f"{file}")


def test_the_two_databases_are_compared_as_files_not_as_text(file):
    told = refusal(file, "database = 'a.db'\nusage_database = './a.db'")
    assert "another file than database" in told
    told = refusal(file, f"database = 'a.db'\nusage_database = '{file.parent}/a.db'")
    assert "another file than database" in told


def test_two_policy_files_of_one_name_are_refused(file):
    # They are published by name, so one would silently take the other's place.
    told = refusal(file, "policy = ['a/same.toml', 'b/same.toml']")
    assert "same.toml" in told


@pytest.mark.parametrize("name", ["database", "usage_database"])
def test_a_database_needs_a_name(file, name):
    assert name in refusal(file, f"{name} = ''")


def test_a_file_that_is_not_there_says_how_to_make_one(file):
    with pytest.raises(ConfigError, match=r"can't be read .*latchgate init"):
        load(file)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="can't be read"):
        load(tmp_path)


def test_bytes_that_are_no_text_are_refused(file):
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(file)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_by_file(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        load(file)
    except ConfigError as error:
        told = str(error)
        assert told.startswith(str(file))


# --- addresses


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:65535", "localhost", 65_535),
        ("[::]:80", "::", 80),
        ("a-b.example:1", "a-b.example", 1),
    ],
)
def test_an_address_is_read_and_written_the_same(text, host, port):
    found = parse_address(text)
    assert (found.host, found.port, found.path) == (host, port, None)
    assert str(found) == text
    assert found.url == f"http://{text}"


def test_a_unix_socket_is_read_only_where_it_is_allowed():
    found = parse_address("unix:/run/a.sock", unix=True)
    assert (str(found), found.url) == ("unix:/run/a.sock", "unix:/run/a.sock")
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address("unix:/run/a.sock")


@pytest.mark.parametrize(
    "text",
    ["", "h", "h:", ":1", "h:-1", "h:65536", "h:1:2", "h h:1", "[h]:1", "h:1\n", "h:\u0661", "ü:1"],
)
def test_what_is_no_address_is_refused_by_its_text(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_address(text, unix=True)


# --- documentation


@pytest.mark.parametrize(
    "entry",
    [
        config_entries.ConfigEntry,
        config_entries.ListenEntry,
        config_entries.GatewaysEntry,
        config_entries.TlsEntry,
    ],
    ids=lambda entry: entry.__name__,
)
def test_every_key_is_documented_where_it_is_declared(entry):
    told = entry.__doc__ or ""
    for field in msgspec.structs.fields(entry):
        nested = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        assert nested or f"`{field.name}`" in told


def test_the_journals_export_is_read_or_off(file):
    assert written(file, WHOLE).audit == AuditExport(file.parent / "journal", 86_400, 400 * 86_400)
    assert written(file, "").audit is None
    one = written(file, '[audit]\nexport_directory = "/j"\nexport_every = "1h"\n').audit
    assert one == AuditExport(Path("/j"), 3_600, None)


PARTNER = '[[leaks.partners]]\nname = "{name}"\n{keys}\n'


def test_partners_are_read_with_a_url_or_a_file_of_the_configurations_folder(file):
    told = PARTNER.format(name="github", keys='keys_url = "https://a.example/keys"')
    file.write_text(told + PARTNER.format(name="own", keys='keys_file = "own.json"'))
    first, second = load(file).partners
    assert (first.name, first.keys_url, first.keys_file) == (
        "github",
        "https://a.example/keys",
        None,
    )
    assert (second.keys_url, second.keys_file) == (None, file.parent / "own.json")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('export_directory = "j"', "2: audit: nothing is exported without export_every"),
        ('keep = "4d"', "audit: nothing is exported without export_every"),
        ('export_every = "1d"', "audit.export_directory: must name the folder"),
        ('export_every = "1d"\nexport_directory = ""', "audit.export_directory: must name"),
        ('export_every = "often"', "2: audit.export_every: 'often' is not a duration"),
        ('export_every = "5s"\nexport_directory = "j"', "audit.export_every: must be 1m or longer"),
        (
            'export_every = "2d"\nkeep = "1d"\nexport_directory = "j"',
            "3: audit.keep: must be as long as export_every",
        ),
        ('every = "1d"', "audit.every: unknown key 'every'"),
    ],
)
def test_an_impossible_export_is_told_by_its_key(file, text, problem):
    assert problem.removeprefix("2: ") in refusal(file, f"[audit]\n{text}\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (PARTNER.format(name="a", keys=""), "a needs either keys_url or keys_file"),
        (
            PARTNER.format(name="a", keys='keys_url = "https://a"\nkeys_file = "b"'),
            "a needs either keys_url or keys_file",
        ),
        (PARTNER.format(name="a", keys='keys_url = "http://a.example/"'), "an https:// URL"),
        (PARTNER.format(name="a", keys='keys_url = "http://127.0.0.1.evil/"'), "an https:// URL"),
        (PARTNER.format(name="a", keys='keys_url = "file:///etc/x"'), "an https:// URL"),
        (PARTNER.format(name="a", keys='keys_file = "b"') * 2, "two partners are named a"),
        (PARTNER.format(name="A b", keys='keys_file = "b"'), "leaks.partners"),
        (PARTNER.format(name="a", keys='key = "b"'), "unknown key 'key'"),
    ],
)
def test_a_partner_whose_word_could_be_anybodys_is_refused(file, text, problem):
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(problem)):
        load(file)
