"""The provider's command line, `upctl`, with the document's own command."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from interop.upcloud.golang import go
from tests.asking import allows

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

UPCTL = "github.com/UpCloudLtd/upcloud-cli/v3/cmd/upctl@v3.35.0"
# As the document prints it, "Creating API tokens".
COMMAND = (
    "account token create --name terraform --expires-in 1h --allow-ip-range 1.2.3.4"
    " --allow-ip-range ::/0 --allow-ip-range 2.3.4.0/24"
)
FAILED = 103  # what it ends with when the credential is wrong


@pytest.fixture(scope="module")
def upctl(tmp_path_factory, server):
    """Return a way to run it with a token and only the host changed."""
    folder = tmp_path_factory.mktemp("upctl")
    go(folder, "install", UPCTL)

    def run(token, *arguments):
        env = {name: value for name, value in os.environ.items() if not name.startswith("UPCLOUD")}
        env |= {"UPCLOUD_DEBUG_API_BASE_URL": server.addresses["api"], "UPCLOUD_TOKEN": token}
        return subprocess.run(
            [folder / "upctl", "-o", "json", *arguments],
            env=env | {"HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def test_the_documents_command_makes_a_token_that_is_listed_shown_and_deleted(upctl, main, server):
    own = main.headers["Authorization"].removeprefix("Bearer ")
    assert json.loads(upctl(own, "account", "show").stdout)["username"]
    made = upctl(own, *COMMAND.split())
    assert made.returncode == 0, made.stderr
    token = json.loads(made.stdout)
    text = {"Authorization": f"Bearer {token['token']}"}
    assert token["allowed_ip_ranges"] == ["1.2.3.4", "::/0", "2.3.4.0/24"]
    assert allows(server, "/1.3/server", text, client="2.3.4.5")
    assert not allows(server, "/1.3/server", text, client="1.2.3.5")
    listed = upctl(own, "account", "token", "list")
    assert token["id"] in listed.stdout
    assert upctl(own, "account", "token", "show", "terraform").returncode == 0
    assert upctl(own, "account", "token", "delete", token["id"]).returncode == 0
    assert not allows(server, "/1.3/server", text, client="2.3.4.5")


def test_a_wrong_token_is_read_as_one(upctl):
    run = upctl(f"ucat_{'0' * 26}", "account", "show")
    assert run.returncode == FAILED, run.stderr
