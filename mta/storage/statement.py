"""One statement of the hot path: its text never changes, so PostgreSQL plans it seldom.

Django binds parameters on our side and sends a text that PostgreSQL must parse and plan each time.
A prepared statement keeps its plan, and a plan made for an empty table reads a table of a million
rows from end to end until somebody analyses it: so plans are thrown away every few seconds.
SQLite's module keeps statements by itself, and plans by the indexes there are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection

#: Uses of a statement on one connection after which the server prepares it.
PREPARE_AFTER = 2
#: A plan is used for this long, seconds; making all anew costs a millisecond.
PLAN_SECONDS = 2.0
#: When the plans of a connection are thrown away next, time.monotonic().
_plans_end: WeakKeyDictionary[Any, float] = WeakKeyDictionary()


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
        if time.monotonic() > _plans_end.get(raw, 0.0):
            server_side.execute(b"DISCARD PLANS")
            _plans_end[raw] = time.monotonic() + PLAN_SECONDS
        server_side.execute(sql.encode(), list(params))
        return server_side.fetchall() if server_side.description else []
