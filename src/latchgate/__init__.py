"""Latchgate: credentials and authentication for people who run an API."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import takes longer than all of latchgate.client's
if TYPE_CHECKING:
    from latchgate.verifier import Verifier

__version__ = "0.1.0"
__all__ = ["Verifier", "__version__"]


def __getattr__(name: str) -> object:
    """Load the verifier only when it is asked for: the command line does without it."""
    if name == "Verifier":
        from latchgate.verifier import Verifier  # noqa: PLC0415 - see above

        return Verifier
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
