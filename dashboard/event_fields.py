"""The fields of an event that are kept as JSON, for people."""

from __future__ import annotations

from typing import Any

from mta.events import contract
from mta.events.models import Event


def fields_of(row: Event) -> dict[str, Any]:
    """The fields of the event contract that are kept as JSON; {} when they cannot be read."""
    try:
        return contract.fields(row.data)
    except ValueError:
        return {}


def reply_text(data: dict[str, Any]) -> str:
    """The reply of an event as a line."""
    reply = data.get("reply")
    if not isinstance(reply, dict):
        return str(reply or "")
    parts = [reply.get("code"), reply.get("enhanced"), reply.get("text")]
    return " ".join(str(part) for part in parts if part)
