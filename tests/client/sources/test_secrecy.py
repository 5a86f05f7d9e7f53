"""No error, warning or repr of a source holds a secret, whatever is wrong with what it reads."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.client.sources.written import write

from latchgate.client import ClientError, KakaoCloud, UpCloud, WaysCloud
from latchgate.client.clouds.kakaocloud import WANTED as KAKAOCLOUD
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.clouds.wayscloud import WANTED as WAYSCLOUD
from latchgate.client.sources import ClientFile, Command, DotEnv, Environment, Inline, Keyring
from latchgate.client.sources.source import Found, Source, Wanted

_SECRET = "Zq7xV9kLm3"  # in no path, name or message of ours
_CLOUDS = {"UpCloud": UpCloud, "WAYSCloud": WaysCloud, "KakaoCloud": KakaoCloud}
# What a secret may be broken by: quotes, ends, expansions, braces, controls, other alphabets.
_MARKS = st.text(
    st.sampled_from([*" '\"\\\n\r\t$`{}[]:,#;&=!%|<>*~-", "\0", "\x7f", "é", "\u2028", "\ud800"]),
    max_size=6,
)
_SPOILT = st.tuples(_MARKS, _MARKS).map(lambda marks: f"{marks[0]}{_SECRET}{marks[1]}")
_FORMS = [
    "{}",
    "token: {}\n",
    "UPCLOUD_TOKEN={}\n",
    "export UPCLOUD_PASSWORD='{}'\nUPCLOUD_TOKEN=\"{}\"\n",
    '{{"token": "{}"}}',
    '{{"{}": "x", "version": 1}}',
    "username: {}\npassword: [{}\n",
    "token: !!{} x\n",
    "clouds: {{kc: {{auth_type: {}, auth: {{application_credential_secret: {}}}}}}}\n",
    "OS_APPLICATION_CREDENTIAL_ID={}\nOS_APPLICATION_CREDENTIAL_SECRET {}\n",
]


def _sources(folder: Path, text: str) -> Iterator[Source]:
    """Yield every source, reading that text."""
    for name in ("x.env", "x.yaml", "clouds.json"):
        file = folder / name
        file.write_bytes(text.encode(errors="surrogatepass"))
        file.chmod(0o644)
        yield DotEnv(file) if name == "x.env" else ClientFile(file)
    yield ClientFile(folder / "x.yaml", entry="kc")
    yield Keyring(passwords=lambda _service, _user: text)
    yield Keyring(passwords=lambda _service, user: None if user else f"go-keyring-base64:{text}")
    yield Inline(dict.fromkeys(("token", "password", "secret"), text))
    yield Inline({"username": "alice", "password": text})
    yield Inline({"access_key_id": text, "secret": text, "token": "x", "url": text})
    yield Inline({"token": "x", "url": f"https://alice:{text}@x:y"})
    yield Environment({"UPCLOUD_TOKEN": text, "UPCLOUD_PASSWORD": text, "OS_USER_ID": text})
    yield Environment({"WAYSCLOUD_API_URL": text})


def _shown(error: BaseException | None) -> Iterator[str]:
    """Yield all that a log or a debugger shows of an error and of those behind it."""
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)))
        yield from traceback.format_exception_only(error)
        yield from (repr(getattr(error, name, "")) for name in ("doc", "object", "output", "args"))
        error = error.__cause__ or error.__context__


def _told(source: Source, wanted: Wanted) -> list[str]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        said = [repr(source)]
        try:
            found = source.look(wanted)
            said += [repr(found), found.where if isinstance(found, Found) else str(found)]
            _CLOUDS[wanted.cloud](sources=(source,))
        except ClientError as error:
            said += _shown(error)
    return [*said, *(str(one.message) for one in warned)]


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(secret=_SPOILT, form=st.sampled_from(_FORMS))
@example(secret=_SECRET, form="{}")
@example(secret=f"\0{_SECRET}", form="token: {}\n")
@example(secret=f"'{_SECRET}", form='{{"token": "{}"}}')
def test_nothing_that_a_source_says_holds_a_secret(folder, secret, form):
    text = form.replace("{}", secret).replace("{{", "{").replace("}}", "}")
    for source in _sources(folder, text):
        for wanted in (UPCLOUD, WAYSCLOUD, KAKAOCLOUD):
            for said in _told(source, wanted):
                assert _SECRET not in said, (source, wanted.cloud)


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("form", _FORMS)
def test_nothing_that_is_said_of_a_command_holds_what_it_prints(folder, form, status):
    text = form.replace("{}", _SECRET).replace("{{", "{").replace("}}", "}")
    file = write(folder / "said", text)
    program = (
        "import pathlib, sys; said = pathlib.Path(sys.argv[1]).read_text();"
        "print(said); print('failed for', said, file=sys.stderr); sys.exit(int(sys.argv[2]))"
    )
    source = Command([sys.executable, "-c", program, str(file), str(status)])
    for wanted in (UPCLOUD, KAKAOCLOUD):
        for said in _told(source, wanted):
            assert _SECRET not in said


def test_a_program_that_ends_with_a_sources_error_prints_no_secret(folder):
    write(folder / ".env", f"UPCLOUD_TOKEN={_SECRET} x\n")
    write(folder / "clouds.json", json.dumps({"clouds": {"kc": _SECRET}}) + _SECRET)
    for cloud in ("UpCloud", "KakaoCloud"):
        ended = subprocess.run(
            [sys.executable, "-c", f"from latchgate.client import {cloud}; {cloud}()"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "SourceUnreadable" in ended.stderr
        assert _SECRET not in ended.stdout + ended.stderr
