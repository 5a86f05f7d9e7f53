"""Dialects: how each provider words its errors, one file each, one table for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from latchgate.core.dialects import problem, wayscloud
from latchgate.core.dialects.reply import Challenge, Public, Reply

Render = Callable[[Public, Challenge | None], Reply]

DIALECTS: Mapping[str, Render] = {
    "problem": problem.render,
    "wayscloud": wayscloud.render,
}

__all__ = ["DIALECTS", "Challenge", "Public", "Render", "Reply"]
