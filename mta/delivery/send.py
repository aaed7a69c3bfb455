"""Deliver: one batch down one connection after another, as the limits and the hosts allow.

Rule 1: nothing is sent without a token of every limit; what is not admitted goes back with its time
        and counts as no attempt.
Rule 2: an outcome is journalled the moment its reply is read.
Rule 3: a recipient that a connection did not get to is tried on the next one; two connections in a
        row without any progress end the batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from mta.delivery.batch import Batch, Outcome, Path
from mta.delivery.connect import Connector, Refusal
from mta.delivery.custody import Custody
from mta.delivery.route import today, warmup_counter
from mta.limits.egress import Bucket, Counter, Limits
from mta.mail.template import TemplateError
from mta.net import smtp_envelope as net
from mta.net.smtp import Connection
from mta.spool.load import Outgoing, load
from mta.storage.fields import now_ms
from mta.storage.transactions import let_go

#: Seconds a thread waits for a token before the rest of the batch goes back.
PATIENCE = 1.0
#: How long a batch that met only full limits of connections stays away, milliseconds.
CONNECTION_WAIT_MS = 1000


class Sender:
    """Sends batches; one a process, used from many threads."""

    def __init__(self, connector: Connector, limits: Limits, custody: Custody) -> None:
        self.connector, self.limits, self.custody = connector, limits, custody
        self.stopping = threading.Event()

    def send(self, batch: Batch) -> Batch:
        """The batch with an outcome for each recipient that it still holds."""
        if batch.path is None:
            return batch
        decided = batch.decided()
        waiting = {
            one.recipient_id: one for one in load(batch.token) if one.recipient_id not in decided
        }
        let_go()
        return Run(self, batch, batch.path, waiting).go()

    def stop(self) -> None:
        """Send nothing more; what is on the wire may finish until `Connector.close`."""
        self.stopping.set()


class Run:
    """One batch being sent."""

    def __init__(
        self, sender: Sender, batch: Batch, path: Path, waiting: dict[int, Outgoing]
    ) -> None:
        self.sender, self.batch, self.path = sender, batch, path
        self.waiting = waiting
        self.signatures = dict(zip(batch.recipient_ids, batch.signatures, strict=False))
        self.outcomes: list[Outcome] = []
        self.window = batch.window
        self.progress = 0
        rate = path.messages_per_second
        self.buckets = (
            [Bucket(f"rate:{path.source_name}:{path.site}", rate, path.burst)] if rate else []
        )
        self.counters: list[Counter] = []
        if path.day_cap is not None:
            reach = path.provider or path.site
            day = str(today().date())
            self.counters = [warmup_counter(path.source_name, reach, path.day_cap, day)]

    def go(self) -> Batch:
        stalls = 0
        self.window = min(100, self.window * 2)
        while self.waiting and self.may_go():
            granted = self.admitted()
            if not granted:
                break
            before = self.progress
            try:
                refusal = self.one_connection(granted)
            finally:
                self.give_back(granted - (self.progress - before))
            stalls = 0 if self.progress > before else stalls + 1
            if refusal is not None and (refusal.final or stalls >= 2):
                self.refuse(refusal)
        if self.waiting:
            self.postpone(now_ms(), "the worker stops, or its claim ended")
        return replace(self.batch, window=self.window).with_outcomes(*self.outcomes)

    def may_go(self) -> bool:
        """Whether another message may go out: the worker stays and the batch is still ours."""
        stopping = self.sender.stopping.is_set()
        return not stopping and self.sender.custody.holds(self.batch.token)

    def admitted(self) -> int:
        """How many may go now; 0 after the rest was postponed to when it may."""
        want = len(self.waiting)
        if not self.buckets and not self.counters:
            return want
        while self.may_go():
            grant = self.sender.limits.take(want, buckets=self.buckets, counters=self.counters)
            if grant.granted:
                return grant.granted
            if grant.retry_in > PATIENCE:
                # A counter that is full sends the mail back to choose another source at once.
                exhausted = bool(self.counters) and grant.limited_by == self.counters[0].key
                wait = 0.0 if exhausted else grant.retry_in
                self.window = max(1, len(self.outcomes))
                self.postpone(now_ms() + round(wait * 1000), f"limit {grant.limited_by}")
                return 0
            self.sender.stopping.wait(max(grant.retry_in, 0.001))
        return 0

    def give_back(self, unused: int) -> None:
        if unused > 0 and (self.buckets or self.counters):
            self.sender.limits.give_back(unused, buckets=self.buckets, counters=self.counters)

    def one_connection(self, granted: int) -> Refusal | None:
        """Send up to `granted` down one connection; why it did not work out, or None."""
        got = self.sender.connector.get(self.path)
        if isinstance(got, Refusal):
            return got
        room = self.path.messages_per_connection - got.sent
        last: list[net.Outcome] = []
        try:
            self.sender.connector.run(
                got.deliver(
                    self.transactions(got, min(granted, room)),
                    lambda outcome: self.met(got, outcome, last),
                )
            )
        finally:
            self.sender.connector.put(self.path, got)
        if last and not last[0].attempted:
            reply = last[0].reply
            return Refusal(
                stage=last[0].stage,
                text=reply.text if reply else last[0].error,
                code=reply.code if reply else 0,
                enhanced=reply.enhanced if reply else "",
                host=got.host,
                address=got.address,
            )
        return None

    def transactions(self, connection: Connection, most: int) -> Iterator[net.Transaction]:
        """Rendered one at a time as the connection asks for them; ends when no more may go."""
        # A kept connection may have carried more than this path allows: then it carries nothing.
        for one in list(self.waiting.values())[: max(most, 0)]:
            if not self.may_go():
                return
            try:
                content = one.wire()
            except TemplateError as error:  # checked at injection; the others must not suffer
                self.unrendered(one, error)
                continue
            signature = self.signatures.get(one.recipient_id, "")
            if signature:
                content = signature.encode("ascii") + content
            yield net.Transaction(
                key=one.recipient_id,
                reverse_path=one.reverse_path,
                forward_path=one.address,
                content=content,
                eight_bit=not content.isascii(),
                smtputf8=one.smtputf8,
                mail_options=mail_options(one),
                rcpt_options=rcpt_options(one),
            )

    def met(self, connection: Connection, outcome: net.Outcome, last: list[net.Outcome]) -> None:
        """Called in the loop the moment a reply is read."""
        if not outcome.attempted:
            last.append(outcome)
            return
        reply = outcome.reply
        now = now_ms()
        done = Outcome(
            recipient_id=outcome.key,
            kind="",
            stage=outcome.stage,
            reply=reply.text if reply else outcome.error,
            code=reply.code if reply else 0,
            enhanced=reply.enhanced if reply else "",
            mx_host=connection.host,
            mx_address=connection.address,
            tls=connection.tls,
            at=now,
            took_ms=now - self.batch.claimed_at,
        )
        self.record(done)
        self.progress += 1

    def unrendered(self, one: Outgoing, error: TemplateError) -> None:
        """Our own failure at one recipient: temporary, like everything that surprises us."""
        now = now_ms()
        self.record(
            Outcome(one.recipient_id, "", "local", f"template: {error}", at=now,
                    took_ms=now - self.batch.claimed_at)
        )  # fmt: skip

    def record(self, done: Outcome) -> None:
        self.sender.custody.reply(self.batch.token, done)
        self.outcomes.append(done)
        self.waiting.pop(done.recipient_id, None)

    def refuse(self, refusal: Refusal) -> None:
        """No host takes the rest: full limits put it off, everything else is an attempt."""
        now = now_ms()
        if refusal.stage == "limit":
            self.postpone(now + CONNECTION_WAIT_MS, refusal.text)
            return
        for rid in list(self.waiting):
            self.record(
                Outcome(
                    rid, "", refusal.stage, refusal.text, refusal.code, refusal.enhanced,
                    mx_host=refusal.host, mx_address=refusal.address, at=now,
                    took_ms=now - self.batch.claimed_at,
                )
            )  # fmt: skip

    def postpone(self, until: int, reason: str) -> None:
        now = time.time_ns() // 1_000_000
        for rid in list(self.waiting):
            self.record(
                Outcome(rid, "postponed", "local", reason, at=now, until=until,
                        took_ms=now - self.batch.claimed_at)
            )  # fmt: skip


def mail_options(one: Outgoing) -> tuple[str, ...]:
    """RFC 3461 ENVID and RET; left out by the connection where the peer offers no DSN."""
    named = (("RET", one.ret), ("ENVID", one.envid))
    return tuple(f"{name}={value}" for name, value in named if value)


def rcpt_options(one: Outgoing) -> tuple[str, ...]:
    """RFC 3461 NOTIFY and ORCPT."""
    named = (("NOTIFY", one.notify), ("ORCPT", one.orcpt))
    return tuple(f"{name}={value}" for name, value in named if value)
