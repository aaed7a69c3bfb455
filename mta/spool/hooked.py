"""The `inject` hook of MAILMILL_POLICY at the doors: a message as it is, changed, or refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from mta import wiring
from mta.policy.hooks import Changes, Injected, Reject
from mta.spool.streams import stream_facts

if TYPE_CHECKING:
    from mta.spool.inject import NewMessage

log = logging.getLogger(__name__)
MOST_CAMPAIGN = 128
MOST_REASON = 400


class InjectRejected(Exception):
    """The hook refuses the message for good; the text is its reason, one line."""


class InjectUnsettled(Exception):
    """The hook met an error: nothing is known of the message, so it is to come again later."""


def injected(message: NewMessage) -> NewMessage:
    """The message to store. Raises InjectRejected and InjectUnsettled; free without a hook.

    Doors call it before they count or store anything: 550 5.7.1 or 422 with the reason, 451 4.3.0
    or 503 when it is unsettled.
    """
    hooks = wiring.hooks()
    if hooks.inject is None:
        return message
    try:
        answer = hooks.inject(seen(message))
        if answer is None:
            return message
        if isinstance(answer, Changes):
            return changed(message, answer)
        if not isinstance(answer, Reject):
            raise TypeError(f"gave back {type(answer).__name__}, not None, Reject or Changes")
    except Exception as error:  # the edge of foreign code: the sender comes again
        log.exception("%s.inject: the message is not taken now", hooks.module)
        raise InjectUnsettled("The local policy met an error; try again later.") from error
    raise InjectRejected(one_line(answer.reason))


def seen(message: NewMessage) -> Injected:
    """The message as the hook sees it."""
    facts = stream_facts(message.stream_id)
    return Injected(
        tenant=facts.tenant_name,
        stream=facts.name,
        origin=message.origin,
        reverse_path=message.reverse_path,
        recipients=tuple(str(one.address) for one in message.recipients),
        subject=message.subject,
        campaign=message.campaign,
        tags=tuple(message.tags),
        metadata=dict(message.metadata),
        size=len(message.content),
    )


def changed(message: NewMessage, changes: Changes) -> NewMessage:
    """The message with the changes; TypeError and ValueError when they do not fit."""
    values: dict[str, Any] = {}
    if changes.campaign is not None:
        if not isinstance(changes.campaign, str) or len(changes.campaign) > MOST_CAMPAIGN:
            raise ValueError(f"campaign must be a text of up to {MOST_CAMPAIGN} characters")
        values["campaign"] = changes.campaign
    if changes.tags is not None:
        if isinstance(changes.tags, str) or not all(isinstance(tag, str) for tag in changes.tags):
            raise TypeError("tags must be a list of texts")
        values["tags"] = tuple(changes.tags)
    if changes.metadata is not None:
        if not isinstance(changes.metadata, Mapping):
            raise TypeError("metadata must be a mapping")
        orjson.dumps(dict(changes.metadata))  # TypeError when it is no JSON
        values["metadata"] = dict(changes.metadata)
    return replace(message, **values)


def one_line(reason: str) -> str:
    """The reason as a reply may say it: one line of ASCII."""
    words = " ".join(str(reason).split()).encode("ascii", "replace").decode()
    return words[:MOST_REASON] or "refused by local policy"
