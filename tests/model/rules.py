"""The rules of the promise, each in words, and in words what is done without it.

Rule of this file: the first part of a name is the number in docs/explanation/promise.md, the
letter a part of that rule. `world` names the small configuration in which leaving it out shows;
`spare` says which rules hold alone what this one holds too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule or part of one."""

    name: str
    says: str
    without: str
    world: str
    spare: str = ""


_TABLE = (
    ("1a", "numbers are taken in the order of commits", "numbers come from a sequence", "sequence"),
    ("1b", "P moves only over rows received", "a read's head moves P", "others"),
    ("1c", "an own write doesn't move P", "an own change moves P to its number", "others"),
    ("1d", "a gap flushes everything", "a gap is jumped, memory kept", "gap"),
    ("2a", "one cache is one row", "a fork goes on under its parent's row", "fork"),
    ("2b", "M never changes", "a verifier trusts longer than its listed row said", "longer"),
    ("2c", "M is at most M_max", "a verifier may trust longer than M_max", "lossy"),
    ("2d", "M counts stale_while_unreachable", "the row tells the lease alone", "stale"),
    ("2e", "both count from t0", "the stale bound counts from the lease's end", "stale"),
    ("3a", "t0 is read before the transaction", "t0 is when the answer comes", "heartbeat"),
    ("3b", "a heartbeat writes", "a heartbeat only reads, of any server", "cut-off"),
    ("3c", "a cancelled wait renews nothing", "a cancelled wait counts as committed", "cut-off"),
    ("3d", "only a live row renews", "a row that leaves, or is gone, renews", "removal"),
    ("3e", "only what reached head renews", "a partial page renews", "others"),
    ("4a", "raise P, then evict", "evict, then raise P", "order"),
    ("4b", "evict, then trust", "trust, then evict", "order"),
    ("5a", "registration renews nothing", "registration gives a lease", "registration"),
    ("5b", "a record's read renews nothing", "reading through gives a lease", "order"),
    ("5c", "a restart brings no memory but with its P", "memory comes back at head", "restart"),
    ("5d", "a restart renews nothing", "a restart trusts its memory for a lease", "restart"),
    ("6a", "S is read no later than the record", "S is read after the record", "slow-read"),
    ("6b", "nothing below F enters", "what no change is known of enters", "slow-read"),
    ("6c", "nothing enters past a known change", "whatever was read enters", "slow-read"),
    ("6d", "S and record are of one snapshot", "the record may be newer than its S", "phantom"),
    ("6e", "a record enters on its own timeline", "timelines of records don't count", "diverged"),
    ("6f", "what a heartbeat has read anew is at S ≥ its rows", "any answer will do", "refresh"),
    ("7a", "the clock is read after the arrival", "a clock read before serves", "order"),
    (
        "7b",
        "past trust, the read begins after the arrival",
        "a read under way is joined",
        "cut-off",
    ),
    ("7c", "past trust, a read commits a write", "any server's plain read serves", "cut-off"),
    ("7d", "no primary, no answer", "memory answers when the primary can't", "order"),
    ("7e", "a replica serves only within trust", "a replica serves past trust", "replica"),
    ("7f", "a replica serves only at S ≥ P", "a replica may be behind P", "replica", "6b, 6c, 8c"),
    ("7g", "the write must touch the own row", "no row touched is no matter", "removal-cut-off"),
    ("8a", "acknowledged after eviction", "delivered is acknowledged", "order"),
    ("8b", "acknowledged once accepts have left", "decided accepts may still leave", "order"),
    ("8c", "a read that loses is repeated", "it is not remembered, but decides", "slow-read"),
    ("8d", "a new row acknowledges by a heartbeat", "registration acknowledges", "expelled"),
    ("8e", "so is one past trust", "what was read for it alone decides", "slow-read"),
    ("9a", "an edge's lease is younger by its relay's age", "it counts from the poll", "edge"),
    ("9b", "a nonce is echoed", "a late answer passes for a new one", "edge"),
    ("9c", "an edge has its own row", "the relay's row stands for both", "edge"),
    ("9d", "the relay's data saw the edge's row", "any data of the relay will do", "new-edge"),
    ("10a", "removal waits 1.25 × M", "a row is deleted at once", "removal"),
    ("10b", "removal marks first", "a row is deleted unmarked", "removal"),
    ("10c", "the removed flush", "memory is taken into the new row", "removal"),
    ("10d", "only the stopped delete their own row", "a running one does", "drain"),
    ("11a", "the timer starts when the commit returned", "it starts with the request", "timer"),
    ("11b", "rows are listed after the commit", "they are listed before it", "registration"),
    ("11c", "leaving rows are listed", "only live ones are", "removal"),
    ("11d", "rows are listed once", "newcomers are waited for", "newcomer"),
    ("11e", "the list's transaction commits a write", "any server's list will do", "listing"),
    ("11f", "a cancelled commit is no success", "it is told as done", "cut-off"),
    ("12a", "the wait is 1.25 × M", "the wait is M", "heartbeat"),
    ("12b", "the wait is that of each row's M", "the shortest M is waited for", "newcomer"),
    ("12c", "done is acknowledged ≥ n", "any heartbeat since will do", "order"),
    ("12d", "only who says so has acknowledged", "who is gone has, too", "expelled"),
    ("13a", "the gateway tail is always waited for", "not when no row was listed", "gateway"),
    ("13b", "it is the store's", "only with a row of who lets remember", "neighbour"),
    ("13c", "it is declared first", "who declared nothing lets remember", "declared"),
    ("13d", "memory is renewed after that", "an older memory lets remember", "declared"),
    ("13e", "a declaration ends by itself", "it counts for ever", "declared"),
    (
        "13f",
        "it is withdrawn when nothing of it is left",
        "once nobody goes by it any more",
        "declared",
    ),
    ("14", "a repeated revoke waits again", "already revoked is answered at once", "repeated"),
    ("15a", "the journal's hash at P is compared", "only numbers are", "rewritten"),
    ("15b", "a new timeline's receipts wait in full", "they wait for listed rows", "lossy"),
    ("15c", "it settles after 1.25 × M_max", "it settles at once", "lossy"),
    ("15d", "the revoker itself compares timelines", "it waits for others to tell", "lossy"),
    ("15e", "S > P is flushed on a new timeline", "what was held is kept", "phantom"),
    ("15f", "each timeline is timed anew", "a timer that runs settles the next one too", "twice"),
    ("15g", "acknowledgements are of one timeline", "those of the last one count", "phantom"),
    ("16a", "the tail counts the sub-request's time", "it counts max-age alone", "gateway"),
    ("16b", "the tail has a margin", "clocks and whole seconds don't count", "gateway"),
    ("17", "max-age ends with trust", "max-age is what was configured", "absolute"),
)
RULES = {row[0]: Rule(*row) for row in _TABLE}
