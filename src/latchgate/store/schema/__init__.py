"""The tables, in SQLAlchemy Core: what migrations create and management statements use.

Portable on purpose: text, float, integer and binary columns only, lists as JSON text, times as
Unix seconds. Two groups, because on SQLite they are two files with different durability. A table
lives with what it is about; everybody takes it from here.
"""

from __future__ import annotations

from latchgate.store.schema.applications import (
    application,
    application_block,
    application_key,
)
from latchgate.store.schema.changes import (
    idempotency,
    journal,
    journal_head,
    policy_version,
    signing_key,
)
from latchgate.store.schema.columns import JSON_COLUMNS, SECRET_COLUMNS, main, usage
from latchgate.store.schema.counts import (
    last_use,
    refusal,
    shadow_count,
    shadow_difference,
    use_day,
    use_hour,
    use_minute,
    use_pending,
    use_source,
    use_tenant,
    use_total,
)
from latchgate.store.schema.credentials import (
    access_rule,
    credential,
    leak,
    leak_rule,
    lifetime,
    warned,
)
from latchgate.store.schema.identities import (
    login,
    login_credential,
    permission,
    project,
    role,
    role_assignment,
    storage,
    tenant,
    user,
)
from latchgate.store.schema.nodes import duty, promise, receipt, schema_window, verifier
from latchgate.store.schema.notices import (
    alert,
    alert_raised,
    delivery,
    notification,
    webhook,
)
from latchgate.store.schema.oauth import (
    consent,
    oauth_client,
    oauth_code,
    oauth_device,
    oauth_refresh,
    workload,
)
from latchgate.store.schema.sessions import authenticator, ceremony, session

__all__ = [
    "JSON_COLUMNS",
    "SECRET_COLUMNS",
    "access_rule",
    "alert",
    "alert_raised",
    "application",
    "application_block",
    "application_key",
    "authenticator",
    "ceremony",
    "consent",
    "credential",
    "delivery",
    "duty",
    "idempotency",
    "journal",
    "journal_head",
    "last_use",
    "leak",
    "leak_rule",
    "lifetime",
    "login",
    "login_credential",
    "main",
    "notification",
    "oauth_client",
    "oauth_code",
    "oauth_device",
    "oauth_refresh",
    "permission",
    "policy_version",
    "project",
    "promise",
    "receipt",
    "refusal",
    "role",
    "role_assignment",
    "schema_window",
    "session",
    "shadow_count",
    "shadow_difference",
    "signing_key",
    "storage",
    "tenant",
    "usage",
    "use_day",
    "use_hour",
    "use_minute",
    "use_pending",
    "use_source",
    "use_tenant",
    "use_total",
    "user",
    "verifier",
    "warned",
    "webhook",
    "workload",
]
