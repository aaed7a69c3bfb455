"""Decisions are written here: by warmup, throttles and automations, and by people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mta.events.models import Decision
from mta.storage.fields import now_ms


def record(
    kind: str, *, actor: str, reason: str = "", tenant_id: int | None = None, source: str = "",
    site: str = "", provider: str = "", campaign: str = "", count: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> Decision:  # fmt: skip
    """Write one, in the caller's transaction when there is one; texts are cut to what fits."""
    return Decision.objects.create(
        at=now_ms(), actor=actor[:150], kind=kind[:40], tenant_id=tenant_id,
        source=source[:63], site=site[:253], provider=provider[:63], campaign=campaign[:128],
        count=count, reason=reason[:300], data=orjson.dumps(dict(data or {}), default=str).decode(),
    )  # fmt: skip
