"""`latchgate key`, as transcripts against a running server."""

from __future__ import annotations

import re
import time
from datetime import datetime

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

CREATE = ("key", "create", "--service", "storage", "--name", "n")
PRINTABLE = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f]*")


def shown(out):
    """Read two columns back into pairs."""
    lines = [line for line in out.splitlines() if "  " in line]
    return {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in lines}


def seconds_left(told):
    created, expires = (
        datetime.fromisoformat(told[field]) for field in ("created_at", "expires_at")
    )
    return (expires - created).total_seconds()


# --- create


def test_create_shows_the_key_once_in_words(server):
    done = server.cli(
        "key", "create", "--service", "storage", "--service", "llm", "--name", "Uploader"
    )
    assert (done.code, done.err) == (0, "")
    told = shown(done.out)
    assert list(told) == ["id", "key", "services", "scopes", "allowed_ip_ranges", "expires_at"]
    assert told["services"] == "storage, llm"
    assert told["scopes"] == (
        "llm:inference, llm:models, storage:delete, storage:read, storage:write"
    )
    assert (told["allowed_ip_ranges"], told["expires_at"]) == ("-", "-")
    assert done.out.endswith("The key is shown this once.\n")
    assert server.allows(told["key"])


def test_create_prints_json_for_programs(server):
    done = server.cli(*CREATE, "--expires-in", "90d", "--json")
    assert (done.code, done.err) == (0, "")
    told = done.json
    assert set(told) >= {"id", "key", "services", "scopes", "created_at", "expires_at"}
    assert seconds_left(told) == pytest.approx(90 * 86_400, abs=1)
    assert server.allows(told["key"])


def test_every_option_reaches_the_key(server):
    done = server.cli(
        *CREATE, "--json",
        "--description", "for the nightly job",
        "--environment", "staging",
        "--external-id", "crm/7",
        "--metadata", "team=blue", "--metadata", "equation=a=b",
        "--scope", "storage:read", "--scope", "storage:write",
        "--allow-ip-range", "192.0.2.77/24", "--allow-ip-range", "2001:db8::1",
        "--expires-at", "2099-01-01T00:00:00Z",
    )  # fmt: skip
    told = done.json
    assert told["description"] == "for the nightly job"
    assert (told["environment"], told["external_id"]) == ("staging", "crm/7")
    assert told["metadata"] == {"team": "blue", "equation": "a=b"}
    assert told["scopes"] == ["storage:read", "storage:write"]
    assert told["allowed_ip_ranges"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert told["expires_at"] == "2099-01-01T00:00:00Z"


def test_a_key_without_scopes_can_be_made(server):
    told = server.cli(*CREATE, "--no-scopes", "--json").json
    assert told["scopes"] == []
    assert not server.allows(told["key"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 3_600),
        ("24h", 86_400),
        ("7d", 604_800),
        ("1h30m", 5_400),
        ("1h30min", 5_400),
        ("90s", 90),
        ("2w", 1_209_600),
    ],
)
def test_durations_as_people_write_them(server, text, seconds):
    told = server.cli(*CREATE, "--expires-in", text, "--json").json
    assert seconds_left(told) == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1h1h", "1m1h", "-1h", "1.5h", "1 h", "soon", "0h", "9" * 30 + "w"]
)
def test_a_bad_duration_is_told_with_a_good_one(server, text):
    done = server.cli(*CREATE, f"--expires-in={text}", "--json")
    assert (done.code, done.out) == (1, "")
    assert "422 invalid" in done.err
    assert "  expires_in: " in done.err
    assert text[:20] in done.err


@pytest.mark.parametrize(
    "text",
    ["", "300.0.0.1", "192.0.2.0/33", "192.0.2.010", "::/129", "everywhere", "1.2.3", "fe80::1%0"],
)
def test_a_bad_network_is_told_with_a_good_one(server, text):
    done = server.cli(*CREATE, "--allow-ip-range", "192.0.2.1", "--allow-ip-range", text, "--json")
    assert (done.code, done.out) == (1, "")
    assert f"  allowed_ip_ranges: {text!r} is not an IP address or a CIDR such as" in done.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--expires-at", "tomorrow"), "expires_at: 'tomorrow'"),
        (("--expires-at", "2001-01-01T00:00:00Z"), "expires_at: must be in the future"),
        (("--expires-in", "1h", "--expires-at", "2099-01-01T00:00:00Z"), "not both"),
        (("--scope", "storage:fly"), "scopes: storage:fly not among"),
        (("--scope", "*"), "scopes: *"),
        (("--service", "nothing"), "services: unknown: nothing; the services are"),
        (("--service", "storage"), "services: a service is named twice"),
        (("--service", "manage"), "services: one key can't be for"),
        (("--external-id", "with space"), "external_id: "),
        (("--description", "a\x07b"), "description: "),
        (("--metadata", "a=two\nlines"), "metadata"),
        (("--name", ""), "name: "),
        (("--name", "x" * 256), "name: "),
    ],
)
def test_what_cannot_be_taken_is_told_by_its_field(server, options, says):
    done = server.cli(*CREATE, *options)
    assert (done.code, done.out) == (1, "")
    assert says in done.err
    assert PRINTABLE.fullmatch(done.err)


@pytest.mark.parametrize(
    "options",
    [
        ("--name", b"\xff"),
        ("--description", b"\xff"),
        ("--metadata", b"a=\xff"),
        ("--scope", b"\xff"),
    ],
    ids=["name", "description", "metadata", "scope"],
)
def test_bytes_that_are_no_text_are_refused(server, options):
    done = server.cli(*CREATE, *options, "--json")
    assert done.code in {1, 2}
    assert done.out == ""


def test_a_name_in_any_script_is_taken(server):
    told = server.cli(
        "key", "create", "--service", "storage", "--name", "Schlüssel 🔑", "--json"
    ).json
    assert told["name"] == "Schlüssel 🔑"


# --- list


def test_list_shows_a_table(server):
    made = server.create(name="listed")
    done = server.cli("key", "list", "--limit", "1000")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert re.fullmatch(r"ID +NAME +SERVICES +STATE +EXPIRES AT +LAST USED AT", lines[0])
    (line,) = [line for line in lines if made["id"] in line]
    assert re.fullmatch(rf"{made['id']} +listed +storage +active +- +-", line)
    assert made["key"].rpartition("_")[2] not in done.out


def test_list_pages_and_says_how_to_go_on(server):
    made = [server.create()["id"] for _ in range(3)]
    first = server.cli("key", "list", "--limit", "1")
    (line,) = first.err.splitlines()
    assert line.startswith("There are more: latchgate key list --after ")
    cursor = line.rpartition(" ")[2]
    page = server.cli("key", "list", "--limit", "1000", "--after", cursor, "--json").json
    assert [key["id"] for key in page["keys"]][-3:] == made
    assert page["next"] is None


def test_listing_after_nothing_is_refused(server):
    done = server.cli("key", "list", "--after", "nothing")
    assert (done.code, done.out) == (1, "")
    assert "after: 'nothing' is not the `next` of a page" in done.err


def test_list_prints_json_for_programs(server):
    told = server.cli("key", "list", "--json").json
    assert set(told) == {"keys", "next"}
    assert all("key" not in key for key in told["keys"])


# --- show


def test_show_tells_everything_but_the_secret(server):
    made = server.create(name="shown", metadata={"team": "blue"}, allowed_ip_ranges=[])
    done = server.cli("key", "show", made["id"])
    assert done.code == 0
    told = shown(done.out)
    assert told["name"] == "shown"
    assert told["state"] == "active"
    assert told["metadata"] == "team=blue"
    assert told["allowed_ip_ranges"] == "none"
    assert told["last_used_at"] == "-"
    assert told["hint"] == f"wayscloud_storage_{made['id']}_…"
    assert made["key"].rpartition("_")[2] not in done.out
    as_json = server.cli("key", "show", made["id"], "--json").json
    assert as_json == {
        **{field: value for field, value in made.items() if field != "key"},
        "last_used_at": as_json["last_used_at"],
    }


def test_show_tells_the_last_use(server):
    made = server.create()
    server.allows(made["key"])
    time.sleep(0.6)
    told = server.cli("key", "show", made["id"], "--json").json
    assert told["last_used_from"] == "192.0.2.1"


def test_a_stored_name_never_drives_the_terminal(server):
    made = server.create(metadata={"\x1b[2J\r": "v"}, description="a\nstate  revoked")
    done = server.cli("key", "show", made["id"])
    assert PRINTABLE.fullmatch(done.out)
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("state")] == [
        "active"
    ]


@pytest.mark.parametrize("verb", ["show", "revoke"])
@pytest.mark.parametrize(
    "key_id", ["nothing", "", " ", "../policy", "a/b", "%2e", "ü", "a\nb", "x" * 3_000]
)
def test_a_key_that_is_not_there_is_told(server, verb, key_id):
    done = server.cli("key", verb, "--", key_id)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("latchgate: ")
    assert PRINTABLE.fullmatch(done.err)


# --- revoke


def test_revoke_prints_its_receipt_in_words(server):
    made = server.create()
    assert server.allows(made["key"])
    done = server.cli("key", "revoke", made["id"])
    assert (done.code, done.err) == (0, "")
    assert not server.allows(made["key"])
    told = shown(done.out)
    assert list(told) == ["id", "revoked_at", "journal", "elapsed", "verifiers"]
    assert told["id"] == made["id"]
    assert re.fullmatch(r"\d+", told["journal"])
    assert re.fullmatch(r"[\d.]+ ms", told["elapsed"])
    assert re.fullmatch(r"[0-9a-f]{16} acknowledged", told["verifiers"])


def test_revoke_prints_its_receipt_as_json(server):
    made = server.create()
    told = server.cli("key", "revoke", made["id"], "--json").json
    assert set(told) == {"id", "revoked_at", "receipt"}
    assert set(told["receipt"]) == {
        "journal", "at", "elapsed_ms", "verifiers", "known", "waited",
    }  # fmt: skip
    assert [one["state"] for one in told["receipt"]["verifiers"]] == ["acknowledged"]


def test_revoking_again_gives_a_new_receipt(server):
    made = server.create()
    first = server.cli("key", "revoke", made["id"], "--json").json
    again = server.cli("key", "revoke", made["id"], "--json")
    assert again.code == 0
    assert again.json["revoked_at"] == first["revoked_at"]
    assert again.json["receipt"]["at"] > first["receipt"]["at"]


def test_a_token_of_less_rights_is_told_what_it_lacks(server):
    token = server.create("manage", scopes=["manage:keys.read"])["key"]
    done = server.cli(*CREATE, LATCHGATE_TOKEN=token)
    assert (done.code, done.out) == (1, "")
    assert "(403 insufficient_scope)" in done.err
    found = re.search(r"latchgate explain --id (\S+) says more", done.err)
    assert found is not None
    told = server.cli("explain", "--id", found[1])
    assert "manage:keys.write" in told.out
