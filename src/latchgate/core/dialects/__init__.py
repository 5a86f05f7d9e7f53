"""Dialects: how each provider words its errors, one file each, one table for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from latchgate.core.dialects import keystone, problem, teracloud, upcloud, wayscloud
from latchgate.core.dialects.reply import Challenge, Public, Reply

# What a caller is told, with which challenges, in which representation (their `Accept`).
Render = Callable[[Public, tuple[Challenge, ...], str], Reply]

DIALECTS: Mapping[str, Render] = {
    "problem": problem.render,
    "wayscloud": wayscloud.render,
    "upcloud": upcloud.render,
    "upcloud_problem": upcloud.render_problem,
    "teracloud": teracloud.render,
    "keystone": keystone.render,
}

__all__ = ["DIALECTS", "Challenge", "Public", "Render", "Reply"]
