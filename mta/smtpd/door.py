"""What the SMTP listener needs from the rest of the house, as one interface.

Every method blocks and is called in threads, several at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mta.smtpd.submission import Caller, Counted, Judged, Submission


class Door(Protocol):
    """The way in. The database stands behind it in service, a fake in the tests."""

    def authenticate(self, username: str, password: str) -> Caller | None:
        """Whom the credential belongs to; None when it is unknown, wrong, revoked or expired."""

    def caller_for_domain(self, domain: str) -> Caller | None:
        """The tenant that may send as this domain (A-label); None when nobody may."""

    def stream_id(self, tenant_id: int, name: str) -> int | None:
        """The stream of that name, "" the default; None when there is none."""

    @property
    def judges(self) -> bool:
        """Whether there is a policy to ask; quick, called outside threads too."""

    def judge(self, submission: Submission) -> Judged:
        """What the operator's policy says; asked before anything is counted."""

    def count(self, tenant_id: int, recipients: int) -> Counted:
        """Count the recipients of one message; asked only for a Caller that is counted."""

    def new_id(self) -> int:
        """A message id; quick, called outside threads too."""

    def store(self, submissions: Sequence[Submission]) -> None:
        """Store all of them durably, or raise and store nothing."""
