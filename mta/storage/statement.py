"""One statement of the hot path: its text never changes, so PostgreSQL plans it once.

Django binds parameters on our side and sends a text that PostgreSQL must parse and plan each time;
a prepared statement with arrays costs a third of that. SQLite's module keeps statements by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection

#: Uses of a statement on one connection after which the server prepares it.
PREPARE_AFTER = 2


def rows(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a statement; its rows, [] when it has none. Raises what Django's cursors raise."""
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(sql, list(params))
            return cursor.fetchall() if cursor.description else []
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    raw: Any = connection.connection
    raw.prepare_threshold = PREPARE_AFTER
    with connection.wrap_database_errors, psycopg.Cursor(raw) as server_side:
        server_side.execute(sql.encode(), list(params))
        return server_side.fetchall() if server_side.description else []
