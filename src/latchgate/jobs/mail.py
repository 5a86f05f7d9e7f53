"""Warnings by e-mail: what they say, and handing them to the operator's own server.

Rule of this file: plain text, and nothing that somebody typed stands in a header but the address
it goes to, which the e-mail library refuses unless it is one. Never a secret.
"""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from latchgate.core.event import Event
from latchgate.jobs.sending import SendError

SMTP_SECONDS = 10.0  # for each answer
ALL_SECONDS = 30.0  # from the greeting to the end
_SUBJECTS = {
    Event.CREDENTIAL_EXPIRING: "A credential of yours expires soon",
    Event.CREDENTIAL_ROTATION_DUE: "A credential of yours should be rotated",
    Event.CREDENTIAL_UNUSED: "An unused credential of yours will be disabled",
    Event.CREDENTIAL_DISABLED: "An unused credential of yours was disabled",
    Event.CREDENTIAL_ROTATED: "A credential of yours was rotated",
    Event.CREDENTIAL_GRACE_ENDED: "A rotated credential of yours has ended",
    Event.CREDENTIAL_LEAKED: "A credential of yours was found in public",
    Event.ALERT_RAISED: "An alert was raised",
}
# The end of a kind's name -> the command that puts another in its place.
_ROTATE = {
    "service_key": "latchgate key rotate {}",
    "api_token": "latchgate account token rotate {}",
    "access_key": "latchgate access-key rotate {}",
    "app_password": "latchgate basic reissue",
}
_REPLACED = frozenset(
    {Event.CREDENTIAL_EXPIRING, Event.CREDENTIAL_ROTATION_DUE, Event.CREDENTIAL_LEAKED}
)


@dataclass(frozen=True, slots=True)
class Mailer:
    """The operator's server; its password is read from its file when something is sent."""

    host: str
    port: int
    tls: str
    username: str | None
    password_file: Path | None
    sender: str
    operator: str | None  # who is written to of what is no tenant's
    ca: Path | None

    def send(self, message: EmailMessage) -> None:
        """Hand over a message; SendError says why it was not taken."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            with closing(self._connected(context)) as server, _limited(server):
                if self.tls == "starttls":
                    server.starttls(context=context)
                if self.username is not None and self.password_file is not None:
                    server.login(self.username, _password(self.password_file))
                server.send_message(message)
                # It was taken: whatever comes of taking leave, it must not be sent again.
                with suppress(smtplib.SMTPException, OSError):
                    server.quit()
        except smtplib.SMTPResponseException as error:
            raise SendError(f"the mail server answered {error.smtp_code}") from error
        except smtplib.SMTPRecipientsRefused as error:
            raise SendError("the mail server refused the address") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise SendError(f"the mail server could not be used: {type(error).__name__}") from error

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        where = self.host, self.port
        if self.tls == "implicit":
            return smtplib.SMTP_SSL(*where, timeout=SMTP_SECONDS, context=context)
        return smtplib.SMTP(*where, timeout=SMTP_SECONDS)


@contextmanager
def _limited(server: smtplib.SMTP) -> Iterator[None]:
    """End a conversation at its time: a server that says a word now and then never times out."""

    def end() -> None:
        open_one = server.sock  # of TLS, once that was begun
        if open_one is not None:
            with suppress(OSError):
                open_one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(ALL_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def written(
    sender: str, recipient: str, event: str, data: Mapping[str, Any], *, event_id: str, at: float
) -> EmailMessage:
    """Write the e-mail of an event; SendError when `recipient` can't be written to."""
    told = Event(event)
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = Address(addr_spec=sender)
        message["To"] = Address(addr_spec=recipient)
    except (MessageError, ValueError, IndexError) as error:
        raise SendError("the user's e-mail address can't be written to") from error
    message["Subject"] = f"[Latchgate] {_SUBJECTS.get(told, str(told))}"
    message["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
    # The same at each attempt, so that a mailbox can tell a repeat.
    message["Message-ID"] = f"<{event_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834
    message.set_content(_text(told, data))
    return message


def _text(event: Event, data: Mapping[str, Any]) -> str:
    lines = [f"{_SUBJECTS.get(event, str(event))}.", ""]
    lines += [f"{name}: {_plain(value)}" for name, value in data.items() if value is not None]
    credential_id = _plain(data.get("credential_id", ""))
    command = _ROTATE.get(str(data.get("kind", "")).rpartition(".")[2])
    if event in _REPLACED and command is not None and credential_id:
        lines += ["", "To put another in its place:", "", f"    {command.format(credential_id)}"]
    if event is Event.CREDENTIAL_UNUSED:
        lines += ["", "If it is still needed, use it once before then."]
    if event is Event.CREDENTIAL_DISABLED:
        lines += ["", "If it is still needed, an administrator can enable it again."]
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    """Show a value on one line, whatever somebody called their key."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "".join(char if char.isprintable() else " " for char in text)[:500]


def _password(file: Path) -> str:
    """Read the first line of a password's file, which others may not read."""
    if os.stat(file).st_mode & 0o077:  # noqa: PTH116 - the mode alone
        raise ValueError
    return file.read_text(encoding="utf-8").partition("\n")[0]
