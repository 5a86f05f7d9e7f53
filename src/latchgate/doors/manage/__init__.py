"""The management API, `/manage/v1`: a table of routes, the shapes they take, its OpenAPI."""

from latchgate.doors.manage.app import BELOW, application

__all__ = ["BELOW", "application"]
