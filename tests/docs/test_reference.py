"""docs/reference is current, and nothing is missing from it."""

import re
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
import rich_click as click
from tests.docs.transcript import ROOT

from latchgate import cli, config_entries
from latchgate.core.dialects.table import TABLE
from latchgate.core.kinds import (
    account_password,
    api_token,
    app_password,
    application_key,
    imported_key,
    oidc_bearer,
    service_key,
)
from latchgate.core.policy_entries import AreaEntry, ProviderEntry, RuleEntry, ServiceEntry
from latchgate.core.reason import Reason
from latchgate.doors.manage.app import OPERATIONS

REFERENCE = ROOT / "docs/reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "docs/generate.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_pages_are_those_that_the_code_makes():
    made = generate("--check")
    assert (made.returncode, made.stderr) == (0, "")


def test_a_stale_page_is_named_and_fails(tmp_path):
    copy = tmp_path / "docs"
    (copy / "reference").mkdir(parents=True)
    program = (ROOT / "docs/generate.py").read_text(encoding="utf-8")
    (copy / "generate.py").write_text(program, encoding="utf-8")
    for name in ("cli.md", "configuration.md", "management-api.md", "reasons.md"):
        (copy / "reference" / name).write_text(page(name), encoding="utf-8")
    (copy / "reference/policy.md").write_text(page("policy.md") + "\n", encoding="utf-8")
    made = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 1
    assert made.stderr == "docs/reference/policy.md is stale; run: python docs/generate.py\n"


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.ALLOWED])
def test_every_reason_has_its_row_with_every_answer(reason):
    (row,) = re.findall(rf"^\| `{reason}` \|.*$", page("reasons.md"), re.MULTILINE)
    for public in TABLE[reason].values():
        assert f"{public.status} `{public.code}`" in row
        assert public.text in row


@pytest.mark.parametrize(
    ("entry", "prefix"),
    [
        (config_entries.ConfigEntry, ""),
        (config_entries.ListenEntry, "listen."),
        (config_entries.GatewaysEntry, "gateways."),
        (config_entries.TlsEntry, "tls."),
        (config_entries.AccessLogEntry, "access_log."),
    ],
)
def test_every_configuration_key_has_its_row(entry, prefix):
    for field in msgspec.structs.fields(entry):
        assert f"| `{prefix}{field.name}` |" in page("configuration.md")


SETTINGS = [
    kind.Settings
    for kind in (
        account_password,
        api_token,
        app_password,
        application_key,
        imported_key,
        oidc_bearer,
        service_key,
    )
]


@pytest.mark.parametrize(
    "entry", [ProviderEntry, ServiceEntry, AreaEntry, RuleEntry, *SETTINGS], ids=str
)
def test_every_policy_key_has_its_row(entry):
    for field in msgspec.structs.fields(entry):
        assert f"| `{field.name}` |" in page("policy.md")


def verbs(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from verbs(below, f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize(("path", "command"), list(verbs(cli.main, "latchgate")))
def test_every_verb_has_its_section_with_every_option(path, command):
    _, _, rest = page("cli.md").partition(f"## `{path}`\n")
    section = rest.partition("\n## ")[0]
    assert section
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for name in parameter.opts:
                assert f"`{name}`" in section
        else:
            assert parameter.make_metavar(click.Context(command)) in section


def names_read(files):
    """Return the settings that source files name: variables, or in integrations a framework's."""
    return {
        name
        for file in files
        for name in re.findall(r"\"(LATCHGATE_[A-Z_]+)\"", file.read_text(encoding="utf-8"))
    }


INTEGRATIONS = ROOT / "src/latchgate/integrations"


def test_every_environment_variable_is_told():
    files = (ROOT / "src/latchgate").rglob("*.py")
    read = names_read(file for file in files if INTEGRATIONS not in file.parents)
    assert read
    for name in read:
        assert f"| `{name}` |" in page("cli.md")


@pytest.mark.parametrize("framework", ["django", "flask"])
def test_every_setting_of_an_integration_is_told(framework):
    howto = (ROOT / f"docs/howto/{framework}.md").read_text(encoding="utf-8")
    read = names_read([INTEGRATIONS / f"{framework}.py"])
    assert read
    for name in read:
        assert f"| `{name}` |" in howto


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_route_has_its_row_with_its_scope(operation):
    text = re.escape(f"| `{operation.method} {operation.path}` |")
    (row,) = re.findall(rf"^{text}.*$", page("management-api.md"), re.MULTILINE)
    assert f"`{operation.scope}`" in row if operation.scope is not None else "public" in row
