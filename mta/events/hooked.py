"""The `on_event` hook of MAILMILL_POLICY: told of events once their transaction has committed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import orjson
from django.db import transaction

from mta import wiring
from mta.mail.ids import encode
from mta.policy.hooks import Told

if TYPE_CHECKING:
    from mta.events.outbox import Row

log = logging.getLogger(__name__)


def tell_on_commit(rows: Sequence[Row]) -> None:
    """Tell the hook of these events when the running transaction commits; free without a hook."""
    if rows and wiring.hooks().on_event is not None:
        transaction.on_commit(partial(tell, rows), robust=True)


def tell(rows: Sequence[Row]) -> None:
    """Tell the hook of each; what it raises is logged, and the next event is told."""
    hooks = wiring.hooks()
    if hooks.on_event is None:
        return
    for at, kind, _, message_id, recipient_id, data in rows:
        try:
            hooks.on_event(
                Told(at / 1000, kind, encode(message_id), encode(recipient_id), orjson.loads(data))
            )
        except Exception:  # the edge of foreign code: the event is stored all the same
            log.exception("%s.on_event: %s", hooks.module, kind)
