"""Which of these addresses must not be written to."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.utils import timezone

from mta.suppression.models import Suppression

#: Parameters of one statement; SQLite's own limit is 32,766.
PART = 5000


def normalise(address: str) -> str:
    """The form in which suppressions are kept: lower case; the domain is an A-label already."""
    return address.lower()


def suppressed_among(tenant_id: int, stream_id: int, addresses: Sequence[str]) -> set[str]:
    """Normalised addresses among `addresses` that are suppressed for tenant and stream."""
    wanted = sorted({normalise(address) for address in addresses})
    found: set[str] = set()
    now = timezone.now()
    for start in range(0, len(wanted), PART):
        part = wanted[start : start + PART]
        condition, params = (
            ("= ANY(%s)", [part])
            if connection.vendor == "postgresql"
            else (f"IN ({','.join(['%s'] * len(part))})", part)
        )
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT address FROM {Suppression._meta.db_table} WHERE address {condition} "  # noqa: S608
                "AND (tenant_id IS NULL OR tenant_id = %s) "
                "AND (stream_id IS NULL OR stream_id = %s) "
                "AND (expires_at IS NULL OR expires_at > %s)",
                [*params, tenant_id, stream_id, now],
            )
            found.update(row[0] for row in cursor.fetchall())
    return found
