"""The verify door: what gateways ask, one URL per gateway family, on a listener of its own."""

from latchgate.doors.verify.protocol import VerifyDoor, VerifyProtocol

__all__ = ["VerifyDoor", "VerifyProtocol"]
