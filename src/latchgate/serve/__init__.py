"""The composition root: the only place that meets sockets, the clock and entropy."""

from latchgate.serve.supervisor import ServeError, serve

__all__ = ["ServeError", "serve"]
