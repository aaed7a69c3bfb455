"""Deliveries, the common result, straight into rows: what result.settled makes of them, for less.

A delivery needs no decision: its recipient is done. Per recipient this costs a third of the general
path (dataclasses, two JSON documents); a test holds both to the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mta.events import outbox
from mta.spool.held import Facts, Held
from mta.spool.result import Context, Result, attempt_row

EMPTY = b"{}"


class Deliveries:
    """Rows of the recipients that were delivered, of all batches of one settlement."""

    def __init__(self) -> None:
        #: (recipient id, reply)
        self.recipients: list[tuple[int, str]] = []
        self.attempts: list[tuple[Any, ...]] = []
        self.events: list[tuple[outbox.Row, bytes]] = []
        #: (token, message id) -> JSON that the events share: what is logged too, and what is not.
        self.shared: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def add(self, context: Context, held: Held, facts: Mapping[int, Facts], r: Result) -> None:
        """A delivered recipient."""
        attempts = held.attempts + 1
        message = facts[held.message_id]
        key = context.token, held.message_id
        shared = self.shared.get(key)
        if shared is None:
            shared = self.shared[key] = (common(context, message), private(message, ""))
        own = {
            "to": held.address,
            "reply": {"code": r.code, "enhanced": r.enhanced, "text": r.text},
            "attempt": attempts, "took_ms": r.took_ms, "queued_ms": r.at - message.created_at,
        }  # fmt: skip
        for name, value in (("permanent", r.permanent), ("scope", r.scope), ("tls", r.tls)):
            if value:
                own[name] = value
        if r.mx_host:
            own["mx_host"] = r.mx_host
        core = b"%b,%b" % (shared[0], orjson.dumps(own)[1:])
        hidden = private(message, held.metadata) if held.metadata else shared[1]
        self.recipients.append((held.recipient_id, r.reply[:500]))
        self.attempts.append(attempt_row(context, r, attempts))
        self.events.append(
            outbox.pack(
                r.at, "delivery", context.tenant_id, held.message_id, held.recipient_id, core,
                hidden,
            )
        )  # fmt: skip


def common(context: Context, message: Facts) -> bytes:
    """A JSON object without its end, of what the batch's recipients of a message share."""
    said = {
        "tenant": context.tenant_name, "stream": context.stream_name, "campaign": message.campaign,
        "source": context.source_name, "site": context.site,
    }  # fmt: skip
    return orjson.dumps({name: value for name, value in said.items() if value})[:-1]


def private(message: Facts, of_recipient: str) -> bytes:
    """Tags and metadata as a JSON object, the recipient's metadata over the message's."""
    if not of_recipient and message.tags == "[]" and message.metadata in {"", "{}"}:
        return EMPTY
    metadata = orjson.loads(message.metadata or EMPTY)
    if of_recipient:
        metadata.update(orjson.loads(of_recipient))
    said = {"tags": orjson.loads(message.tags), "metadata": metadata}
    return orjson.dumps({name: value for name, value in said.items() if value})
