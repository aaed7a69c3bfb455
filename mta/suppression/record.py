"""Bad addresses are remembered in the transaction that bounces them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.utils import timezone

from mta.suppression.lookup import normalise


def suppress(found: Sequence[tuple[int, str, str]], reason: str = "bad_address") -> None:
    """Suppress (tenant id, address, reply) for all of the tenant's streams; known ones stay."""
    if not found:
        return
    now = timezone.now()
    rows = sorted({(tenant, normalise(address)): reply for tenant, address, reply in found}.items())
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO suppression_suppression "
            "(tenant_id, address, reason, origin, created_at) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            [(tenant, address, reason, reply[:200], now) for (tenant, address), reply in rows],
        )
