"""What profiles of each cloud may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from latchgate.client.sources.source import Wanted

if TYPE_CHECKING:  # each is loaded when a profile is one of its cloud
    from latchgate.client.flow import Cloud

OAUTH2 = "oauth2"


@dataclass(frozen=True, slots=True)
class Kind:
    """A cloud as profiles know it.

    `public` are the fields of its credential that are no secret, `settings` further arguments of
    its class, `shown` what only `latchgate env` uses; `fetched` says that its tokens are kept.
    """

    module: str
    type: str
    public: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    fetched: bool = False

    def wanted(self, settings: Mapping[str, str]) -> Wanted:
        """Return what makes a credential there."""
        if self.module == OAUTH2:
            return _OAUTH2[settings.get("grant", "client_credentials")]
        found: Wanted = self._module().WANTED
        return found

    def made(self, **arguments: Any) -> Cloud:
        """Make the cloud."""
        cloud: Cloud = getattr(self._module(), self.type)(**arguments)
        return cloud

    def _module(self) -> Any:
        return import_module(f"latchgate.client.clouds.{self.module}")


CLOUDS: Mapping[str, Kind] = {
    "wayscloud": Kind("wayscloud", "WaysCloud"),
    "upcloud": Kind("upcloud", "UpCloud", public=("username",)),
    "teracloud": Kind("teracloud", "TeraCloud", public=("user",), settings=("via",)),
    "kakaocloud": Kind(
        "kakaocloud",
        "KakaoCloud",
        public=("access_key_id", "access_key_name", "user_id"),
        shown=("region",),
        fetched=True,
    ),
    OAUTH2: Kind(
        OAUTH2,
        "OAuth2",
        public=("client_id",),
        settings=(
            *("issuer", "token_url", "device_url"),
            *("grant", "scope", "resource", "audience", "auth"),
        ),
        fetched=True,
    ),
    "latchgate": Kind("latchgate", "Latchgate"),
}
# There are no variables that OAuth2's clients agree on, so no source that goes by them has any.
_OAUTH2: Mapping[str, Wanted] = {
    "client_credentials": Wanted("OAuth2", (("client_id", "client_secret"),), {}, optional=()),
    "device": Wanted("OAuth2", (("client_id",),), {}, optional=("client_secret",)),
    "refresh": Wanted("OAuth2", (("client_id", "refresh_token"),), {}, optional=("client_secret",)),
}
GRANTS = tuple(_OAUTH2)
