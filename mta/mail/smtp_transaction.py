"""One mail transaction: the envelope, the content on its way in, and why it will be refused."""

from __future__ import annotations

from mta.mail import smtp_replies as replies
from mta.mail import wire
from mta.mail.address import Address
from mta.mail.reply import Reply
from mta.mail.smtp_content import ChunkContent, DotContent
from mta.mail.smtp_events import Envelope, EnvelopeRecipient, MessageReceived


class Transaction:
    """What lies between MAIL and the answer to the content. RFC 5321 3.3"""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.content: DotContent | ChunkContent | None = None
        #: The answer to the end of the content, when it is known before.
        self.refusal: Reply | None = None
        self._addresses: set[Address] = set()

    def add(self, recipient: EnvelopeRecipient) -> None:
        """Add a recipient; an address that is there already gets one copy only."""
        if recipient.address not in self._addresses:
            self._addresses.add(recipient.address)
            self.envelope.recipients.append(recipient)

    def chunks(self, limit: int) -> ChunkContent:
        """The chunks so far; limit is octets, used when there are none yet."""
        if not isinstance(self.content, ChunkContent):
            self.content = ChunkContent(limit)
        return self.content

    def abandon(self, refusal: Reply) -> None:
        """Throw the content away as it comes; the first refusal stands."""
        if self.content is not None:
            self.content.discard()
        self.refusal = self.refusal or refusal

    def finish(self) -> MessageReceived | Reply:
        """All content is here: the message, or what it is refused with."""
        content = self.content.content() if self.content else None
        self.content = None
        if self.refusal is not None:
            return self.refusal
        if content is None:
            return replies.TOO_LARGE
        if wire.check(content) is not None:
            return replies.BARE_CONTENT
        return MessageReceived(self.envelope, content)
