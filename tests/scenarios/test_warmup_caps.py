"""A cold source sends what its day allows; the rest overflows, or waits for midnight."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until

COLD, CAP = "127.0.0.3", 10


def midnight() -> datetime:
    """The end of a day that does not end while the story lasts."""
    wait_until(lambda: datetime.now(UTC).strftime("%H%M") != "2359", 70, "the next day begins")
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


@pytest.fixture
def warming(stack: Stack) -> Stack:
    """Bulk mail leaves from a cold source."""
    stack.ask("source", name="cold", address=COLD, pool="cold")
    stack.ask("warm", name="cold", per_day=CAP)
    stack.ask("set_stream", name="bulk", pool="cold")
    stack.world.add_site("x.load.test")
    return stack


def used(stack: Stack) -> Counter[str]:
    return Counter(one.client_address for one in stack.world.accepted())


def test_the_excess_leaves_by_the_overflow_pool(warming: Stack) -> None:
    midnight()
    warming.ask("overflow", pool="cold", into="default")
    warming.start()
    for first in range(0, 60, 20):
        warming.send([f"u{n}@x.load.test" for n in range(first, first + 20)])
    assert warming.wait_settled(30) == {"delivered": 60}
    assert used(warming) == {COLD: CAP, "127.0.0.1": 50}
    assert warming.sql("SELECT max(attempts) FROM spool_recipient") == [[1]]
    assert warming.sql("SELECT cap, attempted, delivered FROM egress_warmupday") == [
        [CAP, CAP, CAP]
    ]


def test_without_overflow_the_excess_waits_for_midnight_and_readers_go_first(
    warming: Stack,
) -> None:
    ends = midnight()
    warming.send([f"u{n}@x.load.test" for n in range(30)])
    readers = [f"reader{n}@x.load.test" for n in range(8)]
    warming.send(readers, engaged=True)
    warming.start()
    warming.world.wait_for(lambda taken: len(taken) >= CAP, 30, "the day's messages")
    assert used(warming) == {COLD: CAP}
    assert set(readers) < set(warming.world.times_accepted())
    query = (
        "SELECT hold_reason, wait_until FROM spool_lane WHERE domain = 'x.load.test' "
        "AND priority = 2"
    )
    said = "limit: the warmup cap of today of cold to mx1.x.load.test is used up"
    wait_until(
        lambda: warming.sql(query) == [[said, ends.timestamp() * 1000]], 20,
        lambda: f"{warming.sql(query)}",
    )  # fmt: skip
    ends_as = {"delivered": CAP, "scheduled": 28}
    wait_until(lambda: warming.states() == ends_as, 20, lambda: f"{warming.states()}")
