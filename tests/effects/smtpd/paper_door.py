"""A door that keeps what it is given in a list: the SMTP listener without a database."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

from mta.smtpd.submission import Caller, Counted, Judged, Submission

ACME = Caller(tenant_id=1, tenant_name="acme")
GLOBEX = Caller(tenant_id=2, tenant_name="globex")
FROZEN = Caller(tenant_id=3, tenant_name="frozen", suspended=True)
COUNTED = Caller(tenant_id=4, tenant_name="counted", counted=True)
DOMAINS = {"acme.example": ACME, "acme2.example": ACME, "globex.example": GLOBEX,
           "frozen.example": FROZEN, "counted.example": COUNTED}  # fmt: skip
#: Recipients that the tenant "counted" may hand in.
QUOTA = 3
PASSWORDS = {
    ("acme-app", "correct horse"): ACME,
    ("globex-app", "battery staple"): GLOBEX,
    ("frozen-app", "on ice"): FROZEN,
    ("reader", "only reads"): Caller(tenant_id=1, tenant_name="acme", may_send=False),
}


class PaperDoor:
    """See mta.smtpd.door.Door; poison in a subject makes its whole group fail."""

    def __init__(self) -> None:
        self.stored: list[Submission] = []
        self.groups: list[int] = []
        self.broken = False
        #: Cleared: store() waits until it is set, so that sessions pile up.
        self.may_store = threading.Event()
        self.may_store.set()
        self.storing = threading.Event()
        self._ids = itertools.count(1000)
        self.used = 0
        #: What the policy says; None: there is no policy.
        self.policy: Callable[[Submission], Judged] | None = None

    def authenticate(self, username: str, password: str) -> Caller | None:
        self._check()
        return PASSWORDS.get((username, password))

    def caller_for_domain(self, domain: str) -> Caller | None:
        self._check()
        return DOMAINS.get(domain)

    def stream_id(self, tenant_id: int, name: str) -> int | None:
        self._check()
        return {"": 10, "marketing": 20}.get(name)

    @property
    def judges(self) -> bool:
        return self.policy is not None

    def judge(self, submission: Submission) -> Judged:
        self._check()
        assert self.policy is not None
        return self.policy(submission)

    def count(self, tenant_id: int, recipients: int) -> Counted:
        assert tenant_id == COUNTED.tenant_id
        self._check()
        if self.used + recipients > QUOTA:
            return Counted(refusal="Over quota; try again in 60 s")
        self.used += recipients
        return Counted(undo=lambda: self._uncount(recipients))

    def _uncount(self, recipients: int) -> None:
        self.used -= recipients

    def new_id(self) -> int:
        return next(self._ids)

    def store(self, submissions: Sequence[Submission]) -> None:
        self.storing.set()
        self.may_store.wait(20)
        self._check()
        if any("poison" in submission.subject for submission in submissions):
            raise ValueError("a row that the database refuses")
        self.groups.append(len(submissions))
        self.stored.extend(submissions)

    def _check(self) -> None:
        if self.broken:
            raise OSError("database gone")


class IdleDoor(PaperDoor):
    """Keeps nothing, for measuring."""

    def store(self, submissions: Sequence[Submission]) -> None:
        self.groups.append(len(submissions))
