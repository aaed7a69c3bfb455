"""Which way a batch takes instead of its stream's own: routing rules, then the choose_pool hook.

Rule 1: rules are asked in order of position; the first that holds decides. The hook is asked about
        batches for which no rule chose a pool or a source.
Rule 2: a rule that cannot be reckoned out is skipped, logged, and written down once.
Rule 3: messages are read only when a rule asks about them: one query for all batches.
Rule 4: mail never takes the way of nobody's choice: where the hook fails, the batch waits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.choice import OWN, Choice
from mta.delivery.routing_rules import LiveRule, rules, trouble
from mta.egress.sources import snapshot
from mta.policy.hooks import ChoosePoolHook, Waiting
from mta.policy.routing import OF_HOUR, RuleTrouble, Value, figure, needs_message
from mta.spool.lanes import TRANSACTIONAL
from mta.spool.streams import StreamFacts, stream_facts
from mta.storage.bulk import numbers
from mta.storage.statement import rows

log = logging.getLogger(__name__)
__all__ = ["Choice", "choices"]
Sites = Mapping[int, tuple[str, str]]


class Row(NamedTuple):
    """What rules may ask about a recipient's message."""

    token: int
    recipient_id: int
    attempts: int
    campaign: str
    tags: str
    size: int


def choices(batches: Sequence[Batch], sites: Sites) -> dict[int, Choice]:
    """By token: batches that take another way; `sites` are (site, provider) by token.

    Batches that are absent go as their stream says. Raises redis.RedisError when rates are asked
    for and cannot be had.
    """
    live, ask = rules(), wiring.hooks().choose_pool
    if not live and ask is None:
        return {}
    found: dict[int, Choice] = {}
    if live:
        found = Round(live, batches, sites).choices()
    if ask is not None:
        for batch in batches:
            before = found.get(batch.token, OWN)
            if not (before.pool_id or before.source_id):
                found[batch.token] = hooked(ask, batch, sites, before)
    return {token: choice for token, choice in found.items() if choice != OWN}


class Round:
    """All batches of one call under one set of rules."""

    def __init__(self, live: Sequence[LiveRule], batches: Sequence[Batch], sites: Sites) -> None:
        self.live, self.batches, self.sites = live, batches, sites
        self.names = frozenset[str]().union(*(rule.condition.names for rule in live))
        reads = any(map(needs_message, self.names))
        self.rows = rows_of(batches) if reads else {}
        self.streams = {batch.stream_id: stream_facts(batch.stream_id) for batch in batches}
        self.counts = self.read_tally() if self.names & OF_HOUR.keys() else {}

    def read_tally(self) -> Mapping[tuple[str, str], Mapping[str, int]]:
        """The last hour of everything that the rules ask about."""
        wanted = {OF_HOUR[name][0] for name in self.names & OF_HOUR.keys()}
        keys = {
            (dimension, key)
            for batch in self.batches
            for dimension in wanted
            for key in self.tally_keys(batch, dimension)
        }
        return wiring.tally().read(keys)

    def tally_keys(self, batch: Batch, dimension: str) -> Iterable[str]:
        if dimension == "campaign":
            tenant = self.streams[batch.stream_id].tenant_name
            return {campaign_key(tenant, row.campaign) for row in self.rows.get(batch.token, ())}
        return [str(self.batch_facts(batch)[dimension])]

    def choices(self) -> dict[int, Choice]:
        return {batch.token: self.choice(batch) for batch in self.batches}

    def choice(self, batch: Batch) -> Choice:
        facts = self.batch_facts(batch)
        if not any(needs_message(name) for rule in self.live for name in rule.condition.names):
            rule = self.first(facts, batch.tenant_id)
            return of_rules(batch.recipient_ids, dict.fromkeys(batch.recipient_ids, rule))
        decided: dict[int, LiveRule | None] = {}
        known: dict[Row, LiveRule | None] = {}
        for row in self.rows.get(batch.token, ()):
            alike = row._replace(recipient_id=0)
            if alike not in known:
                known[alike] = self.first({**facts, **message_facts(row)}, batch.tenant_id)
            decided[row.recipient_id] = known[alike]
        return of_rules([rid for rid in batch.recipient_ids if rid in decided], decided)

    def batch_facts(self, batch: Batch) -> dict[str, Value]:
        site, provider = self.sites.get(batch.token, ("", ""))
        stream = self.streams[batch.stream_id]
        return {
            "domain": batch.domain, "site": site, "provider": provider,
            "tenant": stream.tenant_name, "stream": stream.name, "stream_kind": kind_of(stream),
        }  # fmt: skip

    def first(self, facts: dict[str, Value], tenant_id: int) -> LiveRule | None:
        """The first rule that holds."""
        for name in self.names & OF_HOUR.keys():
            dimension = OF_HOUR[name][0]
            key = str(facts.get(dimension, ""))
            if dimension == "campaign":
                key = campaign_key(str(facts["tenant"]), key)
            facts[name] = figure(name, self.counts.get((dimension, key), {}))
        return first_holding(self.live, facts, tenant_id)


def first_holding(
    live: Sequence[LiveRule], facts: Mapping[str, Value], tenant_id: int
) -> LiveRule | None:
    """The first rule that holds for mail of the tenant; rules in trouble are skipped."""
    for rule in live:
        try:
            if not rule.condition.holds(facts):
                continue
            rule.check_tenant(tenant_id)
            return rule
        except (RuleTrouble, PermissionError) as error:
            trouble(rule.name, str(error), rule.condition.text)
    return None


def of_rules(ids: Sequence[int], decided: Mapping[int, LiveRule | None]) -> Choice:
    """What the rules of each recipient make of the batch; the first that may go sets the way."""
    held, rejected = {}, {}
    apart: set[int] = set()
    way: Choice | None = None
    for rid in ids:
        rule = decided[rid]
        if rule is not None and rule.action == "hold":
            held[rid] = rule.held_because
        elif rule is not None and rule.action == "reject":
            rejected[rid] = rule.reply
        else:
            own = OWN if rule is None else rule.way
            way = way or own
            if own != way:
                apart.add(rid)
    return replace(way or OWN, held=held, rejected=rejected, apart=frozenset(apart))


def hooked(ask: ChoosePoolHook, batch: Batch, sites: Sites, before: Choice) -> Choice:
    """The choice with the pool that the hook names."""
    stream = stream_facts(batch.stream_id)
    site, provider = sites.get(batch.token, ("", ""))
    waiting = Waiting(
        stream.tenant_name, stream.name, kind_of(stream), batch.domain, site, provider,
        len(batch.recipient_ids),
    )  # fmt: skip
    try:
        name = ask(waiting)
        return before if name is None else replace(before, pool_id=pool_named(name))
    except Exception as error:  # the edge of foreign code: the batch waits
        where = f"{wiring.hooks().module}.choose_pool"
        log.exception("%s: mail to %s waits", where, batch.domain)
        return replace(before, wait=f"{where} failed: {type(error).__name__}: {error}"[:200])


def pool_named(name: object) -> int:
    """The id of a pool; LookupError names what there is."""
    pools = {pool.name: pool.id for pool in snapshot().pools.values()}
    if not isinstance(name, str) or name not in pools:
        raise LookupError(f"there is no pool {name!r}; there are {', '.join(sorted(pools))}")
    return pools[name]


def rows_of(batches: Sequence[Batch]) -> dict[int, list[Row]]:
    """By token: what rules ask about the recipients that it holds."""
    condition, params = numbers("r.claim_token", [batch.token for batch in batches])
    found: dict[int, list[Row]] = {}
    for values in rows(
        "SELECT r.claim_token, r.id, r.attempts, m.campaign, m.tags, b.size "  # noqa: S608
        "FROM spool_recipient r JOIN spool_message m ON m.id = r.message_id "
        "JOIN spool_body b ON b.digest = m.body_id "
        f"WHERE r.state = 'claimed' AND {condition} ORDER BY r.id",
        params,
    ):
        found.setdefault(values[0], []).append(Row._make(values))
    return found


def message_facts(row: Row) -> dict[str, Value]:
    tags: Any = orjson.loads(row.tags)
    return {
        "campaign": row.campaign, "tags": tuple(tags), "size": float(row.size),
        "attempts": float(row.attempts),
    }  # fmt: skip


def kind_of(stream: StreamFacts) -> str:
    return "transactional" if stream.priority == TRANSACTIONAL else "bulk"


def campaign_key(tenant: str, campaign: str) -> str:
    """The campaign's name among all tenants'; "" when mail has none."""
    return f"{tenant}/{campaign}" if campaign else ""
