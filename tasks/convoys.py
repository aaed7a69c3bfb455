"""Convoys: which batches travel together. Pure: batches in, lists of batches out.

Rule 1: transactional mail never waits behind bulk mail in one convoy, and goes first; nor does mail
        of who sends little behind that of who sends much.
Rule 2: a convoy is bounded by its recipients: a stage works on it as a whole, and the other stages
        need something to do meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta.delivery.batch import Batch

#: Most recipients and most batches of one convoy.
RECIPIENTS, BATCHES = 200, 32


def convoys(batches: Sequence[Batch]) -> list[list[Batch]]:
    """The batches in their order, urgent and then light ones first, cut into convoys."""
    found: list[list[Batch]] = []
    for rank in (0, 1, 2):
        load: list[Batch] = []
        count = 0
        for batch in batches:
            if rank_of(batch) != rank:
                continue
            if load and (count + len(batch.recipient_ids) > RECIPIENTS or len(load) == BATCHES):
                found.append(load)
                load, count = [], 0
            load.append(batch)
            count += len(batch.recipient_ids)
        if load:
            found.append(load)
    return found


def rank_of(batch: Batch) -> int:
    """0 urgent, 1 light, 2 all others."""
    if batch.urgent:
        return 0
    return 1 if batch.light else 2
