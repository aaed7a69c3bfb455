"""What the demo reads from the spool; delivery reports (DSN) are not part of what was sent."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.utils import timezone

from mta.spool.models import Recipient

SENT = ("api", "smtp")


def states() -> dict[str, int]:
    """How many recipients are in each state."""
    rows = Recipient.objects.filter(message__origin__in=SENT).values_list("state")
    return dict(rows.annotate(Count("id")).order_by())


#: The state, to the eyes of the demo, of what waits for the end of a block or a pause.
WAITING = "waiting"


def fates() -> list[tuple[str, str, str, str, int]]:
    """(address, state, bounce class, last reply, attempts) of every recipient."""
    rows: Any = Recipient.objects.filter(message__origin__in=SENT).values_list(
        "address", "state", "bounce_class", "last_reply", "attempts", "lane__gate",
        "lane__wait_until",
    )  # fmt: skip
    now = timezone.now()
    return [
        (address, WAITING if throttled(state, gate, until > now) else state, *rest)
        for address, state, *rest, gate, until in rows
    ]


def throttled(state: str, gate: str, waits: bool) -> bool:
    return state in {"scheduled", "deferred"} and waits and "throttle:" in gate
