"""The samples of examples/clouds as programs: what runs each, and what it is told from outside.

Nothing of a sample is changed: addresses, credentials and whose certificates count come from the
environment, as they do where it is deployed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.installed import NODE_MODULES, Done, run
from tests.e2e.stack import ROOT, environment

CLOUDS = ROOT / "examples" / "clouds"
LANGUAGES = (".py", ".mjs", ".php", ".go", ".sh")


@dataclass(frozen=True)
class Variables:
    """What a cloud's samples read: the address, which may be left out, and what is secret."""

    url: str
    path: str  # of the address
    secrets: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """What no sample works without."""
        return self.others + self.secrets


VARIABLES = {
    "wayscloud": Variables("WAYSCLOUD_API_URL", "", ("WAYSCLOUD_API_KEY",)),
    "upcloud": Variables("UPCLOUD_DEBUG_API_BASE_URL", "", ("UPCLOUD_TOKEN",)),
    "kakaocloud": Variables(
        "OS_AUTH_URL",
        "/identity/v3",
        ("OS_APPLICATION_CREDENTIAL_SECRET",),
        ("OS_APPLICATION_CREDENTIAL_ID",),
    ),
    "teracloud": Variables(
        "TERACLOUD_URL", "", ("TERACLOUD_PASSWORD", "TERACLOUD_API_KEY"), ("TERACLOUD_USER",)
    ),
}

SAMPLES = tuple(
    sorted(
        str(file.relative_to(CLOUDS))
        for cloud in VARIABLES
        for file in (CLOUDS / cloud).iterdir()
        if file.suffix in LANGUAGES
    )
)


def cloud_of(sample: str) -> str:
    """Return the cloud that a sample calls."""
    return sample.partition("/")[0]


def go_programs(folder: Path) -> Path:
    """Compile every Go sample in one go, and return the folder of the programs."""
    for cloud in VARIABLES:
        (folder / cloud).mkdir()
        shutil.copy(CLOUDS / cloud / "main.go", folder / cloud)
    (folder / "go.mod").write_text("module samples\n\ngo 1.19\n", encoding="utf-8")
    done = subprocess.run(
        ["go", "build", "-o", "built/", "./..."],
        capture_output=True,
        text=True,
        # Plain Go: nothing is linked with C, and no module or other toolchain is looked for.
        env=environment(CGO_ENABLED="0", GOFLAGS="-mod=mod", GOTOOLCHAIN="local"),
        cwd=folder,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "built"


@dataclass(frozen=True)
class Caller:
    """Runs samples in a home of their own; `authority` is whose certificates count."""

    home: Path
    go: Path
    authority: Path | None

    def __call__(self, sample: str, env: Mapping[str, str]) -> Done:
        """Run one to its end, with nothing of whoever runs the tests: no files, no keyring."""
        whose = {
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        if self.authority is not None:
            names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")
            whose |= dict.fromkeys(names, str(self.authority))
        return run(*self._command(sample), home=self.home, env={**whose, **env}, status=None)

    def _command(self, sample: str) -> list[str]:
        file = CLOUDS / sample
        if file.suffix == ".py":
            return [sys.executable, str(file)]
        if file.suffix == ".go":
            return [str(self.go / file.parent.name)]
        if file.suffix == ".php":
            authority = self.authority or ""
            return ["php", "-d", f"curl.cainfo={authority}", str(file)]
        if file.suffix == ".sh":
            return ["sh", str(file)]
        # Node looks for packages beside the program.
        modules = self.home / "node_modules"
        if not modules.is_symlink():
            modules.symlink_to(NODE_MODULES)
        shutil.copy(file, self.home)
        return ["node", str(self.home / file.name)]
