"""Whether the process lives, and whether it can work; answers name what failed, never an address
or a password."""

from __future__ import annotations

import logging
from collections.abc import Callable

import redis
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from mta import wiring

log = logging.getLogger(__name__)
#: Once applied, migrations stay applied while this code runs.
APPLIED = "readyz-migrations-applied"


@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """200 while the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database, its migrations and Redis are there; 503 with what is not."""
    states = {name: outcome(name, check) for name, check in CHECKS.items()}
    ready = all(state == "ok" for state in states.values())
    return JsonResponse({"ready": ready, "checks": states}, status=200 if ready else 503)


def outcome(name: str, check: Callable[[], str]) -> str:
    """ "ok" or what is wrong, in words that are safe to show."""
    try:
        return check() or "ok"
    except (DatabaseError, redis.RedisError, OSError) as error:
        log.warning("readyz: %s: %s", name, type(error).__name__)
        return "does not answer"


def database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def migrations() -> str:
    if cache.get(APPLIED):
        return ""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return f"{len(missing)} not applied: run manage.py migrate"
    cache.set(APPLIED, True, 300)
    return ""


def broker() -> str:
    wiring.redis_client().ping()
    return ""


CHECKS: dict[str, Callable[[], str]] = {
    "database": database,
    "migrations": migrations,
    "redis": broker,
}
