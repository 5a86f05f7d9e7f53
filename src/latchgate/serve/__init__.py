"""The composition root: the only place that meets sockets, the clock and entropy."""

from latchgate.serve.supervisor import ServeError, serve
from latchgate.serve.tls import CertificateError

__all__ = ["CertificateError", "ServeError", "serve"]
