"""What happens in the life of a credential that somebody wants to hear of.

Rule of this file: names only. `manage.notifications` writes them down, jobs bring them to webhooks
and mailboxes.
"""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """What happened; the name is part of the contract with whoever receives it."""

    CREDENTIAL_EXPIRING = "credential.expiring"
    CREDENTIAL_ROTATION_DUE = "credential.rotation_due"
    CREDENTIAL_UNUSED = "credential.unused"
    CREDENTIAL_DISABLED = "credential.disabled"
    CREDENTIAL_ROTATED = "credential.rotated"
    CREDENTIAL_GRACE_ENDED = "credential.grace_ended"
    CREDENTIAL_LEAKED = "credential.leaked"
    ALERT_RAISED = "alert.raised"
    WEBHOOK_TEST = "webhook.test"
