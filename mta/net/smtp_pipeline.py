"""The dialogue that carries many messages down one SMTP connection.

Rule 1: MAIL, RCPT and DATA go out in one write, DATA last; the next envelope rides in the write
        that ends the content before it (RFC 2920 3.1). Without PIPELINING: one command at a time.
Rule 2: content is written only after its own 354, so at most one message is ever in doubt.
Rule 3: each transaction gets one Outcome, in order, the moment its reply is read.
Rule 4: 421 ends the connection; what the peer has not judged may go elsewhere at once.

A step is the method that takes the next reply; it acts on it and names the step after it:

    reset -> mail -> rcpt -> data -> content -> dot -> mail of the next ...
               '------'------'-> owed (the rest of a refused group) -> lone dot -> the next
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
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
CHUNK = 64 * 1024


class Pipeline:
    """What one connection remembers between deliveries; `answered`: messages the peer judged."""

    __slots__ = (
        "answered", "offer", "pipelining", "protocol", "reset_due", "reset_sent", "timeouts",
    )  # fmt: skip

    def __init__(self, protocol: PipelinedProtocol, offer: Offer, timeouts: Timeouts) -> None:
        self.answered = 0
        self.protocol = protocol
        self.offer = offer
        self.timeouts = timeouts
        self.pipelining = "PIPELINING" in offer.keywords
        # A refused envelope leaves the peer inside a transaction: RSET goes before the next.
        self.reset_due = False
        self.reset_sent = False

    async def deliver(self, transactions: Iterable[Transaction], on_outcome: OnOutcome) -> None:
        """Send all, telling `on_outcome` of each; returns when all have their Outcome."""
        dialogue = Dialogue(self, iter(transactions), on_outcome)
        self.protocol.listener = dialogue
        try:
            dialogue.begin()
            await dialogue.done
        except asyncio.CancelledError:
            self.protocol.fail("delivery was cancelled")
            raise
        finally:
            self.protocol.listener = None
            self.protocol.rest()


class Dialogue:
    """One delivery; `done` has its end, or what the caller's iterable or callback raised."""

    __slots__ = (
        "_advancing", "_ahead", "_current", "_following", "_owed", "_pipelining", "_protocol",
        "_refusal", "_rest", "_seconds", "_source", "_stage", "_step", "_tail", "_tell",
        "_timeouts", "_waits_for", "_with", "done",
    )  # fmt: skip

    def __init__(self, pipeline: Pipeline, source: Iterator[Transaction], tell: OnOutcome) -> None:
        self._with, self._source, self._tell = pipeline, source, tell
        self._protocol, self._timeouts = pipeline.protocol, pipeline.timeouts
        self._pipelining = pipeline.pipelining
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ahead: Ahead = deque()
        self._current: Envelope
        self._following: Envelope | None = None
        self._stage = "mail"
        self._advancing = False
        #: Who takes the next reply; None: nobody waits for one.
        self._step: Callable[[Reply], None] | None = None
        #: What the peer has from its last word to the next reply, or to taking more content.
        self._seconds, self._waits_for = 0.0, ""
        #: The refusal that stands while what is owed for the rest of its group is read.
        self._refusal: Reply | None = None
        self._owed = 0
        #: Content that the peer has not taken yet, and what follows it.
        self._rest: memoryview | None = None
        self._tail = b""

    # -- what drives it ---------------------------------------------------------------------

    def advance(self) -> None:
        """Act on the replies that were read, and on what became of the connection."""
        if not self._advancing:
            self._run(self._take)

    def _run(self, work: Callable[[], None]) -> None:
        """Do `work`, then all that can be done without waiting; end when nothing is left."""
        self._advancing = True
        try:
            work()
            self._take()
        except ConnectionBroken as broken:
            self._try_to_abandon(broken)
        except BaseException as error:
            self._end(error)
        finally:
            self._advancing = False

    def _take(self) -> None:
        protocol = self._protocol
        replies = protocol.replies
        while replies and self._step is not None:
            self._step(replies.popleft())
        if self._step is None:
            return
        if protocol.fault:
            if self._refusal is None:
                raise protocol.broken()
            # The refusal stands; the next send meets the broken connection.
            self._judge_refusal(self._refusal)
        elif self._rest is not None and not protocol.paused:
            self._write_content()
        if self._step is not None:
            protocol.allow(self._seconds, self._waits_for)

    def _await(self, step: Callable[[Reply], None], seconds: float) -> None:
        self._step, self._seconds, self._waits_for = step, seconds, "no reply within"

    def _end(self, error: BaseException | None = None) -> None:
        self._step = None
        if self.done.done():  # cancelled
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)

    # -- from message to message ------------------------------------------------------------

    def begin(self) -> None:
        """Write the first envelope."""
        self._run(self._go)

    def _go(self) -> None:
        current = self._pull()
        self._tell_refused()
        if current is not None:
            self._announce(current)
        self._go_on_with(current)

    def _pull(self) -> Envelope | None:
        """The next message this peer can take; those it cannot wait in `_ahead` for their turn."""
        for transaction in self._source:
            item = prepare(transaction, self._with.offer)
            self._ahead.append(item)
            if isinstance(item, Envelope):
                return item
        return None

    def _announce(self, envelope: Envelope) -> None:
        """Write the envelope in one group, when the peer takes groups."""
        if self._pipelining:
            group = self._group(envelope)
            self._protocol.send(group, 4 if self._with.reset_sent else 3)

    def _group(self, envelope: Envelope) -> bytes:
        if not self._with.reset_due:
            return envelope.mail + envelope.rcpt + DATA
        self._with.reset_sent, self._with.reset_due = True, False
        return RSET + envelope.mail + envelope.rcpt + DATA

    def _go_on_with(self, envelope: Envelope | None) -> None:
        """The turn of the next message, whose group is on its way when the peer takes groups."""
        self._stage = "mail"
        if envelope is None:
            self._end()
            return
        self._current, pipeline = envelope, self._with
        if pipeline.reset_sent or (pipeline.reset_due and not self._pipelining):
            pipeline.reset_sent = pipeline.reset_due = False
            self._ask(RSET, self._on_reset, self._timeouts.mail)
        else:
            self._ask(envelope.mail, self._on_mail, self._timeouts.mail)

    def _ask(self, line: bytes, step: Callable[[Reply], None], seconds: float) -> None:
        """Await the reply to `line`, which is written now unless it went in its group."""
        if not self._pipelining:
            self._protocol.send(line, 1)
        self._await(step, seconds)

    # -- the steps --------------------------------------------------------------------------

    def _on_reset(self, reply: Reply) -> None:
        if reply.code == 421:
            self._protocol.end(reply)
        self._ask(self._current.mail, self._on_mail, self._timeouts.mail)

    def _on_mail(self, reply: Reply) -> None:
        if self._is_positive(reply, owed=2):
            self._stage = "rcpt"
            self._ask(self._current.rcpt, self._on_rcpt, self._timeouts.rcpt)

    def _on_rcpt(self, reply: Reply) -> None:
        if self._is_positive(reply, owed=1):
            self._stage = "data"
            self._ask(DATA, self._on_data, self._timeouts.data)

    def _is_positive(self, reply: Reply, *, owed: int) -> bool:
        """Whether the dialogue goes on; a refusal and what is owed after it are dealt with here."""
        if reply.code < 300:
            return True
        if reply.code < 400:
            raise self._unexpected(reply)
        self._refused(reply, owed)
        return False

    def _on_data(self, reply: Reply) -> None:
        if 300 <= reply.code < 400:
            self._transfer(self._current)
        elif reply.code < 300:
            raise self._unexpected(reply)
        else:
            self._refused(reply, 0)

    def _refused(self, reply: Reply, owed: int) -> None:
        """The envelope was refused; `owed` replies to the rest of its group are still to come."""
        self._with.reset_due = True
        if reply.code == 421:
            self._protocol.end(reply)
        elif self._pipelining and owed:
            self._refusal, self._owed = reply, owed
            self._await(partial(self._on_owed, reply), self._timeouts.data)
            return
        self._judge_refusal(reply)

    def _on_owed(self, refusal: Reply, reply: Reply) -> None:
        """Only the refusal counts; a peer that says 354 all the same is answered with a lone dot.

        RFC 2920 3.1.
        """
        self._owed -= 1
        if reply.code == 421:
            self._protocol.end(reply)
        elif self._owed > 0:
            return
        elif 300 <= reply.code < 400 and not self._protocol.fault:
            self._protocol.send(DOT, 1)
            self._await(partial(self._on_lone_dot, refusal), self._timeouts.dot)
            return
        self._judge_refusal(refusal)

    def _on_lone_dot(self, refusal: Reply, reply: Reply) -> None:
        if reply.code == 421:
            self._protocol.end(reply)
        self._judge_refusal(refusal)

    def _judge_refusal(self, refusal: Reply) -> None:
        self._refusal = None
        self._judge(refusal)
        following = self._pull()
        self._tell_refused()
        if following is not None:
            self._stage = "mail"
            self._announce(following)
        self._go_on_with(following)

    def _transfer(self, envelope: Envelope) -> None:
        """Write the content, with the next envelope riding behind the dot."""
        self._following = following = self._pull()
        content = dot_stuff(envelope.transaction.content)
        tail = DOT
        if following is not None and self._pipelining:
            tail = DOT + self._group(following)
        if len(content) <= CHUNK:
            self._end_content(content + tail)
        else:
            self._rest, self._tail = memoryview(content), tail
            self._await(self._on_dot, self._timeouts.block)
            self._waits_for = "peer took no data for"
            self._write_content()

    def _write_content(self) -> None:
        """Write on while the peer takes it.

        The replies are owed from the moment the tail is written: an answer before that is an early
        refusal. A pause lasts `block` seconds at most (RFC 5321 4.5.3.2.5).
        """
        while self._rest is not None and not self._protocol.paused:
            if not self._rest:
                self._rest = None
                self._end_content(self._tail)
                return
            self._protocol.send(bytes(self._rest[:CHUNK]), 0)
            self._rest = self._rest[CHUNK:]

    def _end_content(self, data: bytes) -> None:
        """`data` ends with the final dot, or with the group behind it."""
        grouped = self._following is not None and self._pipelining
        self._protocol.send(data, 4 if grouped else 1)
        self._stage = "dot"
        self._await(self._on_dot, self._timeouts.dot)

    def _on_dot(self, reply: Reply) -> None:
        if reply.code == 421:
            self._protocol.end(reply)
        elif 300 <= reply.code < 400:
            raise self._unexpected(reply)
        self._judge(reply)
        self._tell_refused()
        self._go_on_with(self._following)

    def _unexpected(self, reply: Reply) -> ConnectionBroken:
        self._protocol.fail(f"unexpected reply {reply.code} at stage {self._stage}")
        return self._protocol.broken()

    # -- what is told -----------------------------------------------------------------------

    def _judge(self, answer: Reply) -> None:
        """Tell the Outcome of the current message, the first Envelope of `_ahead`."""
        envelope = self._ahead.popleft()
        attempted = not (answer.code == 421 and self._is_untried())
        self._with.answered += 1
        outcome = Outcome(envelope.key, answer.code < 300, self._stage, answer, "", attempted)
        self._tell(outcome)

    def _tell_refused(self) -> None:
        """Messages this peer cannot take are told in their turn."""
        ahead = self._ahead
        while ahead and isinstance(refused := ahead[0], Outcome):
            ahead.popleft()
            self._tell(refused)

    def _is_untried(self) -> bool:
        """Whether the connection ended between messages, not at this one.

        A peer that refuses the very first message of a connection has judged it: else a caller
        that tries again at once would never stop.
        """
        return self._stage == "mail" and self._with.answered > 0

    def _try_to_abandon(self, broken: ConnectionBroken) -> None:
        try:
            self._abandon(broken)
        except BaseException as error:
            self._end(error)
        else:
            self._end()

    def _abandon(self, broken: ConnectionBroken) -> None:
        """The Outcome of everything not yet told: at most the first was really tried."""
        attempted = not self._is_untried()
        for item in chain(self._ahead, self._source):
            if isinstance(item, Outcome):
                self._tell(item)
                continue
            said = self._said(broken)
            error = "" if said else broken.text
            self._tell(Outcome(item.key, False, self._stage, said, error, attempted))
            attempted, self._stage = False, "mail"

    def _said(self, broken: ConnectionBroken) -> Reply | None:
        """What the peer said unasked, where it means something: 421, or no to half a content."""
        reply = broken.reply
        if reply and (reply.code == 421 or (reply.code >= 400 and self._stage == "data")):
            return reply
        return None
