"""What all the tables share: the two databases, a record's version, and how columns are kept."""

from __future__ import annotations

import sqlalchemy as sa

main = sa.MetaData()
usage = sa.MetaData()
# Numbers that a database draws for its own use; SQLite draws them for what it calls INTEGER alone.
LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

# Lists and maps, kept as JSON text.
JSON_COLUMNS = frozenset(
    {
        "services",
        "scopes",
        "networks",
        "metadata",
        "implies",
        "roles",
        "access_rules",
        "denied_tokens",
        "basic_switched",
        "tenants",
        "contact",
        "options",
        "data",
        "warning_days",
        "events",
        "redirect_uris",
        "logout_uris",
        "grant_types",
        "methods",
        "claims",
    }
)
# What no journal row repeats.
SECRET_COLUMNS = frozenset({"digest", "owner_digest", "private", "sealed_secret", "sealed_former"})


def version() -> sa.Column[int]:
    """Return the column that holds the journal number of a record's last change: its ETag."""
    return sa.Column("version", sa.BigInteger, nullable=False)
