"""The identity API, Keystone v3, as KakaoCloud has it: tokens, versions, own projects and keys."""

from latchgate.doors.keystone.app import BELOW, application

__all__ = ["BELOW", "application"]
