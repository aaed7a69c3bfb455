"""How a search in the big tables finds its rows: by index, or not at all."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from mta.control.selection import address_forms
from mta.mail import ids
from mta.spool.models import Recipient

__all__ = ["address_forms", "id_of", "recipients_of", "starting_with"]


def id_of(term: str) -> int | None:
    """The number behind the name of a message or recipient; None when it is no name."""
    try:
        return ids.decode(term)
    except ValueError:
        return None


def recipients_of(term: str) -> QuerySet[Any, int] | None:
    """Ids of the recipients that a search term means; None when the term is empty.

    A term is an address, a recipient's name or a message's name; others find nothing.
    """
    term = term.strip()
    if not term:
        return None
    number = id_of(term)
    if number is not None:
        found = Recipient.objects.filter(Q(pk=number) | Q(message_id=number))
    else:
        found = Recipient.objects.filter(address__in=address_forms(term))
    return found.order_by().values_list("pk", flat=True)


def starting_with(rows: QuerySet[Any], field: str, start: str) -> QuerySet[Any]:
    """Rows whose text begins with `start`; a range of the index where the order is by bytes."""
    if connection.vendor == "sqlite":  # its LIKE with ESCAPE reads the whole table
        return rows.filter(**{f"{field}__gte": start, f"{field}__lt": start + "\U0010ffff"})
    return rows.filter(**{f"{field}__startswith": start})
