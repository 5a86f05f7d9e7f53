"""What can be wrong with keys; never what a decision depends on."""

from __future__ import annotations


class KeyringError(Exception):
    """A key can't be used; the message says which, why, and what goes on without it."""


UNAFFECTED = "Requests are decided as before; only what must be signed waits"
