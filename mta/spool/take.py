"""Taking: due recipients of several lanes become batches, in a handful of statements.

Rule 1: a lane belongs to one dispatcher at a time; it is skipped when another one has it.
Rule 2: what is due is looked at from the lane's earliest_at on, oldest first, and no further than
        what can be taken, so the cost does not depend on what else waits or was done before.
Rule 3: recipients of a batch share their source; a person who has one in hand keeps it.
Rule 4: nothing here waits for a lock, so nobody can wait in a circle with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from django.db import connection

from mta.spool import lanes
from mta.spool.lanes import WAITING, is_postgresql
from mta.storage.bulk import numbers
from mta.storage.fields import now_ms
from mta.storage.statement import rows

#: What waits in a lane from an instant on, oldest first: a range of recipient_waiting.
FIRST_OF_ONE = (
    "SELECT id, source_id, next_attempt_at FROM spool_recipient "  # noqa: S608
    f"WHERE lane_id = %s AND {WAITING} AND next_attempt_at >= %s ORDER BY next_attempt_at LIMIT %s"
)
#: The same for arrays of lanes, instants and numbers (PostgreSQL).
FIRST_OF_MANY = (
    "SELECT w.lane, r.id, r.source_id, r.next_attempt_at "  # noqa: S608
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS w(lane, start, most), "
    "LATERAL (SELECT id, source_id, next_attempt_at FROM spool_recipient "
    f"WHERE lane_id = w.lane AND {WAITING} AND next_attempt_at >= w.start "
    "ORDER BY next_attempt_at LIMIT w.most {how}) r"
)


@dataclass(frozen=True, slots=True)
class Want:
    """A lane, how many of its due recipients at most, and the token they shall be held under."""

    lane_id: int
    limit: int
    token: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Recipients of one lane, held under one token; source_id when they must keep their source."""

    token: int
    recipient_ids: tuple[int, ...]
    source_id: int | None
    #: Something of the lane is due beyond what was taken.
    more: bool
    lane_id: int = 0


#: (id, source id, next attempt in ms) of a waiting recipient.
Seen = tuple[int, int | None, int]

#: A want with the source and the ids of recipients that fit it.
Pick = tuple[Want, int | None, list[int]]


@dataclass(slots=True)
class Lane:
    """A lane that is ours for this transaction, and the first of what waits in it."""

    id: int
    wants: list[Want]
    seen: list[Seen] = field(default_factory=list)

    @property
    def most(self) -> int:
        """One more than can be taken: it says when the lane is due next."""
        return sum(want.limit for want in self.wants) + 1

    def ids(self) -> set[int]:
        return {one[0] for one in self.seen}

    def picks(self, now: int) -> list[Pick]:
        """Each want with its source and recipients, the oldest first."""
        due = [one for one in self.seen[: self.most - 1] if one[2] <= now]
        found = []
        for want in self.wants:
            if not due:
                break
            source = due[0][1]
            chosen = [one[0] for one in due if one[1] == source][: want.limit]
            found.append((want, source, chosen))
            gone = set(chosen)
            due = [one for one in due if one[0] not in gone]
        return found

    def next_due_at(self, taken: set[int]) -> int | None:
        """When the first of what stays is due; None when nothing stays."""
        return next((at for rid, _, at in self.seen if rid not in taken), None)


def take(wants: Sequence[Want], seconds: float) -> list[Claim]:
    """Claims for `wants` in the caller's transaction; one without recipients for a lane that has
    nothing due, none for a lane that is not ours."""
    now = now_ms()
    ours = look(wants, now)
    picks = {lane.id: lane.picks(now) for lane in ours}
    marked = mark(pairs_of(picks), now)
    rest = {lane.id: lane.next_due_at(marked) for lane in ours}
    barred = [lane for lane in ours if picks[lane.id] and not marked & lane.ids()]
    if barred:  # a person has the oldest ones in hand; their lanes stay due
        see(barred, [0] * len(barred), "FOR UPDATE SKIP LOCKED")
        others = {lane.id: lane.picks(now) for lane in barred}
        marked |= mark(pairs_of(others), now)
        picks |= others
    lanes.disarm([(lane, due, now if due is None else due) for lane, due in rest.items()])
    claims = []
    for lane_id, lane_picks in picks.items():
        due = rest[lane_id]
        more = due is not None and due <= now
        for want, source, ids in lane_picks:
            taken = tuple(sorted(rid for rid in ids if rid in marked))
            if taken:
                claims.append(Claim(want.token, taken, source, more, lane_id))
    hold(claims, now + round(seconds * 1000))
    known = {claim.token for claim in claims}
    return claims + [
        Claim(want.token, (), None, False, lane.id)
        for lane in ours for want in lane.wants if want.token not in known
    ]  # fmt: skip


def pairs_of(picks: Mapping[int, Sequence[Pick]]) -> list[tuple[int, int]]:
    """(recipient, token) of all picks."""
    few = [pick for group in picks.values() for pick in group]
    return [(rid, want.token) for want, _, ids in few for rid in ids]


def look(wants: Sequence[Want], now: int) -> list[Lane]:
    """The lanes that are free, with what waits in them."""
    wanted: dict[int, list[Want]] = {}
    for want in wants:
        wanted.setdefault(want.lane_id, []).append(want)
    skip = "FOR UPDATE SKIP LOCKED" if is_postgresql() else ""
    condition, params = numbers("id", sorted(wanted))
    free = rows(f"SELECT id, earliest_at FROM spool_lane WHERE {condition} {skip}", params)  # noqa: S608
    ours = [Lane(lane_id, wanted[lane_id]) for lane_id, _ in free]
    see(ours, [earliest for _, earliest in free])
    # Were earliest_at ever wrong, this is where it is found out.
    idle = [lane for lane in ours if not lane.seen or lane.seen[0][2] > now]
    see(idle, [0] * len(idle))
    return ours


def see(ours: Sequence[Lane], starts: Sequence[int], how: str = "") -> None:
    """Read the first of what waits in each lane from its start on; `how` is PostgreSQL's."""
    if not ours:
        return
    if not is_postgresql():
        with connection.cursor() as cursor:
            for lane, start in zip(ours, starts, strict=True):
                cursor.execute(FIRST_OF_ONE, [lane.id, start, lane.most])
                lane.seen = cursor.fetchall()
        return
    found: dict[int, list[Seen]] = {}
    ids, most = [lane.id for lane in ours], [lane.most for lane in ours]
    for lane_id, *seen in rows(FIRST_OF_MANY.format(how=how), [ids, list(starts), most]):
        found.setdefault(lane_id, []).append((seen[0], seen[1], seen[2]))
    for lane in ours:
        lane.seen = found.get(lane.id, [])


def mark(pairs: Sequence[tuple[int, int]], now: int) -> set[int]:
    """Make (recipient, token) claimed; returns the recipients that are."""
    if not pairs:
        return set()
    if not is_postgresql():
        rows(
            "UPDATE spool_recipient SET state = 'claimed', claim_token = v.value ->> 1, "  # noqa: S608
            "updated_at = %s FROM json_each(%s) v "
            f"WHERE spool_recipient.id = v.value ->> 0 AND {WAITING}",
            [now, orjson.dumps(pairs).decode()],
        )
        return {rid for rid, _ in pairs}  # one writer at a time: what was seen is there
    changed = rows(
        "WITH free AS MATERIALIZED (SELECT r.id, v.token "  # noqa: S608
        "FROM unnest(%s::bigint[], %s::bigint[]) AS v(id, token) "
        f"JOIN spool_recipient r ON r.id = v.id WHERE {WAITING} FOR UPDATE OF r SKIP LOCKED) "
        "UPDATE spool_recipient SET state = 'claimed', claim_token = free.token, "
        "updated_at = %s FROM free WHERE spool_recipient.id = free.id RETURNING spool_recipient.id",
        [[rid for rid, _ in pairs], [token for _, token in pairs], now],
    )
    return {row[0] for row in changed}


def hold(claims: Sequence[Claim], ends_at: int) -> None:
    """Write the claims' rows."""
    values = [(claim.token, claim.lane_id, ends_at) for claim in claims]
    if not values:
        return
    if is_postgresql():
        tokens, lane_ids, ends = (list(column) for column in zip(*values, strict=True))
        rows(
            "INSERT INTO spool_claim (token, lane_id, ends_at) "
            "SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])",
            [tokens, lane_ids, ends],
        )
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO spool_claim (token, lane_id, ends_at) VALUES (%s, %s, %s)", values
        )
