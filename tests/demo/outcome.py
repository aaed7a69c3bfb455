"""Expected against actual, as values: what each recipient came to, judged by its role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.world.cast import Role


@dataclass(frozen=True, slots=True)
class Fate:
    """What the spool says of one recipient."""

    address: str
    state: str
    bounce_class: str
    last_reply: str
    attempts: int

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Line:
    """One role's line of the table."""

    role: Role
    expected: int
    #: "delivered" or "bounced (bad_mailbox)", and how many.
    actual: tuple[tuple[str, int], ...]
    attempts: float
    #: Sentences about recipients that are not as expected.
    faults: tuple[str, ...]


def fault(role: Role, fate: Fate, accepted: int) -> str:
    """What is wrong with one recipient; empty when it is as its role has it.

    `accepted` is how often the receiver took mail for it: 0 is a loss, 2 a duplicate.
    """
    if role.blocks and fate.state == "waiting":
        return f"{fate.address} waits although the receiver took it" if accepted else ""
    if fate.state != role.outcome:
        return f"{fate.address} is {fate.state}, not {role.outcome}: {fate.last_reply}"
    if role.outcome == "delivered":
        return "" if accepted == 1 else f"{fate.address} was accepted {accepted} times"
    if accepted:
        return f"{fate.address} bounced although the receiver took it"
    if fate.bounce_class != role.bounce_class:
        return (
            f"{fate.address} bounced as {fate.bounce_class}, not {role.bounce_class}: "
            f"{fate.last_reply}"
        )
    if not fate.last_reply.startswith(role.reply):
        return f"{fate.address} bounced with {fate.last_reply!r}, not {role.reply!r}"
    return ""


def judge(
    planned: Iterable[tuple[Role, str]], fates: Iterable[Fate], accepted: Mapping[str, int]
) -> list[Line]:
    """One line per role, in the order of `planned`; recipients that are missing are faults."""
    by_address = {fate.address: fate for fate in fates}
    groups: dict[str, list[tuple[Role, str]]] = {}
    for role, address in planned:
        groups.setdefault(role.domain, []).append((role, address))
    return [line(group, by_address, accepted) for group in groups.values()]


def line(
    group: list[tuple[Role, str]], fates: Mapping[str, Fate], accepted: Mapping[str, int]
) -> Line:
    actual: Counter[str] = Counter()
    faults, attempts = [], 0
    for role, address in group:
        fate = fates.get(address)
        if fate is None:
            actual["missing"] += 1
            faults.append(f"{address} is not in the spool")
            continue
        attempts += fate.attempts
        actual[words(fate)] += 1
        found = fault(role, fate, accepted.get(address, 0))
        if found:
            faults.append(found)
    return Line(
        group[0][0], len(group), tuple(actual.most_common()), attempts / len(group), tuple(faults)
    )


def words(fate: Fate) -> str:
    return f"{fate.state} ({fate.bounce_class})" if fate.bounce_class else fate.state


def expected_words(role: Role) -> str:
    return f"{role.outcome} ({role.bounce_class})" if role.bounce_class else role.outcome
