"""A cloud whose credential goes everywhere that any cloud's does, to be looked for."""

from __future__ import annotations

from typing import ClassVar

from tests.client.stage import Asked

from latchgate.client import Secret
from latchgate.client.flow import Cloud, Flow, Send
from latchgate.client.hosts import Hosts
from latchgate.client.message import Target

SECRET = "wayscloud_llm_k1_Zt5sQ0"
NAMES = ("Authorization", "X-API-Key", "X-Auth-Token", "X-TeraCLOUD-API-KEY")


class Everywhere(Cloud):
    """A cloud whose credential goes into every header that any of them uses, or into the path."""

    name: ClassVar[str] = "Everywhere"
    source = "argument"

    def __init__(self, *urls: str, in_path: bool = False, names: frozenset[str] = frozenset()):
        self.url = urls[0]
        origins = frozenset(Target.of(url).origin for url in urls)
        self.hosts = Hosts(self.name, names=names, more=origins)
        self.in_path = in_path

    def signed(self, target: Target) -> Flow:
        if self.in_path:
            yield Send((), path=f"{target.path};api_key={SECRET}(1)")
        else:
            yield Send(tuple((name, SECRET) for name in NAMES))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (Secret(SECRET),)


def held(asked: Asked) -> bool:
    return SECRET in repr(asked)
