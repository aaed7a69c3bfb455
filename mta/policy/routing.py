"""What a routing rule can ask of mail: its names, their types, and rates of the last hour.

Rule 1: a name that needs the message (size, tags, campaign, attempts) costs a look at it; a rule
        that uses none is asked once a batch.
Rule 2: a rate is a share of what was tried in the last hour; a rate of nothing is 0, so ask for a
        number of attempts beside it: one bounce of one message is 100 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["text", "number", "list of texts"]
#: Rates that judge an audience or a way, from mta.limits.tally; the source is not chosen yet.
DIMENSIONS = ("domain", "provider", "tenant", "campaign")
#: What is counted: attempts, and what became of them; what was blocked was bounced or deferred.
COUNTED = ("attempts", "delivered", "deferred", "bounced", "blocked", "complaints")
#: Each rate is one count's share of another.
SHARES = {
    "deferral_rate": ("deferred", "attempts"),
    "bounce_rate": ("bounced", "attempts"),
    "block_rate": ("blocked", "attempts"),
    "complaint_rate": ("complaints", "delivered"),
}

#: Known of a batch before any message is read.
OF_BATCH: dict[str, Kind] = {
    "domain": "text", "site": "text", "provider": "text", "tenant": "text", "stream": "text",
    "stream_kind": "text",
}  # fmt: skip
#: Read from the messages.
OF_MESSAGE: dict[str, Kind] = {
    "campaign": "text", "tags": "list of texts", "size": "number", "attempts": "number",
}  # fmt: skip
#: By name: the dimension and the count or share.
OF_HOUR = {f"{dim}_{what}": (dim, what) for dim in DIMENSIONS for what in (*COUNTED, *SHARES)}
NAMES: dict[str, Kind] = {**OF_BATCH, **OF_MESSAGE, **dict.fromkeys(OF_HOUR, "number")}


class RuleFault(ValueError):
    """What is wrong with a condition, and what to do about it, in one sentence."""


class RuleTrouble(Exception):
    """A condition that compiled could not be reckoned out, such as a division by zero."""


Value = str | float | tuple[str, ...]


def needs_message(name: str) -> bool:
    """Whether the name's value is known only when the message was read."""
    return name in OF_MESSAGE or OF_HOUR.get(name, ("",))[0] == "campaign"


def figure(name: str, counts: Mapping[str, int]) -> float:
    """The value of a name of OF_HOUR, from the counts of its dimension."""
    _, what = OF_HOUR[name]
    if what in SHARES:
        part, whole = SHARES[what]
        return counts.get(part, 0) / counts[whole] if counts.get(whole) else 0.0
    return float(counts.get(what, 0))
