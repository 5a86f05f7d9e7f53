"""The samples of docs/howto/call-….md, run as they stand: a first call, refusals, and attacks.

Against Latchgate serving each cloud behind nginx with TLS; what no well-behaved cloud does
(redirect elsewhere, lie about the user's node, end tokens early) is done by a stage.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.certificates import Pair
from tests.client.stage import Asked, Said, Stage
from tests.clients.callers import SAMPLES, VARIABLES, Caller, cloud_of, go_programs
from tests.e2e.stack import ApiGateway, DavGateway, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PUBLISHED = "FEF5078EA41D182EEF89A21E034BD680"  # the key that TeraCLOUD's own samples show
USER = "jörg"
of_sample = pytest.mark.parametrize("sample", SAMPLES)


def of(cloud: str) -> list[str]:
    """Return the samples of a cloud."""
    return [one for one in SAMPLES if cloud_of(one) == cloud]


@dataclass(frozen=True)
class Served:
    """A cloud that Latchgate serves: a credential that stands, one that does not, what is said."""

    right: dict[str, str]
    wrong: dict[str, str]
    prints: str
    refusal: str  # as its document has it


@pytest.fixture(scope="module")
def pair(wayscloud):
    return wayscloud.authority.issue("callers")


@pytest.fixture(scope="module")
def served(wayscloud, pair, tmp_path_factory) -> Iterator[dict[str, Served]]:
    server = wayscloud.latchgate
    with ExitStack() as stack:
        api = stack.enter_context(
            ApiGateway(
                tmp_path_factory.mktemp("api"), verify=server.verify, api=server.api, pair=pair
            )
        )
        dav = stack.enter_context(
            DavGateway(
                tmp_path_factory.mktemp("dav"), verify=server.verify, rest=server.api, pair=pair
            )
        )
        # Both of TeraCLOUD on one host: Latchgate itself answers its REST API.
        main = dav.folder / "nginx.conf"
        head, place, rest = main.read_text("utf-8").partition("location ^~ /v2/api/ {")
        assert place
        rest = rest.replace("latchgate-protect.conf", "latchgate-api.conf", 1)
        main.write_text(head + place + rest, "utf-8")
        api.start()
        dav.start()
        yield {
            "wayscloud": of_wayscloud(wayscloud),
            "upcloud": of_upcloud(server, api.secure),
            "kakaocloud": of_kakaocloud(server, api.secure),
            "teracloud": of_teracloud(server, dav.secure, text_of(dav.address)),
        }


def altered(secret: str) -> str:
    """Return another secret of the same make."""
    return secret[:-8] + ("A" * 8 if secret[-8:] != "A" * 8 else "B" * 8)


def of_wayscloud(cloud) -> Served:
    cloud.bucket("for-callers").mkdir()
    key = cloud.key("storage").text
    right = {"WAYSCLOUD_API_URL": cloud.secure, "WAYSCLOUD_API_KEY": key}
    return Served(
        right,
        right | {"WAYSCLOUD_API_KEY": altered(key)},
        "<Bucket><Name>for-callers</Name></Bucket>",
        "AUTH_FAILED",
    )


def of_upcloud(server, url: str) -> Served:
    made = server.call("POST", "/manage/v1/account/tokens", {"name": "caller", "expires_in": "1h"})
    right = {"UPCLOUD_DEBUG_API_BASE_URL": url, "UPCLOUD_TOKEN": made["token"]}
    name = server.call("GET", "/manage/v1/account")["user"]["name"]
    return Served(
        right, right | {"UPCLOUD_TOKEN": altered(made["token"])}, name, "AUTHENTICATION_FAILED"
    )


def of_kakaocloud(server, url: str) -> Served:
    made = server.call("POST", "/manage/v1/account/access-keys", {"name": "caller"})
    right = {
        "OS_AUTH_URL": f"{url}/identity/v3",
        "OS_APPLICATION_CREDENTIAL_ID": made["id"],
        "OS_APPLICATION_CREDENTIAL_SECRET": made["secret"],
    }
    project = server.call("GET", "/manage/v1/account")["project_id"]
    return Served(
        right,
        right | {"OS_APPLICATION_CREDENTIAL_SECRET": altered(made["secret"])},
        f"{project} default\n",
        "requires authentication",
    )


def of_teracloud(server, url: str, node: str) -> Served:
    basic = server.call("POST", "/manage/v1/account/basic", {"login": USER})
    tenant = server.call("GET", "/manage/v1/account")["tenant_id"]
    test_key = {"api_key": PUBLISHED, "tenants": [tenant]}
    server.call("PUT", "/manage/v1/applications/test-key", test_key)
    storage = {"node": node, "quota": 20 * 1024**3}
    server.call("PATCH", f"/manage/v1/users/{basic['user_id']}/storage", storage)
    right = {
        "TERACLOUD_URL": url,
        "TERACLOUD_USER": USER,
        "TERACLOUD_PASSWORD": basic["password"],
        "TERACLOUD_API_KEY": PUBLISHED,
    }
    wrong = right | {"TERACLOUD_PASSWORD": altered(basic["password"])}
    return Served(right, wrong, f"{USER} on {node}, 20 GB\n", "401")


@pytest.fixture(scope="session")
def go(tmp_path_factory) -> Path:
    return go_programs(tmp_path_factory.mktemp("go"))


@pytest.fixture
def call(wayscloud, go, tmp_path) -> Caller:
    return Caller(tmp_path, go, wayscloud.authority.file)


@of_sample
def test_a_sample_makes_its_first_call(served, call, sample):
    cloud = served[cloud_of(sample)]
    done = call(sample, cloud.right)
    assert (done.status, done.stderr) == (0, "")
    if sample == "teracloud/curl_matrix.sh":
        assert json.loads(done.stdout)["dataset"]["__ROOT__"]["quota"] == 20 * 1024**3
    else:
        assert cloud.prints in done.stdout


@of_sample
def test_a_wrong_credential_is_told_as_the_document_has_it_and_shown_nowhere(served, call, sample):
    cloud = served[cloud_of(sample)]
    done = call(sample, cloud.wrong)
    assert done.status != 0
    assert cloud.refusal in done.stdout + done.stderr
    for name in VARIABLES[cloud_of(sample)].secrets:
        assert cloud.wrong[name] not in done.stdout + done.stderr


@pytest.mark.parametrize("sample", of("wayscloud"))
def test_another_services_key_is_told_as_the_document_has_it(served, call, sample, llm_key):
    done = call(sample, served["wayscloud"].right | {"WAYSCLOUD_API_KEY": llm_key.text})
    assert done.status != 0
    assert "INSUFFICIENT_PERMISSIONS" in done.stdout + done.stderr


@pytest.mark.parametrize("sample", of("teracloud"))
def test_an_unknown_api_key_is_403(served, call, sample):
    done = call(sample, served["teracloud"].right | {"TERACLOUD_API_KEY": "0" * 32})
    assert done.status != 0
    assert "403" in done.stdout + done.stderr


@pytest.mark.parametrize("sample", of("wayscloud"))
def test_without_a_credential_nothing_is_sent_and_its_variable_is_named(call, sample):
    told = VARIABLES[cloud_of(sample)]
    with Stage() as stage:
        done = call(sample, {told.url: stage.url})
        assert stage.asked == []
    assert done.status != 0
    assert told.needed[0] in done.stderr


@pytest.mark.parametrize("sample", [one for one in SAMPLES if not one.endswith("/python.py")])
def test_without_tls_nothing_is_sent(call, sample):
    """The library, which exempts this machine itself, has tests of its own."""
    told = VARIABLES[cloud_of(sample)]
    with Stage() as stage:
        done = call(sample, made_up(sample) | {told.url: stage.url + told.path})
        assert stage.asked == []
    assert done.status != 0


@pytest.mark.parametrize("sample", of("wayscloud"))
def test_a_certificate_of_nobody_known_is_refused(go, pair, tmp_path, sample):
    told = VARIABLES[cloud_of(sample)]
    with Stage(tls=context(pair)) as stage:
        strange = Caller(tmp_path, go, None)
        done = strange(sample, made_up(sample) | {told.url: stage.url + told.path})
        assert stage.asked == []
    assert done.status != 0
    assert "certificate" in done.stderr.lower()


@of_sample
def test_credentials_follow_no_redirect_and_stand_in_no_command_line(call, pair, tmp_path, sample):
    (tmp_path / ".netrc").write_text("default login nobody password decoy\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    told, env = VARIABLES[cloud_of(sample)], made_up(sample)
    secrets = [env[name].encode() for name in told.secrets]
    lines: list[bytes] = []
    with (
        Stage(lambda _: Said(401), context(pair)) as elsewhere,
        Stage(tls=context(pair)) as stage,
    ):
        other = elsewhere.url.replace("127.0.0.1", "localhost")

        def answer(asked: Asked) -> Said:
            lines.extend(command_lines())
            # 307 keeps method and body, an exchange's secret with them.
            return Said(307, headers={"Location": f"{other}{asked.path}"})

        stage.answer = answer
        done = call(sample, env | {told.url: stage.url + told.path})
        assert done.status != 0
        assert len(stage.asked) == 1
        assert any(secret in sent(stage.asked[0]) for secret in secrets)
        for asked in elsewhere.asked:
            assert not any(secret in sent(asked) for secret in secrets)
        assert b"decoy" not in b"".join(map(sent, stage.asked + elsewhere.asked))
    assert lines
    assert not [line for line in lines for secret in secrets if secret in line]


@pytest.mark.parametrize("sample", of("kakaocloud"))
def test_a_token_that_ended_early_is_replaced_once_and_no_third_is_asked_for(call, pair, sample):
    told = VARIABLES["kakaocloud"]
    with Stage(tls=context(pair)) as stage:

        def answer(asked: Asked) -> Said:
            if asked.method == "POST":
                exchanged.append(asked)
                return Said(201, ISSUED, {"X-Subject-Token": f"token-{len(exchanged)}"})
            if asked.header("X-Auth-Token") in refused:
                return Said(401, b'{"error": {"code": 401, "message": "ended"}}')
            if asked.path.partition("?")[0].endswith(
                "/auth/tokens"
            ):  # the library asks whose it is
                return Said(200, ISSUED)
            return Said(200, b'{"projects": [{"id": "p1", "name": "one"}]}')

        stage.answer = answer
        env = made_up(sample) | {told.url: stage.url + told.path}
        exchanged: list[Asked] = []
        refused = {"token-1"}
        done = call(sample, env)
        assert (done.status, done.stdout, len(exchanged)) == (0, "p1 one\n", 2), done
        exchanged.clear()
        refused = {"token-1", "token-2"}
        done = call(sample, env | {"XDG_CACHE_HOME": f"{call.home}/other"})
        assert done.status != 0
        assert len(exchanged) == 2
    assert "ended" in done.stderr


@pytest.mark.parametrize(
    "sample",
    [one for one in of("teracloud") if "matrix" not in one],
)
def test_a_lie_about_the_users_node_moves_no_password(call, pair, sample):
    told = VARIABLES["teracloud"]
    with Stage(tls=context(pair)) as elsewhere, Stage(tls=context(pair)) as stage:
        place = elsewhere.url.removeprefix("https://").replace("127.0.0.1", "localhost")
        for lie in (place, f"a.teracloud.jp:80@{place}", f"{place}\\.teracloud.jp"):
            account = {"result": 0, "user": "u", "node": lie, "capacity": 1}
            account["webdav_url"] = f"https://{lie}/dav/"
            body = json.dumps(account).encode()
            stage.answer = partial(said, Said(200, body))
            done = call(sample, made_up(sample) | {told.url: stage.url})
            assert done.status != 0, lie
        assert len(stage.asked) == 3
        assert elsewhere.asked == []


@pytest.mark.parametrize("library", ["aiohttp", "httpx", "httpx2", "requests", "urllib"])
def test_an_adapter_sends_the_credential(served, call, library):
    cloud = served["upcloud"]
    done = call(f"library/with_{library}.py", cloud.right)
    assert (done.status, set(done.stdout.split())) == (0, {cloud.prints}), done


def test_a_refusal_is_told_apart_with_its_decision(served, call, wayscloud):
    done = call("library/refused.py", served["upcloud"].wrong)
    assert done.status == 0, done
    assert "(401 AUTHENTICATION_FAILED" in done.stdout
    decision = done.stdout.split()[-1]
    assert wayscloud.latchgate.explain(decision)["reason"] == "credential_unknown"


def test_the_library_keeps_a_key_back(call):
    done = call("library/kept_back.py", {})
    assert done.status == 0, done
    shown, *errors = done.stdout.splitlines()
    assert shown == "… WaysCloud(url='https://api.wayscloud.services', source='argument')"
    assert "none of WAYSCloud's hosts" in errors[0]
    assert "over TLS only" in errors[1]
    assert "environment: WAYSCLOUD_API_KEY" in done.stdout
    assert "YourSecretKey" not in done.stdout


def test_a_source_is_chosen(served, call):
    token = served["upcloud"].right["UPCLOUD_TOKEN"]
    (call.home / "production.env").write_text(f"UPCLOUD_TOKEN={token}\n", encoding="utf-8")
    (call.home / "production.env").chmod(0o600)
    (call.home / "vault.py").write_text(f"print({token!r})", encoding="utf-8")
    done = call("library/sources.py", {"UPCLOUD_TOKEN": token})
    assert done.status == 0, done
    for line, name in zip(
        done.stdout.splitlines(), ("environment", "production.env", "command"), strict=True
    ):
        assert name in line


def test_a_credential_is_validated_before_long_work(served, call):
    done = call("library/long_work.py", served["kakaocloud"].right)
    assert done.status == 0, done
    assert "environment OS_APPLICATION_CREDENTIAL_ID" in done.stdout
    refused = call(
        "library/long_work.py",
        served["kakaocloud"].wrong | {"XDG_CACHE_HOME": f"{call.home}/other"},
    )
    assert "AuthenticationFailed" in refused.stderr


ISSUED = json.dumps(
    {
        "token": {
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2026-01-01T12:00:00.000000Z",
            "user": {"id": "u1", "name": "one"},
            "project": {"id": "p1", "name": "one"},
            "roles": [{"id": "r1", "name": "member"}],
        }
    }
).encode()


def made_up(sample: str) -> dict[str, str]:
    """Return credentials that nobody issued, as a stage takes them."""
    told = VARIABLES[cloud_of(sample)]
    return {
        **dict.fromkeys(told.others, "u-0123456789"),
        **{name: f"made-up-{name.lower()}" for name in told.secrets},
        **({"TERACLOUD_API_KEY": "0123456789ABCDEF" * 2} if "teracloud" in sample else {}),
    }


def said(answer: Said, _: Asked) -> Said:
    return answer


def context(pair: Pair) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pair.certificate, pair.key)
    return made


def sent(asked: Asked) -> bytes:
    """Return all that came with a request, what is Basic decoded."""
    told = [asked.path.encode(), asked.body]
    for value in asked.headers.values():
        told.append(value.encode())
        if value.startswith("Basic "):
            told.append(base64.b64decode(value[6:]))
    return b"\n".join(told)


def command_lines() -> list[bytes]:
    """Return the command lines that anybody on this machine can read now."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(process.read_bytes())
        except OSError:  # it has ended
            continue
    return found
