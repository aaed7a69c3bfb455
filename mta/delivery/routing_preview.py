"""What the routing rules would say of some mail, rule by rule, without sending any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mta import wiring
from mta.delivery.routing import campaign_key, kind_of
from mta.delivery.routing_rules import compiled
from mta.egress.models import RoutingRule
from mta.policy.routing import DIMENSIONS, OF_HOUR, RuleFault, RuleTrouble, Value, figure
from mta.spool.streams import stream_facts
from mta.tenants.models import Stream


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule and what it says: "decides", "holds" (too late), "no", "off" or "trouble"."""

    rule: RoutingRule
    says: str
    #: What is wrong with it, in case of trouble.
    why: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """All rules in order, and the values of the names that they use."""

    tried: tuple[Tried, ...]
    values: tuple[tuple[str, Value], ...]

    @property
    def decided(self) -> RoutingRule | None:
        return next((one.rule for one in self.tried if one.says == "decides"), None)


@dataclass(frozen=True, slots=True)
class Supposed:
    """Mail that somebody asks about."""

    stream: Stream
    domain: str
    site: str
    provider: str
    campaign: str = ""
    tags: tuple[str, ...] = ()
    size: int = 0
    attempts: int = 0


def preview(mail: Supposed) -> Preview:
    """What each rule says now. Raises redis.RedisError when rates cannot be had."""
    rules = list(RoutingRule.objects.select_related("pool", "source"))
    facts = facts_of(mail)
    tried: list[Tried] = []
    names: set[str] = set()
    decided = False
    for rule in rules:
        one = asked(rule, facts, mail.stream.tenant_id, decided)
        decided = decided or one.says == "decides"
        tried.append(one)
        if one.says not in {"off", "trouble"}:
            names |= compiled(rule.condition).names
    return Preview(tuple(tried), tuple((name, facts[name]) for name in sorted(names)))


def asked(rule: RoutingRule, facts: dict[str, Value], tenant_id: int, decided: bool) -> Tried:
    if not rule.enabled:
        return Tried(rule, "off")
    try:
        holds = compiled(rule.condition).holds(facts)
    except (RuleFault, RuleTrouble) as error:
        return Tried(rule, "trouble", str(error))
    if not holds:
        return Tried(rule, "no")
    owner = rule.pool.tenant_id if rule.action == "pool" and rule.pool else None
    if owner not in (None, tenant_id):
        return Tried(rule, "trouble", "its pool belongs to another tenant")
    return Tried(rule, "holds" if decided else "decides")


def facts_of(mail: Supposed) -> dict[str, Value]:
    """Every name with its value now."""
    stream = stream_facts(mail.stream.pk)
    facts: dict[str, Value] = {
        "domain": mail.domain, "site": mail.site, "provider": mail.provider,
        "tenant": stream.tenant_name, "stream": stream.name, "stream_kind": kind_of(stream),
        "campaign": mail.campaign, "tags": mail.tags, "size": float(mail.size),
        "attempts": float(mail.attempts),
    }  # fmt: skip
    keys = {dimension: str(facts[dimension]) for dimension in DIMENSIONS}
    keys["campaign"] = campaign_key(stream.tenant_name, mail.campaign)
    counts = wiring.tally().read(list(keys.items()))
    for name, (dimension, _) in OF_HOUR.items():
        facts[name] = figure(name, counts[dimension, keys[dimension]])
    return facts


def tags_of(text: str) -> tuple[str, ...]:
    """Tags as a person types them, between commas."""
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def words_of(rule: RoutingRule) -> Sequence[str]:
    """(what it does, with what), such as ("pool", "slow")."""
    target = {
        "pool": str(rule.pool or ""), "source": str(rule.source or ""), "priority": rule.priority,
    }.get(rule.action, rule.reason)  # fmt: skip
    return rule.action, target
