"""Statements of the hot path follow a table that grows, and fail as Django's do."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from mta.storage import statement

pytestmark = pytest.mark.django_db


def test_a_plan_made_for_a_small_table_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite plans by the indexes there are")
    sql = "SELECT v.id FROM unnest(%s::bigint[]) AS v(id) JOIN grown ON grown.id = v.id"

    def plan() -> str:
        (name,) = statement.rows(
            "SELECT name FROM pg_prepared_statements WHERE statement ~ 'grown'"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN EXECUTE \"{name[0]}\"('{{1}}')")
            return "\n".join(row[0] for row in cursor.fetchall())

    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE grown (id bigint PRIMARY KEY, t text)")
        cursor.execute("INSERT INTO grown VALUES (0, 'x')")
        cursor.execute("ANALYZE grown")
    monkeypatch.setattr(statement, "PLAN_SECONDS", 1e9)
    statement.rows("SELECT 1")
    monkeypatch.setattr(statement, "_plans_end", dict.fromkeys([connection.connection], 1e18))
    for _ in range(10):
        statement.rows(sql, [[1]])
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO grown SELECT n, 'x' FROM generate_series(1, 20000) AS n(n)")
    stale = plan()
    monkeypatch.setattr(statement, "_plans_end", {})
    assert statement.rows(sql, [[1, 20000, 30000]]) == [(1,), (20000,)]
    fresh = plan()
    assert "Seq Scan on grown" in stale
    assert "Seq Scan on grown" not in fresh


@pytest.mark.parametrize("params", [[], ["no number"]])
def test_errors_are_those_of_django(params: list[Any]) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        statement.rows("SELECT * FROM no_such_table WHERE id = 1", params)
    assert statement.rows("SELECT 1") == [(1,)]


def test_in_a_broken_transaction_nothing_runs() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            statement.rows("SELECT 1")
        transaction.set_rollback(False)
