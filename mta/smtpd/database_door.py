"""The door with the database behind it."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, ParamSpec, TypeVar

from django.db import connections
from django.utils import timezone

from mta import wiring
from mta.smtpd.submission import Caller, Counted, Judged, Submission
from mta.spool import quota
from mta.spool.hooked import InjectRejected, InjectUnsettled, injected
from mta.spool.ids import new_id
from mta.spool.inject import NewMessage, NewRecipient, inject
from mta.spool.quota import OverQuota
from mta.tenants import credentials, senders

P = ParamSpec("P")
R = TypeVar("R")


#: A connection that worked so many seconds ago is taken to work. To find out, PostgreSQL is asked
#: and a connection taken from the pool anew: five round trips, as many as a group's rows cost.
TRUSTED_SECONDS: Final = 2.0


class Thread(threading.local):
    """When this thread's connection was last used, by the monotonic clock."""

    used_at = -TRUSTED_SECONDS


thread = Thread()


def on_fresh_connection(function: Callable[P, R]) -> Callable[P, R]:
    """A thread's database connection may have died since its last call: find out first."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        rested = time.monotonic() - thread.used_at > TRUSTED_SECONDS
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block:  # the caller's own transaction stays open
                continue
            if rested or connection.errors_occurred:
                connection.close_if_unusable_or_obsolete()
        try:
            return function(*args, **kwargs)
        finally:
            thread.used_at = time.monotonic()

    return wrapped


class DatabaseDoor:
    """See Door."""

    @on_fresh_connection
    def authenticate(self, username: str, password: str) -> Caller | None:
        found = credentials.caller_by_smtp(username, password)
        if found is None:
            return None
        return Caller(
            tenant_id=found.tenant_id,
            tenant_name=found.tenant_name,
            suspended=found.suspended,
            may_send="send" in found.scopes,
            counted=quota.refuses(found.tenant_id),
        )

    @on_fresh_connection
    def caller_for_domain(self, domain: str) -> Caller | None:
        owner = senders.owner_of(domain)
        if owner is None:
            return None
        return Caller(
            owner.tenant_id,
            owner.tenant_name,
            suspended=owner.suspended,
            counted=quota.refuses(owner.tenant_id),
        )

    @on_fresh_connection
    def stream_id(self, tenant_id: int, name: str) -> int | None:
        try:
            return int(senders.stream_for(tenant_id, name).pk)
        except senders.StreamUnknown:
            return None

    @property
    def judges(self) -> bool:
        return wiring.hooks().inject is not None

    @on_fresh_connection
    def judge(self, submission: Submission) -> Judged:
        instructions = submission.instructions
        try:
            message = injected(new_message(submission))
        except InjectRejected as rejected:
            return Judged(instructions, str(rejected))
        except InjectUnsettled as unsettled:
            return Judged(instructions, str(unsettled), later=True)
        changed = replace(
            instructions, campaign=message.campaign, tags=tuple(message.tags),
            metadata=message.metadata,
        )  # fmt: skip
        return Judged(changed)

    @on_fresh_connection
    def count(self, tenant_id: int, recipients: int) -> Counted:
        try:
            taken = quota.take(tenant_id, recipients, timezone.now())
        except OverQuota as over:
            return Counted(refusal=f"{over} Try again in {over.retry_in} s")
        return Counted(undo=functools.partial(quota.give_back, taken, recipients))

    def new_id(self) -> int:
        return new_id()

    @on_fresh_connection
    def store(self, submissions: Sequence[Submission]) -> None:
        inject([new_message(submission) for submission in submissions])


def new_message(submission: Submission) -> NewMessage:
    """A submission as the spool takes it."""
    return NewMessage(
        tenant_id=submission.tenant_id,
        stream_id=submission.stream_id,
        reverse_path=submission.reverse_path,
        sender_domain=submission.sender_domain,
        content=submission.content,
        kind="raw",
        recipients=[
            NewRecipient(
                address=each.address,
                notify=each.notify,
                orcpt=each.orcpt,
                engaged=submission.instructions.engaged,
            )
            for each in submission.recipients
        ],
        origin="smtp",
        subject=submission.subject,
        campaign=submission.instructions.campaign,
        tags=submission.instructions.tags,
        metadata=submission.instructions.metadata,
        smtputf8=submission.smtputf8,
        envid=submission.envid,
        ret=submission.ret,
        message_id=submission.message_id,
        unique=True,  # its Received field names the id
    )
