"""The dialogue that carries many messages down one SMTP connection.

Rule 1: MAIL, RCPT and DATA go out in one write, DATA last; the next envelope rides in the write
        that ends the content before it (RFC 2920 3.1). Without PIPELINING: one command at a time.
Rule 2: content is written only after its own 354, so at most one message is ever in doubt.
Rule 3: each transaction gets one Outcome, in order, the moment its reply is read.
Rule 4: 421 ends the connection; what the peer has not judged may go elsewhere at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from mta.mail.reply import Reply
from mta.mail.wire import dot_stuff
from mta.net.smtp_envelope import Envelope, Offer, Outcome, Timeouts, Transaction, prepare
from mta.net.smtp_protocol import ConnectionBroken, PipelinedProtocol

OnOutcome = Callable[[Outcome], None]
#: pulled from the source and not yet told, in order; the first Envelope is the current one
Ahead = deque[Envelope | Outcome]

RSET = b"RSET\r\n"
DATA = b"DATA\r\n"
DOT = b".\r\n"


class Pipeline:
    """The transactions of one connection; `answered` counts those the peer has judged."""

    def __init__(self, protocol: PipelinedProtocol, offer: Offer, timeouts: Timeouts) -> None:
        self.answered = 0
        self._protocol = protocol
        self._offer = offer
        self._timeouts = timeouts
        self._pipelining = "PIPELINING" in offer.keywords
        # A refused envelope leaves the peer inside a transaction: RSET goes before the next.
        self._reset_due = False
        self._reset_sent = False
        self._stage = "mail"

    async def deliver(self, transactions: Iterable[Transaction], on_outcome: OnOutcome) -> None:
        """Send all, telling `on_outcome` of each; returns when all have their Outcome."""
        source = iter(transactions)
        ahead: Ahead = deque()
        self._stage = "mail"
        try:
            current = self._pull(source, ahead)
            _tell_refused(ahead, on_outcome)
            if current is not None:
                self._announce(current)
            while current is not None:
                self._stage = "mail"
                refusal = await self._negotiate(current)
                following = self._pull(source, ahead)
                answer = refusal or await self._transfer(current, following)
                ahead.popleft()
                on_outcome(self._judged(current, answer))
                _tell_refused(ahead, on_outcome)
                self._stage = "mail"
                if refusal is not None and following is not None:
                    self._announce(following)
                current = following
        except ConnectionBroken as broken:
            self._abandon(broken, source, ahead, on_outcome)
        except asyncio.CancelledError:
            self._protocol.fail("delivery was cancelled")
            self._abandon(self._protocol.broken(), source, ahead, on_outcome)
            raise

    def _pull(self, source: Iterator[Transaction], ahead: Ahead) -> Envelope | None:
        """The next message this peer can take; those it cannot wait in `ahead` for their turn."""
        for transaction in source:
            item = prepare(transaction, self._offer)
            ahead.append(item)
            if isinstance(item, Envelope):
                return item
        return None

    def _announce(self, envelope: Envelope) -> None:
        """Write the envelope in one group, when the peer takes groups."""
        if self._pipelining:
            group = self._group(envelope)
            self._protocol.send(group, 4 if self._reset_sent else 3)

    def _group(self, envelope: Envelope) -> bytes:
        self._reset_sent, self._reset_due = self._reset_due, False
        return (RSET if self._reset_sent else b"") + envelope.mail + envelope.rcpt + DATA

    async def _negotiate(self, envelope: Envelope) -> Reply | None:
        """None when the peer waits for content, else its refusal at stage `_stage`."""
        await self._reset()
        wait = self._timeouts
        steps = (
            ("mail", envelope.mail, wait.mail),
            ("rcpt", envelope.rcpt, wait.rcpt),
            ("data", DATA, wait.data),
        )
        for position, (stage, line, seconds) in enumerate(steps):
            self._stage = stage
            if not self._pipelining:
                self._protocol.send(line, 1)
            reply = await self._reply(seconds)
            if reply.code >= 400:
                self._reset_due = True
                if self._pipelining and reply.code != 421:
                    await self._drop_answers(2 - position)
                return reply
            if (reply.code >= 300) != (stage == "data"):
                raise self._unexpected(reply)
        return None

    async def _reset(self) -> None:
        if self._reset_due and not self._pipelining:
            self._protocol.send(RSET, 1)
            self._reset_sent, self._reset_due = True, False
        if self._reset_sent:
            self._reset_sent = False
            await self._reply(self._timeouts.mail)

    async def _drop_answers(self, count: int) -> None:
        """Read what the peer owes for the rest of a refused group; only the refusal counts.

        RFC 2920 3.1: a peer may still answer 354 to DATA; a lone dot gets out of it.
        """
        reply = None
        try:
            for _ in range(count):
                reply = await self._reply(self._timeouts.data)
            if reply is not None and 300 <= reply.code < 400:
                self._protocol.send(DOT, 1)
                await self._reply(self._timeouts.dot)
        except ConnectionBroken:
            # The refusal stands; the next send meets the broken connection.
            return

    async def _transfer(self, envelope: Envelope, following: Envelope | None) -> Reply:
        """The peer's answer to the content, with the next envelope riding behind the dot."""
        content = dot_stuff(envelope.transaction.content)
        tail, replies = DOT, 1
        if following is not None and self._pipelining:
            tail, replies = DOT + self._group(following), 4
        await self._protocol.send_content(content, tail, replies, self._timeouts.block)
        self._stage = "dot"
        reply = await self._reply(self._timeouts.dot)
        if 300 <= reply.code < 400:
            raise self._unexpected(reply)
        return reply

    async def _reply(self, seconds: float) -> Reply:
        reply = await self._protocol.reply(seconds)
        if reply.code == 421:
            self._protocol.end(reply)
        return reply

    def _unexpected(self, reply: Reply) -> ConnectionBroken:
        self._protocol.fail(f"unexpected reply {reply.code} at stage {self._stage}")
        return self._protocol.broken()

    def _judged(self, envelope: Envelope, answer: Reply) -> Outcome:
        attempted = not (answer.code == 421 and self._is_untried())
        self.answered += 1
        delivered = answer.code < 300
        return Outcome(envelope.key, delivered, self._stage, answer, "", attempted)

    def _is_untried(self) -> bool:
        """Whether the connection ended between messages, not at this one.

        A peer that refuses the very first message of a connection has judged it: else a caller
        that tries again at once would never stop.
        """
        return self._stage == "mail" and self.answered > 0

    def _abandon(
        self,
        broken: ConnectionBroken,
        source: Iterator[Transaction],
        ahead: Ahead,
        on_outcome: OnOutcome,
    ) -> None:
        """The Outcome of everything not yet told: at most the first was really tried."""
        attempted = not self._is_untried()
        for item in chain(ahead, source):
            if isinstance(item, Outcome):
                on_outcome(item)
                continue
            said = self._said(broken)
            error = "" if said else broken.text
            on_outcome(Outcome(item.key, False, self._stage, said, error, attempted))
            attempted, self._stage = False, "mail"

    def _said(self, broken: ConnectionBroken) -> Reply | None:
        """What the peer said unasked, where it means something: 421, or no to half a content."""
        reply = broken.reply
        if reply and (reply.code == 421 or (reply.code >= 400 and self._stage == "data")):
            return reply
        return None


def _tell_refused(ahead: Ahead, on_outcome: OnOutcome) -> None:
    while ahead and isinstance(refused := ahead[0], Outcome):
        ahead.popleft()
        on_outcome(refused)
