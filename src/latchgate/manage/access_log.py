"""The access log as it is read: of the own tenant, or of every one to the operator."""

from __future__ import annotations

from collections.abc import Mapping

from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError
from latchgate.manage.usage import EVERY_TENANT
from latchgate.store.access_read import AccessReader, Found, Wanted
from latchgate.store.errors import ConflictError, StoreError

MAX_LINES = 10_000
OFF = (
    "No access log is written here. [access_log] directory in latchgate.toml switches it on, at the"
    " next start."
)


def find(
    reader: AccessReader | None,
    caller: Caller,
    *,
    since: float,
    until: float,
    limit: int,
    only: Mapping[str, str],
) -> Found:
    """Return the newest lines; `only` maps members of a line to values.

    ConflictError where no access log is written, ForbiddenError when the lines are another
    tenant's, StoreError when they can't be read.
    """
    if EVERY_TENANT not in caller.rights:
        if only.get("tenant_id", caller.tenant_id) != caller.tenant_id:
            msg = f"another tenant's access log takes the scope {EVERY_TENANT}"
            raise ForbiddenError(msg)
        only = {**only, "tenant_id": caller.tenant_id}
    if reader is None:
        raise ConflictError(OFF)
    try:
        return reader.find(Wanted(since, until, limit, only))
    except OSError as error:
        msg = f"the access log can't be read: {error}"
        raise StoreError(msg) from error
