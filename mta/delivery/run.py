"""One batch being sent: down one connection after another, as the limits and the hosts allow.

Rule 1: nothing is sent without a token of every limit; what is not admitted goes back with its time
        and counts as no attempt.
Rule 2: an outcome is journalled the moment its reply is read.
Rule 3: a recipient that a connection did not get to is tried on the next one; two connections in a
        row without any progress end the batch.
Rule 4: a run is a coroutine in the loop: while it waits it costs memory and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from time import time_ns

from mta.delivery.batch import Batch, Outcome, Path
from mta.delivery.choose import quantum_ms, said
from mta.delivery.connect import Connector, Refusal
from mta.delivery.custody import Custody
from mta.delivery.lessor import slot_key
from mta.delivery.throttle import Watch
from mta.limits.egress import Bucket, Counter, Grant, Limits
from mta.mail.template import TemplateError
from mta.net import smtp_envelope as net
from mta.net.smtp import Connection
from mta.spool.load import Outgoing
from mta.storage.fields import now_ms

#: Seconds a run waits for tokens before the rest goes back: dispatch decides who is next, not those
#: who happen to wait here. Longer than it looks ahead, so that whom it chose is served.
PATIENCE = 0.6
#: Who sends much leaves the next token to who sends little, seconds.
COURTESY = 0.003
#: How long a batch that met only full limits of connections stays away, milliseconds.
CONNECTION_WAIT_MS = 1000


@dataclass(frozen=True, slots=True)
class Means:
    """What the runs of a process share."""

    connector: Connector
    limits: Limits
    custody: Custody
    watch: Watch
    #: Set in the loop when nothing more may go out.
    stopping: asyncio.Event


class Run:
    """One batch being sent."""

    def __init__(
        self, means: Means, batch: Batch, path: Path, waiting: dict[int, Outgoing]
    ) -> None:
        self.means, self.batch, self.path = means, batch, path
        self.waiting = waiting
        self.signatures = dict(zip(batch.recipient_ids, batch.signatures, strict=False))
        self.outcomes: list[Outcome] = []
        self.window = batch.window
        self.progress = 0
        #: Outcomes that the throttle knows of.
        self.told = 0
        self.alarm = False
        self.buckets = [Bucket(*row) for row in path.buckets]
        self.counters = [Counter(*row) for row in path.counters]

    async def go(self) -> Batch:
        """The batch with an outcome for each recipient that it held."""
        stalls = 0
        self.window = min(100, self.window * 2)
        while self.waiting and self.may_go():
            before = self.progress
            refusal = await self.one_connection()
            stalls = 0 if self.progress > before else stalls + 1
            if refusal is not None and (refusal.final or stalls >= 2):
                await self.ended_by(refusal)
            elif refusal is not None and refusal.code:
                # Before another connection is opened: perhaps none is wanted.
                await self.hear(refusal)
        if self.waiting:
            self.limit(now_ms(), "the worker stops, or its claim ended", "")
        return replace(self.batch, window=self.window).with_outcomes(*self.outcomes)

    def may_go(self) -> bool:
        """Whether another message may go out: the worker stays and the batch is still ours."""
        means = self.means
        return not means.stopping.is_set() and means.custody.holds(self.batch.token)

    async def admitted(self, room: int) -> int:
        """How many may go now; 0 when a limit sent the rest back, or the connection has no room."""
        want = min(len(self.waiting), room)
        if want == 0 or not (self.buckets or self.counters):
            return want
        patience = PATIENCE
        while self.may_go():
            take = partial(
                self.means.limits.take, want, buckets=self.buckets, counters=self.counters
            )
            grant = await self.means.connector.ask(take)
            if grant.granted:
                return grant.granted
            if grant.retry_in > patience:
                self.window = max(1, len(self.outcomes))
                self.kept_back(grant, want)
                return 0
            patience -= grant.retry_in
            # Not for the urgent ones: dispatch has given them their part already.
            await self.sleep(grant.retry_in + (0.0 if self.batch.light else COURTESY))
        return 0

    def kept_back(self, grant: Grant, want: int) -> None:
        """A limit lets nothing more through now."""
        now = now_ms()
        until, gate = now + round(grant.retry_in * 1000), grant.limited_by
        for bucket in self.buckets:
            if bucket.key == gate:
                until += quantum_ms(bucket, want)
        if not self.path.alone or any(counter.key == gate for counter in self.counters):
            # Another source may take it at once, or the next day: resolve sees what is used up.
            until, gate = now, ""
        self.limit(until, said(grant.limited_by), gate)

    async def sleep(self, seconds: float) -> None:
        """Wait, but not for longer than the worker stays."""
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                await self.means.stopping.wait()
        except TimeoutError:
            return

    async def watched(self) -> None:
        """Tell what was answered; the rest goes back when the receiver wants us to be slower."""
        new = [one for one in self.outcomes[self.told :] if not one.kind]
        self.told = len(self.outcomes)
        if new:
            await self.tell(new)

    async def tell(self, new: list[Outcome]) -> None:
        """Have the throttle look at what was answered; it asks Redis only about trouble."""
        after = self.means.watch.after
        if self.path.throttled or any(one.code // 100 != 2 for one in new):
            stop = await self.means.connector.ask(after, self.path, new)
        else:
            stop = after(self.path, new)
        if stop is not None and self.waiting:
            self.limit(stop.until, stop.reason, stop.gate)

    async def ended_by(self, refusal: Refusal) -> None:
        """No connection is to be had: an attempt of all, unless the throttle wants them to wait."""
        if refusal.stage != "limit":
            await self.hear(refusal)
        self.refuse(refusal)

    async def hear(self, refusal: Refusal) -> None:
        """Have the throttle look at why a connection was of no use."""
        if self.waiting:
            first = next(iter(self.waiting))
            said = (refusal.stage, refusal.text, refusal.code, refusal.enhanced)
            await self.tell([Outcome(first, "", *said)])

    async def give_back(self, unused: int) -> None:
        if unused > 0 and (self.buckets or self.counters):
            give = partial(
                self.means.limits.give_back, unused, buckets=self.buckets, counters=self.counters
            )
            await self.means.connector.ask(give)

    async def one_connection(self) -> Refusal | None:
        """Send what may go down one connection; why it did not work out, or None.

        Tokens are taken when the connection is there: what is granted goes at once, so that no
        more passes in any window than the limits say.
        """
        connector = self.means.connector
        got = await connector.get(self.path)
        if isinstance(got, Refusal):
            return got
        room = self.path.messages_per_connection - got.sent
        last: list[net.Outcome] = []
        self.alarm = False
        before = self.progress
        granted = 0
        try:
            granted = await self.admitted(max(room, 0))
            if granted:
                await got.deliver(
                    self.transactions(got, granted),
                    lambda outcome: self.met(got, outcome, last),
                )
        finally:
            connector.put(self.path, got)
            await self.give_back(granted - (self.progress - before))
        await self.watched()
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
            # Who asks a broken connection's next only wants to say that it was not tried.
            if connection.broken or self.alarm or not self.may_go():
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
                one.recipient_id,
                one.reverse_path,
                one.address,
                content,
                not content.isascii(),
                one.smtputf8,
                mail_options(one) if one.ret or one.envid else (),
                rcpt_options(one) if one.notify or one.orcpt else (),
            )

    def met(self, connection: Connection, outcome: net.Outcome, last: list[net.Outcome]) -> None:
        """Called in the loop the moment a reply is read."""
        if not outcome.attempted:
            last.append(outcome)
            return
        text, code, enhanced = outcome.error, 0, ""
        if (reply := outcome.reply) is not None:
            text, code, enhanced = reply.text, reply.code, reply.enhanced
        now = time_ns() // 1_000_000
        read = Outcome(
            outcome.key, "", outcome.stage, text, code, enhanced, connection.host,
            connection.address, connection.tls, now, now - self.batch.claimed_at,
        )  # fmt: skip
        self.record(read)
        self.progress += 1
        if code // 100 != 2 and self.means.watch.alarmed(self.path, read):
            self.alarm = True

    def unrendered(self, one: Outgoing, error: TemplateError) -> None:
        """Our own failure at one recipient: temporary, like everything that surprises us."""
        now = now_ms()
        self.record(
            Outcome(one.recipient_id, "", "local", f"template: {error}", at=now,
                    took_ms=now - self.batch.claimed_at)
        )  # fmt: skip

    def record(self, done: Outcome) -> None:
        self.means.custody.reply(self.batch.token, done)
        self.outcomes.append(done)
        self.waiting.pop(done.recipient_id, None)

    def refuse(self, refusal: Refusal) -> None:
        """No host takes the rest: full limits put it off, everything else is an attempt."""
        now = now_ms()
        if refusal.stage == "limit":
            self.limit(now + CONNECTION_WAIT_MS, refusal.text, slot_key(self.path))
            return
        for rid in list(self.waiting):
            self.record(
                Outcome(
                    rid, "", refusal.stage, refusal.text, refusal.code, refusal.enhanced,
                    mx_host=refusal.host, mx_address=refusal.address, at=now,
                    took_ms=now - self.batch.claimed_at,
                )
            )  # fmt: skip

    def limit(self, until: int, reason: str, gate: str) -> None:
        """The rest goes back as it is; the lane waits."""
        now = now_ms()
        for rid in list(self.waiting):
            self.record(
                Outcome(rid, "limited", "local", reason, at=now, until=until, gate=gate,
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
