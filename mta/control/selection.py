"""Which recipients a person means: words KEY=VALUE become one condition.

Rule 1: at least one word; nobody means the whole spool by saying nothing.
Rule 2: words of one key are alternatives; words of different keys must all hold.
Rule 3: a name that nobody has is refused, so that a typing error changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet

from mta.control.refusal import Refused
from mta.mail.address import AddressError, normalise_domain, parse_address
from mta.policy.lifecycle import State
from mta.policy.retry import parse_schedule
from mta.spool.ids import EPOCH_MS, RANDOM_BITS
from mta.spool.models import Recipient
from mta.storage.fields import now_ms
from mta.tenants.models import Stream, Tenant

FILTER = "--filter"


@dataclass(frozen=True, slots=True)
class Selection:
    """Recipients by their properties; `states` is None when the person named none."""

    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    condition: Q = field(default_factory=Q)
    states: frozenset[State] | None = None

    def rows(self, states: frozenset[State]) -> QuerySet[Recipient]:
        """The recipients that are in one of `states`, and in one that the person named."""
        wanted = states if self.states is None else states & self.states
        return Recipient.objects.filter(self.condition, state__in=sorted(wanted)).order_by()

    def __str__(self) -> str:
        return " ".join(f"{key}={value}" for key, values in self.words.items() for value in values)


def read(words: Sequence[str], possible: frozenset[State]) -> Selection:
    """The selection that the words KEY=VALUE make; `possible` are the states that the action takes.

    Raises Refused, naming the word and the fix.
    """
    given: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS or not value.strip():
            raise Refused(FILTER, f"{word!r} is not KEY=VALUE with KEY one of {', '.join(KEYS)}.")
        given[key] = (*given.get(key, ()), value.strip())
    if not given:
        raise Refused(FILTER, f"say which mail is meant: KEY=VALUE with KEY one of {_listed()}.")
    states = states_named(given["state"], possible) if "state" in given else None
    condition = Q()
    for key, values in given.items():
        if key != "state":
            condition &= KEYS[key](values)
    if "stream" in given:
        condition &= streams_named(given["stream"], given.get("tenant", ()))
    return Selection(given, condition, states)


def states_named(values: Sequence[str], possible: frozenset[State]) -> frozenset[State]:
    for value in values:
        if value == State.CLAIMED:
            raise Refused(
                FILTER, "state=claimed: what a worker has in hand is never touched; try again soon."
            )
        if value not in possible:
            fit = ", ".join(sorted(possible))
            raise Refused(FILTER, f"state={value} does not fit here; give one of {fit}.")
    return frozenset(State(value) for value in values)


def tenants_named(values: Sequence[str]) -> Q:
    known = dict(Tenant.objects.filter(name__in=values).values_list("name", "pk"))
    for value in values:
        if value not in known:
            raise Refused(FILTER, f"tenant={value}: there is no tenant of that name.")
    return Q(lane__tenant__in=list(known.values()))


def streams_named(values: Sequence[str], tenants: Sequence[str]) -> Q:
    rows = Stream.objects.filter(name__in=values)
    if tenants:
        rows = rows.filter(tenant__name__in=tenants)
    found = list(rows.values_list("name", "pk"))
    for value in values:
        if value not in {name for name, _ in found}:
            whose = f"tenant {', '.join(tenants)}" if tenants else "any tenant"
            raise Refused(FILTER, f"stream={value}: no stream of {whose} has that name.")
    return Q(lane__stream__in=[pk for _, pk in found])


def domains_named(values: Sequence[str]) -> Q:
    return Q(lane__domain__in=[domain_named(value, FILTER) for value in values])


def domain_named(value: str, argument: str) -> str:
    """The domain as lanes know it; Refused when it is none."""
    try:
        return value.lower() if value.startswith("[") else normalise_domain(value)
    except AddressError as error:
        raise Refused(argument, f"{value!r} is no domain: {error.reason}.") from None


def addresses_named(values: Sequence[str]) -> Q:
    found: list[str] = []
    for value in values:
        spellings = address_forms(value)
        if not spellings:
            raise Refused(FILTER, f"address={value} is no mail address, such as ann@example.com.")
        found += spellings
    return Q(address__in=found)


def address_forms(term: str) -> list[str]:
    """The spellings under which an address may be stored; [] when it is no address."""
    try:
        address = parse_address(term)
    except AddressError:
        return []
    return sorted({str(address), str(address).lower()})


def older_than(values: Sequence[str]) -> Q:
    """Accepted longer ago than this; ids tell when, and they are the primary key."""
    age = duration(values[-1], FILTER)
    before = now_ms() - round(age * 1000) - EPOCH_MS
    return Q(pk__lt=max(0, before) << RANDOM_BITS)


def duration(text: str, argument: str) -> float:
    """Seconds of a duration such as 90s, 15m, 2h or 1d; Refused when it is none."""
    try:
        (seconds,) = parse_schedule(text)
    except ValueError:
        raise Refused(
            argument, f"{text!r} is no duration; write a number with s, m, h or d, such as 2h."
        ) from None
    return seconds


def _listed() -> str:
    return ", ".join(KEYS)


#: What can be said about recipients; `state` and `stream` need more than their own values.
KEYS: Mapping[str, Callable[[Sequence[str]], Q]] = {
    "tenant": tenants_named,
    "stream": lambda values: Q(),
    "campaign": lambda values: Q(message__campaign__in=values),
    "domain": domains_named,
    "site": lambda values: Q(lane__site__in=values),
    "address": addresses_named,
    "state": lambda values: Q(),
    "older_than": older_than,
}


def as_json(selection: Selection) -> dict[str, Any]:
    return {key: list(values) for key, values in selection.words.items()}
