"""The decision that an order over many recipients leaves: written with the first of them, and
counting with each batch, so that it is true whenever the process ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F

from mta.control.selection import Selection, as_json
from mta.events import decisions
from mta.events.models import Decision
from mta.tenants.models import Tenant


@dataclass(slots=True)
class Audit:
    """Who ordered what, and why."""

    kind: str
    selection: Selection
    by: str
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    #: Set once the first batch has committed.
    row: int | None = None

    def count(self, changed: int) -> int | None:
        """Count recipients in the caller's transaction; the row, for whoever sees it commit."""
        if self.row is not None:
            Decision.objects.filter(pk=self.row).update(count=F("count") + changed)
            return self.row
        return self.write(changed) if changed else None

    def write(self, changed: int) -> int:
        made = decisions.record(
            self.kind,
            actor=self.by,
            reason=self.reason,
            tenant_id=self.tenant_id(),
            site=self.only("site") or self.only("domain"),
            campaign=self.only("campaign"),
            count=changed,
            data={"filter": as_json(self.selection), **self.data},
        )
        return int(made.pk)

    def only(self, key: str) -> str:
        """The one word of that key; "" when there is none, or several."""
        values = self.selection.words.get(key, ())
        return values[0] if len(values) == 1 else ""

    def tenant_id(self) -> int | None:
        name = self.only("tenant")
        if not name:
            return None
        return Tenant.objects.filter(name=name).values_list("pk", flat=True).first()
