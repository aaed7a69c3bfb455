"""Values of a shaping rule that can never decide, because of another one's below or beside them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mta.policy.retry import RetrySchedule, parse_schedule
from mta.policy.shaping import (
    PERIODS,
    Explained,
    Rate,
    ShapingRule,
    limits_for,
    providers,
)

#: Field and what is wrong with it, to be read after the field.
Fault = tuple[str, str]

_ROLLUP = re.compile(r"\(([^()?]+)\)(\??)((?:\.[^.()|]+)*)")


@dataclass(frozen=True, slots=True)
class _Place:
    """A rule where it holds: the limits of a path that it speaks about."""

    rule: ShapingRule
    here: Explained
    order: Mapping[str, int]

    def sets(self, name: str) -> bool:
        return self.here.origin[name] == self.rule.name

    def below(self, whose: str) -> bool:
        """Whether the rule of that name lies below this one, or is this one."""
        return self.order.get(whose, -1) <= self.order[self.rule.name]

    def later(self, *names: str) -> str:
        """Which of the values to blame: the first that the rule sets over the others; or ""."""
        mine = [name for name in names if self.sets(name)]
        given = all(self.below(self.here.origin[name]) for name in names)
        return mine[0] if mine and given else ""


def contradictions(
    rule: ShapingRule, rules: Sequence[ShapingRule], order: Mapping[str, int]
) -> Iterator[Fault]:
    """Values of `rule` that never decide where it holds, given all the others.

    `order` is the place of each rule's name in the layers; values are known to be readable.
    """
    hosts = hosts_it_speaks_about(rule, rules)
    if rule.match_kind != "default" and not hosts:
        return
    site = rule.match if rule.match_kind == "site" else ""
    here = limits_for(rules, site=site, mx_hosts=hosts, source=rule.source)
    place = _Place(rule, here, order)
    yield from _useless_rates(place)
    yield from _wide_counts(place)
    yield from _totals(place)
    yield from _short_life(place)


def hosts_it_speaks_about(rule: ShapingRule, rules: Sequence[ShapingRule]) -> list[str]:
    """MX hosts for which the rule holds, as an example; none for the default."""
    if rule.match_kind == "provider":
        return list(providers(rules).get(rule.match, ()))[:1]
    return hosts_of(rule.match) if rule.match_kind == "site" else []


def _useless_rates(place: _Place) -> Iterator[Fault]:
    """Rates that a faster one, used up all the time, does not reach: they never decide.

    Whoever sets a slower rate tighter than a faster one means both: the faster is for the hurry.
    """
    rates = place.here.rates()
    for rate in rates:
        tighter = next(
            (other for other in rates if _undercuts(other, rate) and place.below(other.rule)), None
        )
        if rate.rule == place.rule.name and tighter is not None:
            whose = "" if tighter.rule == rate.rule else f" of rule {tighter.rule!r}"
            most = tighter.per_second * PERIODS[rate.name]
            yield (
                rate.name,
                f"{_value(rate):g} can never be reached: {tighter.name} {_value(tighter):g}{whose}"
                f" lets no more than {most:.6g} through; leave it out or raise the other",
            )


def _undercuts(other: Rate, rate: Rate) -> bool:
    # What holds for one site does not bind the provider's other sites.
    if (rate.across and not other.across) or PERIODS[other.name] > PERIODS[rate.name]:
        return False
    return other.per_second < rate.per_second * (1 - 1e-9) and other.burst <= rate.burst


def _value(rate: Rate) -> float:
    return rate.per_second * PERIODS[rate.name]


def _wide_counts(place: _Place) -> Iterator[Fault]:
    """Connections of a site above what all sites of its provider may have together."""
    for name in ("connections", "connections_per_minute"):
        most, whose = place.here.across.get(name, (0, ""))
        value = getattr(place.here.limits, name)
        if place.sets(name) and place.here.alone(name) and 0 < most < value:
            yield (
                name,
                f"{value} can never be used: rule {whose!r} lets all sites of"
                f" {place.here.provider} together have {most}; lower it or raise the provider's",
            )


def _totals(place: _Place) -> Iterator[Fault]:
    """Counts of messages above what a whole period admits."""
    limits, burst = place.here.limits, place.here.bursts[0].count
    for name in ("messages_per_minute", "messages_per_hour", "messages_per_day"):
        value = getattr(limits, name)
        if 0 < value < burst and place.sets("burst") and place.later("burst", name):
            yield (
                "burst",
                f"contradicts: a burst of {burst} at once is more than {name} {value:g} admits;"
                " lower the burst or raise the other",
            )
    day = limits.messages_per_day
    for name in ("messages_per_connection", "connections"):
        value = getattr(limits, name)
        if 0 < day < value and place.sets(name) and place.later(name, "messages_per_day"):
            yield name, f"{value} can never be used: messages_per_day is {day:g}; lower it"


def _short_life(place: _Place) -> Iterator[Fault]:
    steps, hours = place.here.limits.retry_steps, place.here.limits.life_hours
    first = (parse_schedule(steps) if steps else RetrySchedule().steps)[0]
    if 0 < hours * 3600 <= first and (field := place.later("life_hours", "retry_steps")):
        yield (
            field,
            f"contradicts: mail that lives {hours:g} hours is gone before its first retry after"
            f" {first:g} s; lengthen the life or shorten the wait",
        )


def hosts_of(match: str) -> list[str]:
    """The MX hosts that a site name stands for; empty when it is none."""
    found = _ROLLUP.fullmatch(match)
    if found is None:
        return [match] if "(" not in match else []
    rest = found[3]
    return [f"{head}{rest}" for head in found[1].split("|")] + [rest[1:]] * bool(found[2])
