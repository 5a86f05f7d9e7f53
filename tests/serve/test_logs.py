"""The log: one JSON line an entry, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest
from tests.world import FILES, World, compiled

from latchgate.core.redact import redactor
from latchgate.serve.logs import RedactedStream, RedactingFormatter

CONFIGURED = """
import logging, sys, warnings
from latchgate.core.redact import redactor
from latchgate.serve.logs import configure
configure(redactor([r"(wayscloud_storage_x_)[A-Za-z0-9]+"]))
SECRET = "wayscloud_storage_x_abcdefghij"
for name in sys.argv[1:]:
    logging.getLogger(name).error("from %s: %s", name, SECRET)
logging.getLogger("uvicorn.error").info("chatter")
warnings.warn(SECRET)
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("logs"))
    yield world.key()
    world.close()


@pytest.fixture(scope="module")
def formatter():
    return RedactingFormatter(redactor(compiled(FILES, 1).patterns()))


def line(formatter, message, *args, exc_info=None, **extra):
    made = logging.LogRecord("some.logger", logging.ERROR, "f.py", 1, message, args, exc_info)
    for name, value in extra.items():
        setattr(made, name, value)
    out = formatter.format(made)
    assert "\n" not in out
    return out


def test_an_entry_is_one_line_of_json_with_level_logger_and_time(formatter):
    told = json.loads(line(formatter, "it %s", "happened"))
    assert (told["event"], told["level"], told["logger"]) == ("it happened", "error", "some.logger")
    assert told["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "words",
    [
        "{}",
        "Bearer {}",
        "Authorization: Bearer {}",
        "{{'authorization': 'Bearer {}'}}",
        '{{"x-api-key": "{}"}}',
        "GET /v1/storage/{}?a=b",
        "/a;api_key={};b=c",
        "two\nlines {}\n",
        '"quoted" {}',
        "key={}&other=1",
        "%3D{}%26",
        "({})",
        "x{}x",
    ],
)
def test_no_secret_passes_in_words_or_arguments(formatter, key, words):
    for out in (
        line(formatter, words.format(key.text).replace("%", "%%") % ()),
        line(formatter, "%s", words.format(key.text)),
        line(formatter, "%r", words.format(key.text)),
        line(formatter, "%s", {"headers": [(b"authorization", words.format(key.text).encode())]}),
    ):
        assert key.text not in out
        assert key.text.rpartition("_")[2] not in out
        json.loads(out)


def test_no_secret_passes_in_an_exception_or_its_cause(formatter, key):
    error = RuntimeError(f"outer {key.text}")
    error.__cause__ = ValueError(f"inner {key.text}")
    out = line(formatter, "failed", exc_info=(RuntimeError, error, None))
    assert key.text not in out
    told = json.loads(out)
    assert "RuntimeError: outer" in told["exception"]
    assert "ValueError: inner" in told["exception"]


def test_no_secret_passes_in_extra_fields(formatter, key):
    assert key.text not in line(formatter, "x", headers={"Authorization": f"Bearer {key.text}"})


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2hunter2",
        'password="hunter2hunter2"',
        '{"password": "hunter2hunter2"}',
        "Authorization: Basic aHVudGVyMmh1bnRlcjI=",
        "authorization=Bearer hunter2hunter2",
        "X-Auth-Token: hunter2hunter2",
        "token=hunter2hunter2",
    ],
)
def test_what_any_program_might_carry_is_masked(formatter, text):
    out = line(formatter, "%s", text)
    assert "hunter2" not in out
    assert "aHVudGVyMm" not in out
    json.loads(out)


def test_what_names_a_key_stays_readable(formatter, key):
    assert f"wayscloud_storage_{key.id}_" in line(formatter, "refused %s", key.text)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\n{}", "\x1b[31m", "\x00", "\u2028", "\x9b2J", '"}{"']
)
def test_no_text_forges_a_line_or_drives_a_terminal(formatter, text):
    # ATTACKS D7.61.
    out = line(formatter, "user %s", text)
    assert json.loads(out)["event"] == f"user {text}"
    assert all(32 <= ord(char) < 127 for char in out)


def test_a_value_that_is_no_json_is_told_all_the_same(formatter):
    assert "object at" in json.loads(line(formatter, "%s", object()))["event"]


def test_every_logger_goes_through_the_one_handler():
    names = ["latchgate", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "other"]
    command = [sys.executable, "-c", CONFIGURED, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "abcdefghij" not in done.stderr
    told = [json.loads(text) for text in done.stderr.splitlines()]
    assert [one["event"].split(":")[0] for one in told[:-1]] == [f"from {name}" for name in names]
    assert told[-1]["logger"] == "py.warnings"


def test_a_stream_masks_whole_lines_however_they_are_written(key):
    below = io.StringIO()
    stream = RedactedStream(below, redactor(compiled(FILES, 1).patterns()))
    for piece in ("one ", key.text[:20], key.text[20:], "\nBearer ", key.text, "\nhalf"):
        stream.write(piece)
    assert key.text not in below.getvalue()
    assert below.getvalue().count("\n") == 2
    stream.flush()
    assert below.getvalue().endswith("\nhalf")


def test_what_goes_round_the_loggers_is_masked_too():
    program = """
import logging, sys, threading, traceback
from latchgate.core.redact import redactor
from latchgate.serve.logs import configure
configure(redactor())
own = logging.getLogger("own")
own.propagate = False
own.addHandler(logging.StreamHandler())
own.error("token=abcdefghij 1")
print("token=abcdefghij 2", file=sys.stderr)
def fails():
    raise RuntimeError("token=abcdefghij 3")
thread = threading.Thread(target=fails)
thread.start()
thread.join()
try:
    fails()
except RuntimeError:
    traceback.print_exc()
fails()
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "abcdefghij" not in done.stderr
    assert done.stderr.count("token=*** 3") == 3
