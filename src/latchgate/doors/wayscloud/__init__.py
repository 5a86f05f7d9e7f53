"""WAYSCloud's dashboard API, `/api/v1/dashboard`: the own keys and the own account."""

from latchgate.doors.wayscloud.app import BELOW, application

__all__ = ["BELOW", "application"]
