"""Dialects: how each provider words its errors, one file each, one table for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from latchgate.core.dialects import keystone, problem, teracloud, upcloud, wayscloud
from latchgate.core.dialects.reply import Challenge, Public, Reply
from latchgate.core.dialects.upcloud import plainest

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

# Of dialects that have more than one representation: the plainest `Accept` that is answered as a
# request's own is. Every other dialect answers alike whatever is accepted.
PLAINEST: Mapping[str, Callable[[str], str]] = {"upcloud": plainest, "upcloud_problem": plainest}

__all__ = ["DIALECTS", "PLAINEST", "Challenge", "Public", "Render", "Reply"]
