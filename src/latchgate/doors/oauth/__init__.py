"""OAuth2 and OpenID Connect over HTTP: what programs ask at the console's address."""

from latchgate.doors.oauth.app import endpoints

__all__ = ["endpoints"]
