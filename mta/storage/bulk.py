"""Many rows in one statement, on SQLite and on PostgreSQL.

The ORM's bulk_create costs 44 us a row, this 6 us (2 cores, SQLite); the hot path uses this, the
rest of the system uses the ORM. Values are what the column stores: milliseconds, bytes, text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from django.db import connection, models

Row = Sequence[Any]


def insert(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[Row], *, conflict: str = ""
) -> None:
    """Insert rows; COPY on PostgreSQL, many a statement on SQLite. IntegrityError as usual.

    `conflict` is what follows ON CONFLICT, such as '("digest") DO NOTHING'.
    COPY is the cheapest from 5 rows on (20 rows of 14 columns: 13 us of both sides a row; arrays
    in unnest 23 to 36, executemany 38).
    """
    if not rows:
        return
    table = model._meta.db_table
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and not conflict:
            # copy() is psycopg's own: without the wrapper its errors are not Django's.
            copying = cursor.copy(f'COPY "{table}" ({names}) FROM STDIN')
            with connection.wrap_database_errors, copying as copy:
                for row in rows:
                    copy.write_row(row)
            return
        last = f" ON CONFLICT {conflict}" if conflict else ""
        if connection.vendor == "postgresql":
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks}){last}', rows)  # noqa: S608
            return
        insert_many(cursor, f'INSERT INTO "{table}" ({names}) VALUES ', last, rows)  # noqa: S608


def insert_many(cursor: Any, head: str, last: str, rows: Sequence[Row]) -> None:
    """SQLite: many rows a statement. One row each cost 4.0 us, of which half is the statement.

    Parts have few sizes, so their statements stay prepared; the marks are SQLite's own, for Django
    would look for its marks in every text.
    """
    marks = f"({', '.join('?' * len(rows[0]))})"
    done = 0
    with connection.wrap_database_errors:
        for size in (100, 10, 1):
            statement = f"{head}{', '.join([marks] * size)}{last}"
            while len(rows) - done >= size:
                part = rows[done : done + size]
                values = [value for row in part for value in row]
                sqlite3.Cursor.execute(cursor.cursor, statement, values)
                done += size


def column_type(model: type[models.Model], column: str) -> str:
    """The PostgreSQL type of a column, for array parameters."""
    for field in model._meta.concrete_fields:
        if field.column == column:
            kind = field.rel_db_type(connection) if field.is_relation else field.db_type(connection)
            return str(kind).split("(", 1)[0]
    raise LookupError(f"{model.__name__} has no column {column}")


def unnest(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[Row]
) -> tuple[str, list[Any]]:
    """`unnest(%s::type[], ...)` and its parameters: one array a column (PostgreSQL only)."""
    types = ", ".join(f"%s::{column_type(model, column)}[]" for column in columns)
    return f"unnest({types})", [list(values) for values in zip(*rows, strict=True)]


def update(
    model: type[models.Model],
    key: str,
    columns: Sequence[str],
    rows: Sequence[Row],
    *,
    fence: str = "",
    fence_params: Sequence[Any] = (),
) -> int:
    """Set `columns` of the rows whose `key` is the first value of each row; returns rows changed.

    `fence` is a further condition in SQL on the old row, such as 'claim_token = %s'.
    """
    if not rows:
        return 0
    table = model._meta.db_table
    condition = f" AND {fence}" if fence else ""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            source, params = unnest(model, [key, *columns], rows)
            names = ", ".join(f'"v_{name}"' for name in [key, *columns])
            sets = ", ".join(f'"{name}" = v."v_{name}"' for name in columns)
            cursor.execute(
                f'UPDATE "{table}" SET {sets} FROM {source} AS v({names}) '  # noqa: S608
                f'WHERE "{table}"."{key}" = v."v_{key}"{condition}',
                [*params, *fence_params],
            )
        else:
            sets = ", ".join(f'"{name}" = %s' for name in columns)
            # Not from JSON in one statement: with many columns reading it costs 2 us a row more.
            cursor.executemany(
                f'UPDATE "{table}" SET {sets} WHERE "{key}" = %s{condition}',  # noqa: S608
                [(*row[1:], row[0], *fence_params) for row in rows],
            )
        return int(cursor.rowcount)


def numbers(column: str, values: Sequence[int]) -> tuple[str, list[Any]]:
    """A condition 'column is one of these' that is one prepared shape whatever their number."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s::bigint[])", [list(values)]
    # The values are integers, so they can stand in the text: SQLite limits parameters, not text.
    return f"{column} IN ({','.join(str(int(value)) for value in values)})", []


def texts(column: str, values: Sequence[str]) -> tuple[str, list[Any]]:
    """The same for texts, which cannot stand in the statement."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)", [list(values)]
    return f"{column} IN ({','.join(['%s'] * len(values))})", list(values)
