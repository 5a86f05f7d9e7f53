"""TeraCLOUD's REST API: `/v2/api` and `/ba`, what a program is told of the user it acts for."""

from latchgate.doors.teracloud.app import BELOW, application

__all__ = ["BELOW", "application"]
