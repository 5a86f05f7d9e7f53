"""The management API, `/manage/v1`: a table of routes, the shapes they take, its OpenAPI."""

from latchgate.doors.manage.app import application
from latchgate.doors.manage.door import Door

__all__ = ["Door", "application"]
