"""What replies have done to an egress path, as those see it who choose paths."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttled:
    """An egress path that is not as free as its rules say."""

    #: Nothing goes before this instant, ms; 0: it may go.
    until: int = 0
    #: Messages a second; 0: no cap of its own.
    rate: float = 0.0
    #: Messages that may go at once under this rate.
    burst: int = 1
    #: Most connections; 0: no cap of its own.
    connections: int = 0
    #: 0: no cap of its own.
    messages_per_connection: int = 0
    reason: str = ""
    #: What lanes that wait for `until` are told to wait for (mta.spool.waiting).
    gate: str = ""
    #: Another source of the pool shall be taken; without one, mail waits for `until`.
    blocked: bool = False
    #: The lease of the one connection that may try a dead site; "" when it is not dead.
    probe: str = ""
    #: The provider for whose sites together rate and connections are counted; "": this site alone.
    reach: str = ""
