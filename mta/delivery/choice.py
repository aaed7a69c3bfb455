"""The way that routing chooses for a batch, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Choice:
    """What the rules and the hook say of one batch; 0 and None leave it to the stream."""

    pool_id: int = 0
    source_id: int = 0
    urgent: bool | None = None
    #: Recipient -> reason.
    held: Mapping[int, str] = field(default_factory=dict)
    #: Recipient -> our own reply, such as "550 5.7.1 no such campaign".
    rejected: Mapping[int, str] = field(default_factory=dict)
    #: Recipients that take another way than the batch's first: they go back, due at once.
    apart: frozenset[int] = frozenset()
    #: The rule that chose the way; "" when none did.
    rule: str = ""
    #: Why nothing of the batch may go now; it comes again in a minute. "" is the common case.
    wait: str = ""


#: The stream's own way, for all of the batch.
OWN = Choice()
