"""What partners report: signed, or not read at all; and reports by the management API."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import secrets
import threading

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.world import Server, World, http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FILED, FETCHED, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def listed(**keys):
    """Return public keys as GitHub publishes them."""
    pems = {
        name: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for name, key in keys.items()
    }
    told = [
        {"key_identifier": name, "key": pem.decode(), "is_current": True}
        for name, pem in pems.items()
    ]
    return json.dumps({"public_keys": told}).encode()


@pytest.fixture(scope="module")
def keys_url():
    """An address that answers public keys, as a partner's does."""

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = listed(fetched=FETCHED)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_address[1]}/keys"
    served.shutdown()
    served.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, keys_url):
    made = Server.made(tmp_path_factory.mktemp("leaks") / "lg")
    (made.folder / "partner.json").write_bytes(listed(filed=FILED))
    partners = (
        '\n[[leaks.partners]]\nname = "filed"\nkeys_file = "partner.json"\n'
        f'\n[[leaks.partners]]\nname = "fetched"\nkeys_url = "{keys_url}"\n'
        '\n[[leaks.partners]]\nname = "gone"\nkeys_file = "none.json"\n'
    )
    with made.config.open("a") as file:
        file.write(partners)
    made.start()
    yield made
    made.kill()


def send(server, body, *, key=FILED, key_id="filed", signature=None, **headers):
    signed = base64.b64encode(key.sign(body, ec.ECDSA(SHA256()))).decode()
    sent = {
        "Content-Type": "application/json",
        "Github-Public-Key-Identifier": key_id,
        "Github-Public-Key-Signature": signed if signature is None else signature,
        **headers,
    }
    return http_request("POST", f"{server.addresses['api']}/leaks", headers=sent, body=body)


def reported(*texts, **more):
    return json.dumps(
        [
            {"token": text, "type": "latchgate_key", "url": "https://e.com/a", "source": "commit"}
            | more
            for text in texts
        ]
    ).encode()


@pytest.mark.parametrize(("key", "key_id"), [(FILED, "filed"), (FETCHED, "fetched")])
def test_a_partners_report_revokes_and_is_answered_as_github_expects(server, key, key_id):
    made = server.create()
    assert server.allows(made["key"])
    answer = send(server, reported(made["key"], "nothing of ours"), key=key, key_id=key_id)
    assert answer.status == 200, answer.body
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (made["key"], "nothing of ours")
    ]
    assert answer.json == [
        {"token_hash": hashes[0], "token_type": "latchgate_key", "label": "true_positive"},
        {"token_hash": hashes[1], "token_type": "latchgate_key", "label": "false_positive"},
    ]
    assert not server.allows(made["key"])
    (leak,) = server.call("GET", f"/manage/v1/leaks?record={made['id']}&source=commit").json[
        "leaks"
    ]
    assert (leak["reporter"], leak["action"]) == (f"partner:{key_id}", "revoke")
    # Sent once more, it is the same leak.
    assert send(server, reported(made["key"]), key=key, key_id=key_id).json[0]["label"] == (
        "true_positive"
    )
    again = server.call("GET", f"/manage/v1/leaks?record={made['id']}").json["leaks"]
    assert again == [leak]


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": STRANGER},
        {"key_id": "unknown"},
        {"key_id": "fetched"},
        {"key_id": ""},
        {"signature": ""},
        {"signature": "%%%"},
        {"signature": base64.b64encode(b"\x30\x02\x01\x01").decode()},
        {"signature": "A" * 10_000},
    ],
)
def test_nobody_elses_report_is_read(server, wrong):
    made = server.create()
    answer = send(server, reported(made["key"]), **wrong)
    assert (answer.status, answer.code) == (401, "authentication_failed")
    assert server.allows(made["key"])


def test_a_body_that_was_changed_after_it_was_signed_is_not_read(server):
    made = server.create()
    signed = base64.b64encode(FILED.sign(reported("x"), ec.ECDSA(SHA256()))).decode()
    assert send(server, reported(made["key"]), signature=signed).status == 401
    # Signed by nobody, not even what is no JSON at all is told apart.
    assert send(server, b"{", signature=signed).status == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"nope", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 422),
        (b"{}", 422),
        (b"[1]", 422),
        (b'[{"token": "", "type": "a"}]', 422),
        (b'[{"token": 5, "type": "a"}]', 422),
        (b'[{"type": "a"}]', 422),
        (reported("a" * 8_193), 422),
        (json.dumps([{"token": "a", "type": "a"}] * 1_001).encode(), 422),
        (b" " * 1_048_577, 413),
    ],
    ids=range(12),
)
def test_what_cant_be_taken_is_refused_and_changes_nothing(server, body, status):
    answer = send(server, body)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_a_partner_may_leave_out_or_add(server):
    assert send(server, b"[]").json == []
    odd = reported("a", url=None, source="a b/ü", more=[1])
    assert send(server, odd).json[0]["label"] == "false_positive"
    answer = http_request("GET", f"{server.addresses['api']}/leaks")
    assert answer.status == 405


def test_a_partner_whose_keys_cant_be_read_is_told_of_at_the_start(server):
    assert "the keys of the partner gone can't be read" in server.log


@pytest.fixture(scope="module")
def world(server):
    made = World.beside(server)
    yield made
    made.close()


def test_a_stranger_is_told_no_more_than_that_it_was_handled(server, world):
    theirs = world.key(owner=world.somebody("storage:read", tenant_id=world.tenant()))
    scopes = ["manage:leaks.write", "manage:leaks.read"]
    mine = server.create("manage", scopes=scopes)
    told = {"tokens": [{"token": theirs.text}, {"token": "no secret at all"}]}
    answer = server.call("POST", "/manage/v1/leaks", told, token=mine["key"])
    assert answer.status == 200, answer.body
    assert answer.json["handled"] == [{"status": "handled", "leak": None}] * 2
    assert not server.allows(theirs.text)
    page = server.call("GET", f"/manage/v1/leaks?record={theirs.id}", token=mine["key"])
    assert page.json["leaks"] == []


def test_a_project_token_that_leaks_is_deleted_and_its_access_key_stays(server):
    made = server.call("POST", "/manage/v1/account/access-keys", {"name": "leaky"}).json
    asked = {
        "auth": {
            "identity": {
                "methods": ["application_credential"],
                "application_credential": {"id": made["id"], "secret": made["secret"]},
            }
        }
    }
    url = f"{server.addresses['api']}/identity/v3/auth/tokens"

    def minted():
        answer = http_request("POST", url, body=json.dumps(asked).encode())
        assert answer.status == 201, answer.body
        return answer.headers["x-subject-token"]

    def status(token):
        headers = {"X-Auth-Token": token, "X-Subject-Token": token}
        return http_request("GET", url, headers=headers).status

    token, other = minted(), minted()
    assert (status(token), status(other)) == (200, 200)
    told = {"tokens": [{"token": token}, {"token": token[:-4] + "AAAA"}]}
    first, forged = server.call("POST", "/manage/v1/leaks", told).json["handled"]
    assert (first["leak"]["record"], first["leak"]["action"]) == (made["id"], "revoke")
    assert forged["leak"] is None
    assert (status(token), status(other)) == (401, 200)
    # The secret of the access key itself takes every token with it.
    (whole,) = server.call(
        "POST", "/manage/v1/leaks", {"tokens": [{"token": made["secret"]}]}
    ).json["handled"]
    assert whole["leak"]["action"] == "revoke"
    assert status(other) == 401


def test_an_app_password_that_leaked_can_be_reissued(server):
    made = server.call("POST", "/manage/v1/account/basic", {})
    assert made.status == 201, made.body
    told = {"tokens": [{"token": made.json["password"]}]}
    (one,) = server.call("POST", "/manage/v1/leaks", told).json["handled"]
    assert one["leak"]["record"] == made.json["credential_id"]
    again = server.call("POST", "/manage/v1/account/basic/teracloud/reissue")
    assert again.status == 200, again.body
    with contextlib.suppress(KeyError):
        assert again.json["password"] != made.json["password"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tokens": []},
        {"tokens": [{"token": ""}]},
        {"tokens": [{"token": "a", "source": "a b"}]},
        {"tokens": [{"token": "a"}] * 1_001},
        {"tokens": [{"token": "a", "more": 1}]},
    ],
)
def test_a_report_that_cant_be_taken_is_refused_field_by_field(server, body):
    answer = server.call("POST", "/manage/v1/leaks", body)
    assert (answer.status, answer.code) == (422, "invalid")


def test_the_command_line_reports_looks_up_and_sets_rules(server, tmp_path):
    made = server.create()
    file = tmp_path / "found.log"
    file.write_text(f"token={made['key']}\n")
    checked = server.cli("scan", str(file), "--check", "--json")
    assert checked.code == 1
    (one,) = checked.json["findings"]
    assert (one["known"]["credential_id"], one["known"]["state"]) == (made["id"], "active")
    assert made["key"] not in checked.out + checked.err
    told = server.cli("leak", "rule", "set", "wayscloud.service_key", "notify", "--json")
    assert told.json["action"] == "notify"
    assert "notify" in server.cli("leak", "rule", "list").out
    secret = made["key"].encode()
    notified = server.cli("leak", "report", "-", "--json", stdin=secret + b"\n")
    assert notified.json["handled"][0]["leak"]["action"] == "notify"
    assert server.allows(made["key"])
    server.cli("leak", "rule", "set", "wayscloud.service_key", "revoke")
    assert server.cli("leak", "report", stdin=secret).code == 0
    assert not server.allows(made["key"])
    assert made["id"] in server.cli("leak", "list").out
    empty = server.cli("leak", "report", stdin=b"\n")
    assert (empty.code, "no secret" in empty.err) == (2, True)


def test_keys_that_came_by_their_hashes_are_found_and_reported(server, world, tmp_path):
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(64)
    text = f"wayscloud_storage_{key_id}_{secrets.token_hex(20)}"
    hashed = bcrypt.hashpw(secret.encode()[:72], bcrypt.gensalt(4)).decode()
    lines = [
        {
            "kind": "wayscloud.service_key",
            "id": key_id,
            "hash": hashlib.sha512(text.encode()).hexdigest(),
            "services": ["storage"],
        },
        {
            "kind": "kakaocloud.access_key",
            "id": "e" * 32,
            "name": "moved",
            "hash": hashed,
            "roles": [world.role(world.owner.tenant_id, ["storage:read"])],
            "project": world.owner.project_id,
        },
    ]
    defaults = {"owner": world.owner.user_id}
    made = server.call("POST", "/manage/v1/imports", {"defaults": defaults, "lines": lines})
    assert (made.json["imported"], made.json["failed"]) == (2, []), made.body
    (tmp_path / "a.log").write_text(f"key={text}\n")
    checked = server.cli("scan", str(tmp_path / "a.log"), "--check", "--json")
    (one,) = checked.json["findings"]
    assert (one["grade"], one["known"]["credential_id"]) == ("certain", key_id)
    assert text not in checked.out + checked.err

    def report(*more, code=0):
        told = server.cli("leak", "report", "--json", *more, stdin=secret.encode() + b"\n")
        assert told.code == code, told.err
        return told.json["handled"] if code == 0 else told.err

    # A salted hash can't be searched for; by its key's id it can be worked out.
    for wrong in ((), ("--id", "f" * 32), ("--id", key_id)):
        assert report(*wrong) == [{"status": "handled", "leak": None}]
    (leak,) = report("--id", "e" * 32)
    assert (leak["leak"]["record"], leak["leak"]["action"]) == ("e" * 32, "revoke")
    assert "id" in report("--id", "e e", code=1)
    named = {"token": "x", "id": "e" * 32}
    answer = server.call("POST", "/manage/v1/leaks", {"tokens": [named] * 21})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "tokens")
    # Guessing is throttled as at sign-in: each wrong one doubles the wait, however slow they are.
    for at in range(16):
        key = server.create()
        guess = {"token": f"{at}", "id": "d" * 32}
        answer = server.call("POST", "/manage/v1/leaks", {"tokens": [{"token": key["key"]}, guess]})
        if answer.status != 200:
            assert (answer.status, int(answer.headers["retry-after"]) > 0) == (429, True)
            assert server.allows(key["key"])  # nothing of such a report is handled
            break
    else:
        pytest.fail("nobody counted the guesses")


def test_a_file_of_any_length_is_reported_and_what_is_no_secret_is_named(server, tmp_path):
    first, last = server.create(), server.create()
    file = tmp_path / "found"
    with file.open("wb") as stream:
        stream.write(first["key"].encode() + b"\r\n\n")
        stream.write(b"\xff\xfe\n" + b"a" * 100_000 + b"\n")
        # In all far more than one request may carry, and lines whose JSON is longer than they.
        stream.writelines(b'"' * 8_000 + b"%d\n" % at for at in range(300))
        stream.write(last["key"].encode())
    told = server.cli("leak", "report", str(file), "--json", "--url", "https://e.com/" + "a" * 900)
    assert told.code == 2
    assert told.err.splitlines() == [
        f"latchgate: {file}: line 3 is not UTF-8 text",
        f"latchgate: {file}: line 4 is longer than 8192 characters",
    ]
    handled = told.json["handled"]
    assert len(handled) == 302
    assert [one["leak"]["record"] for one in handled if one["leak"]] == [first["id"], last["id"]]
    assert not server.allows(first["key"])
    assert not server.allows(last["key"])
    two = server.cli("leak", "report", "--id", "x", stdin=b"a\nb\n")
    assert (two.code, "one secret" in two.err) == (2, True)
    none = server.cli("leak", "report", str(tmp_path))
    assert (none.code, str(tmp_path) in none.err) == (2, True)
