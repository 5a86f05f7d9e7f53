"""One WAYSCloud for the session: Latchgate, nginx in front of a store, a language model, the rest.

Nothing here is restarted or reconfigured by a test; keys are each test's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.e2e.stack import Gateway, Key, Latchgate, Upstream, free_address, text_of

# What the document's samples ask for beside storage and the language model: one service for all.
REST = """\
        location ^~ /v1/ {{
            include latchgate-protect.conf;
            proxy_pass http://{0};
        }}

        # All the rest"""


@dataclass(frozen=True)
class Cloud:
    """A WAYSCloud of one's own; `objects` is the folder in which its buckets are."""

    latchgate: Latchgate
    gateway: Gateway
    objects: Path
    authority: Authority
    secure: str  # as `url`, over TLS

    @property
    def url(self) -> str:
        """What takes the place of https://api.wayscloud.services."""
        return self.gateway.url

    def key(self, *services: str) -> Key:
        """Make a key."""
        return self.latchgate.key(*services)

    def bucket(self, name: str) -> Path:
        """Return the folder of a bucket, there or not."""
        return self.objects / name


@pytest.fixture(scope="session")
def wayscloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Latchgate and nginx with the shipped configuration, in front of the example upstreams."""
    root = tmp_path_factory.mktemp("objects")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    pair, secure = authority.issue("server"), free_address()

    def edit(text: str) -> str:
        text = text.replace("        # All the rest", REST.format(text_of(rest.address)), 1)
        return text.replace(
            "        # listen 443 ssl",
            f"        listen {text_of(secure)} ssl;"
            f" ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};"
            "\n        # listen 443 ssl",
            1,
        )

    with (
        Latchgate(tmp_path_factory.mktemp("latchgate")) as server,
        Upstream("storage", tmp_path_factory.mktemp("storage")) as storage,
        Upstream("llm", tmp_path_factory.mktemp("llm")) as llm,
        Upstream("echo", tmp_path_factory.mktemp("echo")) as rest,
    ):
        server.serve(workers=1)
        storage.start("--root", str(root))
        llm.start("--delay", "0.3")
        rest.start()
        with Gateway(
            tmp_path_factory.mktemp("gateway"),
            verify=server.verify,
            objects=storage.address,
            llm=llm.address,
            api=server.api,
            edit=edit,
        ) as gateway:
            gateway.start()
            yield Cloud(server, gateway, root, authority, f"https://{text_of(secure)}")


@pytest.fixture(scope="session")
def storage_key(wayscloud: Cloud) -> Key:
    """A key for storage that no test may revoke."""
    return wayscloud.key("storage")


@pytest.fixture(scope="session")
def llm_key(wayscloud: Cloud) -> Key:
    """A key for the language model that no test may revoke."""
    return wayscloud.key("llm")
