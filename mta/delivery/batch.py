"""A batch: recipients of one lane that travel the four stages together.

Each stage returns the batch with a little more knowledge: resolve adds the path, sign the
signatures, deliver the outcomes. What crosses the broker is ids, small scalars and signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, NamedTuple

#: Written into every batch; a worker of another version refuses what it does not know.
VERSION = 3


@dataclass(frozen=True, slots=True)
class Path:
    """The egress path of a batch: from which source, to which hosts, under which limits."""

    site: str
    provider: str
    #: (MX name, its addresses), best first.
    hosts: tuple[tuple[str, tuple[str, ...]], ...]
    source_id: int
    source_name: str
    source_address: str
    ehlo_name: str
    tls: str
    connections: int
    messages_per_connection: int
    #: Seconds, in the order of mta.net.smtp_envelope.Timeouts.
    timeouts: tuple[float, ...]
    queue: str
    #: Limits of each message: (key, a second, burst), and (key, limit, ttl in s, end in ms or 0).
    buckets: tuple[tuple[str, float, int], ...] = ()
    counters: tuple[tuple[str, int, int, int], ...] = ()
    #: Leases that each connection needs: (key, limit).
    slots: tuple[tuple[str, int], ...] = ()
    #: Limits of each new connection: (key, a second, burst).
    opens: tuple[tuple[str, float, int], ...] = ()
    #: Messages a second that (source, site) may send; 0 is without limit.
    rate: float = 0.0
    #: Whether replies had slowed the path when it was chosen.
    throttled: bool = False
    #: Whether no other source may take what this one has no room for.
    alone: bool = True
    #: The lease of the one connection that may try a dead site; "" when it is not dead.
    probe: str = ""
    #: Waits such as "5m,30m", and hours of life, that the rules ask for; "" and 0: the stream's.
    retry_steps: str = ""
    life_hours: float = 0.0
    #: Port of a smart host; 0 is the usual one.
    port: int = 0


class Outcome(NamedTuple):
    """What one recipient met; instants in milliseconds, `stage` as in mta.net.smtp_envelope."""

    recipient_id: int
    #: "" for a reply to classify; "suppressed", "postponed", "limited", "held" or "rejected" when
    #: there was no attempt.
    kind: str
    stage: str
    #: Text of the reply without its codes, or our own words when there was none.
    reply: str
    #: 0 when nothing was answered.
    code: int = 0
    enhanced: str = ""
    mx_host: str = ""
    mx_address: str = ""
    tls: str = ""
    at: int = 0
    took_ms: int = 0
    #: When a postponed recipient, or the lane of a limited one, may go; ms.
    until: int = 0
    #: What limits: see mta.spool.waiting.
    gate: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """One claim on its way; `token` is the claim's."""

    token: int
    lane_id: int
    tenant_id: int
    stream_id: int
    domain: str
    recipient_ids: tuple[int, ...]
    claimed_at: int
    #: The lane's window when it was claimed, and whether more was due behind.
    window: int = 100
    busy: bool = False
    #: Of a transactional stream: it does not wait behind bulk mail.
    urgent: bool = False
    #: Of a tenant that sends little now: it does not wait behind those that send much.
    light: bool = False
    #: To recipients that were marked as engaged.
    engaged: bool = False
    #: The pool that a person moved it to; 0: the stream's.
    pool_id: int = 0
    #: Retried mail keeps its source (greylisting).
    bound_source_id: int | None = None
    path: Path | None = None
    #: Signature fields by recipient, in the order of recipient_ids; "" where unsigned.
    signatures: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    version: int = field(default=VERSION)

    def decided(self) -> set[int]:
        """Recipients whose outcome is known."""
        return {outcome.recipient_id for outcome in self.outcomes}

    def with_outcomes(self, *more: Outcome) -> Batch:
        return replace(self, outcomes=(*self.outcomes, *more))

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back. Path and outcomes are rows: they are many."""
        values = dict(zip(NAMES, VALUES(self), strict=True))
        if self.path is not None:
            values["path"] = PATH_ROW(self.path)
        values["outcomes"] = list(map(tuple, self.outcomes))
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Batch:
        """The batch; ValueError for another version, TypeError for unknown fields."""
        if values.get("version") != VERSION:
            raise ValueError(
                f"batch version {values.get('version')!r}, this worker speaks {VERSION}: "
                "restart the workers of one release together"
            )
        return cls(
            **{
                **values,
                "recipient_ids": tuple(values["recipient_ids"]),
                "signatures": tuple(values["signatures"]),
                "outcomes": tuple(map(outcome_of, values["outcomes"])),
                "path": None if values["path"] is None else path_of(values["path"]),
            }
        )


def path_of(row: Sequence[Any]) -> Path:
    """A path from its row."""
    path = Path(*row)
    hosts = tuple((name, tuple(addresses)) for name, addresses in path.hosts)
    return replace(
        path, hosts=hosts, timeouts=tuple(path.timeouts), buckets=rows_of(path.buckets),
        counters=rows_of(path.counters), slots=rows_of(path.slots), opens=rows_of(path.opens),
    )  # fmt: skip


def rows_of(lists: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """JSON knows no tuples."""
    return tuple(map(tuple, lists))


def outcome_of(row: Sequence[Any]) -> Outcome:
    """An outcome from its row, in messages and in the journal."""
    return Outcome._make(row)


def outcome_row(outcome: Outcome) -> tuple[Any, ...]:
    """The outcome's values in the order of its fields."""
    return tuple(outcome)


#: dataclasses.asdict copies all the way down: 100 outcomes took it 1.5 ms.
NAMES = tuple(Batch.__slots__)
VALUES: attrgetter[tuple[Any, ...]] = attrgetter(*NAMES)
PATH_ROW: attrgetter[tuple[Any, ...]] = attrgetter(*Path.__slots__)
