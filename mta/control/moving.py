"""Move waiting mail to another pool: its recipients change to lanes that name the pool.

Rule 1: a pool of one tenant takes no other tenant's mail.
Rule 2: retried mail forgets the source that it was bound to: the new pool has others.
Rule 3: lanes are made first, in a transaction of their own; then recipients are locked before
        lanes, as everywhere. A lane that stays empty costs one look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from django.db import connection

from mta.control.audit import Audit
from mta.control.changes import TAKES, Done, run
from mta.control.refusal import Refused
from mta.control.selection import Selection
from mta.egress.models import Pool
from mta.spool import lanes
from mta.spool.lanes import LaneKey
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.statement import rows
from mta.storage.transactions import write
from mta.tenants.models import Stream

TO = "--to"


def pool_named(name: str, argument: str = TO) -> Pool:
    """The pool; Refused when there is none."""
    found = Pool.objects.filter(name=name).select_related("tenant").first()
    if found is None:
        raise Refused(argument, f"there is no pool named {name!r}.")
    return found


def check(selection: Selection, pool: Pool, argument: str = TO) -> None:
    """Refused when the pool belongs to somebody else than the mail (rule 1)."""
    if pool.tenant is None:
        return
    others = selection.rows(TAKES["move"]).exclude(lane__tenant=pool.tenant)
    if others.exists():
        owner = pool.tenant.name
        raise Refused(
            argument, f"pool {pool.name} belongs to tenant {owner}: add --filter tenant={owner}."
        )


def move(selection: Selection, pool: Pool, *, by: str, reason: str = "") -> Done:
    """Let waiting and held recipients go by way of the pool; Refused as `check` says."""
    check(selection, pool)
    # The stream's own pool needs no name: its lanes follow the stream.
    own = frozenset(Stream.objects.filter(pool=pool).values_list("pk", flat=True))
    #: Old lane -> new lane.
    targets: dict[int, int] = {}

    def work(ids: Sequence[int], now: int) -> tuple[int, int]:
        found = lanes_of(ids)
        new = {lane: key for lane, key in found.items() if lane not in targets}
        targets.update(prepared(new, pool.pk, own))
        pairs = {old: targets[old] for old in found if targets[old] != old}
        moved = put(selection, ids, pairs)
        if moved:
            touched = {*pairs, *pairs.values()}
            lanes.lock(touched)
            lanes.rearm(touched)
        return moved, 0

    prepare_all(selection, pool.pk, own, targets)
    audit = Audit("move", selection, by, reason, {"pool": pool.name})
    return run("move", selection, work, audit)


def prepare_all(
    selection: Selection, pool_id: int, own: frozenset[int], targets: dict[int, int]
) -> None:
    """Make the lanes of all that is chosen now, a few hundred a transaction."""
    chosen = selection.rows(TAKES["move"]).values_list("lane_id", flat=True).distinct()
    lane_ids = sorted(chosen)
    for start in range(0, len(lane_ids), 500):
        keys = keys_of(lane_ids[start : start + 500])
        targets.update(write(partial(prepared, keys, pool_id, own)))


def lanes_of(ids: Sequence[int]) -> dict[int, LaneKey]:
    """The lanes that these recipients wait in, with their keys."""
    condition, params = bulk.numbers("id", ids)
    found = rows(f"SELECT DISTINCT lane_id FROM spool_recipient WHERE {condition}", params)  # noqa: S608
    return keys_of([row[0] for row in found])


def keys_of(lane_ids: Iterable[int]) -> dict[int, LaneKey]:
    condition, params = bulk.numbers("id", sorted(lane_ids))
    found = rows(
        "SELECT id, tenant_id, stream_id, domain, priority, pool_id FROM spool_lane "  # noqa: S608
        f"WHERE {condition}",
        params,
    )
    return {row[0]: (row[1], row[2], row[3], row[4], row[5]) for row in found}


def prepared(found: Mapping[int, LaneKey], pool_id: int, own: frozenset[int]) -> dict[int, int]:
    """Old lane -> new lane, which exists from then on; the caller holds the transaction."""
    wanted: dict[int, LaneKey] = {
        lane: (*key[:4], 0 if key[1] in own else pool_id) for lane, key in found.items()
    }
    made = lanes.arm(dict.fromkeys(wanted.values(), now_ms())) if wanted else {}
    return {lane: made[key] for lane, key in wanted.items()}


def put(selection: Selection, ids: Sequence[int], pairs: Mapping[int, int]) -> int:
    """Change the lanes (old -> new) of those that still wait; returns how many."""
    if not pairs:
        return 0
    takes = TAKES["move"] if selection.states is None else TAKES["move"] & selection.states
    marks = ", ".join(f"'{state.value}'" for state in sorted(takes))
    chosen, params = bulk.numbers("id", ids)
    old, old_params = bulk.numbers("lane_id", list(pairs))
    # The pairs are numbers of ours: they may stand in the text.
    cases = " ".join(f"WHEN {int(lane)} THEN {int(target)}" for lane, target in pairs.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE spool_recipient SET lane_id = CASE lane_id {cases} END, source_id = NULL, "  # noqa: S608
            f"updated_at = %s WHERE {chosen} AND {old} AND state IN ({marks})",
            [now_ms(), *params, *old_params],
        )
        return int(cursor.rowcount)
