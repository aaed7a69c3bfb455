"""What a settled batch adds to the counts of the hour (mta.limits.tally), by campaign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mta.limits.tally import ENDS
from mta.policy.warmup_gate import BLOCKS
from mta.spool.held import Facts, Held
from mta.spool.result import Result

#: (campaign, what) -> how many; the campaign "" is mail of none.
Tallied = Mapping[tuple[str, str], int]


def by_campaign(few: Iterable[tuple[Result, Held]], facts: Mapping[int, Facts]) -> Tallied:
    """Counts of the batch's tries; `facts` are the messages by id.

    What never left us (stage "local") is no try: a rule that refuses mail must not feed the bounce
    rate that it asks about.
    """
    found: dict[tuple[str, str], int] = {}
    for result, mine in few:
        if result.outcome not in ENDS or result.stage == "local":
            continue
        campaign = facts[mine.message_id].campaign
        key = campaign, result.outcome
        found[key] = found.get(key, 0) + 1
        if result.bounce_class in BLOCKS:
            key = campaign, "blocked"
            found[key] = found.get(key, 0) + 1
    return found
