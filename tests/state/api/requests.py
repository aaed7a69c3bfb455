"""Requests that are in order; a test changes what it is about."""

from __future__ import annotations

from typing import Any


def message(*to: str, **changes: Any) -> dict[str, Any]:
    """A short message from the tenant `shop`."""
    return {
        "from": "Shop <news@shop.example>",
        "recipients": [{"to": address} for address in to or ("ann@customer.example",)],
        "subject": "Hello",
        "text": "It works.",
    } | changes
