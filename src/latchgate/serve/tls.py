"""TLS of the API's and the console's listeners: which certificate, and how a renewed one gets in.

Rule of this file: files are judged whole before any of it is used, so that a bad pair never
takes the place of a good one, and no secret of theirs is in a message.
"""

from __future__ import annotations

import datetime as dt
import ssl
import stat
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from latchgate.config import TlsFiles

HANDSHAKE_SECONDS = 10.0
# How long a closed connection waits for its peer's close_notify; less than workers drain.
CLOSE_SECONDS = 5.0


class CertificateError(Exception):
    """A certificate or key can't be used; the message names setting and file, and what is wrong."""


class Certificate:
    """What new connections are shown; a renewed pair takes its place while the old ones go on."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files; CertificateError when they can't be used."""
        self._files = files
        self._current, self.warnings = _load(files)
        # Chosen anew at each handshake: loading into a context in use could fail between the
        # certificate and its key, and leave no usable pair.
        self.context = _context()
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Read the files again; CertificateError, and the old pair, when they can't be used."""
        self._current, self.warnings = _load(self._files)

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _from: ssl.SSLContext
    ) -> None:
        connection.context = self._current


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # providers/teracloud.txt: "TLS v1.2 or later"
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(files: TlsFiles) -> tuple[ssl.SSLContext, tuple[str, ...]]:
    """Return a context that holds the pair, and what an operator should know of it."""
    told_certificate = f"tls.certificate (--tls-cert) {files.certificate}"
    told_key = f"tls.key (--tls-key) {files.key}"
    held, secret = _read(files.certificate, told_certificate), _read(files.key, told_key)
    try:
        first = x509.load_pem_x509_certificates(held)[0]
    except ValueError:
        raise CertificateError(f"{told_certificate}: holds no certificate in PEM") from None
    if b"PRIVATE KEY-----" not in secret:
        raise CertificateError(f"{told_key}: holds no private key in PEM")

    def password() -> str:
        # Without this, OpenSSL would ask at the terminal and wait.
        raise CertificateError(
            f"{told_key}: is encrypted; write it without a password, readable by the server alone"
        )

    context = _context()
    try:
        context.load_cert_chain(files.certificate, files.key, password)
    except ssl.SSLError as error:
        message = f"{told_key}: can't be used with {files.certificate} ({error.reason})"
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"{told_key}: does not belong to the certificate in {files.certificate}"
        raise CertificateError(message) from None
    except OSError as error:  # between the first reading and this one
        raise CertificateError(f"{told_key}: can't be read ({error.strerror})") from None
    return context, _warnings(first, files, told_certificate, told_key)


def _read(path: Path, told: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{told}: can't be read ({error.strerror})") from None


def _warnings(
    certificate: x509.Certificate, files: TlsFiles, told_certificate: str, told_key: str
) -> tuple[str, ...]:
    found = []
    now = dt.datetime.now(dt.UTC)
    if now >= certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc
        found.append(f"{told_certificate}: expired on {ended:%Y-%m-%d}; clients will refuse it")
    if now < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc
        found.append(f"{told_certificate}: is valid from {begins:%Y-%m-%d} only")
    with suppress(OSError):
        if files.key.stat().st_mode & stat.S_IROTH:
            found.append(f"{told_key}: others can read it; run: chmod 600 {files.key}")
    return tuple(found)
