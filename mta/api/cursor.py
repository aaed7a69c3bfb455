"""Pages: `after` names the last row of the page before, so rows that come or go shift nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter

from mta.api.problems import Problem, invalid
from mta.mail.ids import decode, encode

T = TypeVar("T")
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

AFTER = OpenApiParameter(
    "after", str, description="`next` of the page before; empty: from the beginning."
)
LIMIT = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    description="Most items of the answer.",
)


def known_parameters(query: QueryDict, *names: str) -> None:
    """Refuse a parameter that the address does not have: a filter that does nothing misleads."""
    for name in query:
        if name not in names:
            wanted = ", ".join(names) or "none"
            raise invalid(name, f"Unknown query parameter; known are: {wanted}.")


def after(query: QueryDict) -> int:
    """The id behind the cursor; -1 at the beginning."""
    text = query.get("after", "")
    if not text:
        return -1
    try:
        return decode(text)
    except ValueError:
        raise invalid("after", "Give `next` of the page before, unchanged.") from None


def limit(query: QueryDict) -> int:
    """1 to MAX_LIMIT."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MAX_LIMIT:
        raise invalid("limit", f"Give a whole number from 1 to {MAX_LIMIT}.")
    return int(text)


def page(
    rows: Iterable[T], size: int, key: Callable[[T], int], shape: Callable[[T], Any]
) -> dict[str, Any]:
    """{items, next}; `rows` holds one row more than `size` when there is a further page."""
    found = list(rows)
    shown = found[:size]
    return {
        "items": [shape(row) for row in shown],
        "next": encode(key(shown[-1])) if len(found) > size else None,
    }


def id_of(text: str) -> int:
    """The id in an address; a wrong one is as unknown as a missing one."""
    try:
        return decode(text)
    except ValueError:
        raise Problem(
            "not-found", "The id has 13 characters of base32 as the API gave it; check it."
        ) from None
