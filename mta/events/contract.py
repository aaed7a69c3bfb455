"""The fields of the event contract, read from what the outbox stored."""

from __future__ import annotations

from typing import Any

import orjson

#: Fields that every event has, with what stands for "nothing".
ALWAYS: dict[str, Any] = {"stream": "", "campaign": "", "tags": [], "metadata": {}}
#: Fields of events that tell of a reply, or of words in its place.
WITH_REPLY: dict[str, Any] = {
    "bounce_class": "", "permanent": False, "scope": "", "source": "", "mx_host": "", "site": "",
    "attempt": 0, "tls": "", "took_ms": 0, "queued_ms": 0, "next_attempt_at": None,
}  # fmt: skip


def fields(data: str) -> dict[str, Any]:
    """The fields beyond ids, kind and instant; ValueError when the text is not an event's."""
    found = orjson.loads(data)
    if not isinstance(found, dict):
        raise ValueError("an event's data is a JSON object")
    return {**ALWAYS, **(WITH_REPLY if "reply" in found else {}), **found}
