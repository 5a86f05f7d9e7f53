"""UpCloud's API `/1.3`: accounts, subaccounts, permissions and API tokens, in JSON and in XML."""

from latchgate.doors.upcloud.app import BELOW, application

__all__ = ["BELOW", "application"]
