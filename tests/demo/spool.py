"""What the demo reads from the spool; delivery reports (DSN) are not part of what was sent."""

from __future__ import annotations

from django.db.models import Count

from mta.spool.models import Recipient

SENT = ("api", "smtp")


def states() -> dict[str, int]:
    """How many recipients are in each state."""
    rows = Recipient.objects.filter(message__origin__in=SENT).values_list("state")
    return dict(rows.annotate(Count("id")).order_by())


def fates() -> list[tuple[str, str, str, str, int]]:
    """(address, state, bounce class, last reply, attempts) of every recipient."""
    return list(
        Recipient.objects.filter(message__origin__in=SENT).values_list(
            "address", "state", "bounce_class", "last_reply", "attempts"
        )
    )
