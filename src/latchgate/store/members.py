"""A list of texts as rows, given as one JSON value: the one function that each database names anew.

As many parameters as a page has ids take longer to write out than to look up.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Members(FunctionElement[str]):
    """Rows with one column, `value`."""

    name = "members"
    inherit_cache = True


@compiles(_Members, "sqlite")
def _on_sqlite(element: _Members, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(_Members, "postgresql")
def _on_postgresql(element: _Members, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f"json_array_elements_text(({compiler.process(element.clauses, **kw)})::json)"


def members(parameter: str) -> sa.Select[tuple[str]]:
    """Return a statement for the members of the JSON list bound to a parameter."""
    rows = _Members(sa.bindparam(parameter, type_=sa.Text)).table_valued("value")
    return sa.select(rows.c.value)
