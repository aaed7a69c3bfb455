"""Counts of the last hour, in a real server."""

from __future__ import annotations

import pytest
import redis

from mta.limits import tally as module
from mta.limits.tally import DIMENSIONS, KEEP_SECONDS, SLOT_SECONDS, Counted, Tally

CAMPAIGN = "acme/ä b:c"


class Clock:
    """A clock that only the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally(client: redis.Redis, prefix: str, clock: Clock) -> Tally:
    return Tally(client, prefix, clock)


def counts(**values: int) -> dict[str, int]:
    return {**dict.fromkeys(("attempts", *module.COUNTED), 0), **values}


def test_what_was_counted_is_read(tally: Tally) -> None:
    tally.add([
        Counted("domain", "x.test", "delivered", 5), Counted("domain", "x.test", "bounced", 2),
        Counted("domain", "x.test", "bounced", 1), Counted("domain", "x.test", "blocked", 1),
        Counted("provider", "x.test", "deferred", 7),
        Counted("campaign", CAMPAIGN, "complaints", 3),
    ])  # fmt: skip
    found = tally.read(
        [
            ("domain", "x.test"),
            ("provider", "x.test"),
            ("campaign", CAMPAIGN),
            ("domain", "y.test"),
        ]
    )
    assert found == {
        ("domain", "x.test"): counts(attempts=8, delivered=5, bounced=3, blocked=1),
        ("provider", "x.test"): counts(attempts=7, deferred=7),
        ("campaign", CAMPAIGN): counts(complaints=3),
        ("domain", "y.test"): counts(),
    }


def test_what_is_of_nobody_counts_for_nobody(
    tally: Tally, client: redis.Redis, prefix: str
) -> None:
    tally.add([Counted("provider", "", "delivered", 5), Counted("domain", "x.test", "bounced", 0)])
    tally.add([])
    assert client.keys(f"{prefix}*") == []
    assert tally.read([("provider", "")]) == {("provider", ""): {}}
    assert tally.read([]) == {}


def test_an_answer_is_kept_for_two_seconds(tally: Tally, clock: Clock) -> None:
    key = ("domain", "x.test")
    assert tally.read([key])[key]["bounced"] == 0
    tally.add([Counted("domain", "x.test", "bounced", 1)])
    clock.now += module.FRESH_SECONDS - 0.1
    assert tally.read([key])[key]["bounced"] == 0
    clock.now += 0.2
    assert tally.read([key])[key]["bounced"] == 1


def slot(client: redis.Redis) -> int:
    seconds, _ = client.time()
    return int(seconds) // SLOT_SECONDS


@pytest.mark.parametrize(("back", "counted"), [(0, 4), (11, 4), (12, 0)])
def test_the_last_hour_is_the_slot_and_eleven_before_it(
    back: int, counted: int, tally: Tally, client: redis.Redis, prefix: str
) -> None:
    client.hset(f"{prefix}domain:{slot(client) - back}", "bounced:x.test", "4")
    assert tally.read([("domain", "x.test")])["domain", "x.test"]["bounced"] == counted


def test_slots_end_by_themselves(tally: Tally, client: redis.Redis, prefix: str) -> None:
    tally.add([Counted(dimension, "k", "delivered", 1) for dimension in DIMENSIONS])
    tally.add([Counted("domain", "other", "delivered", 1)])
    keys = client.keys(f"{prefix}*")
    assert len(keys) == len(DIMENSIONS)
    assert all(0 < client.ttl(key) <= KEEP_SECONDS for key in keys)


def test_a_slot_has_a_bounded_number_of_fields(
    client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FIELDS", 3)
    tally = Tally(client, prefix)
    tally.add([Counted("domain", f"d{n}.test", "delivered", 1) for n in range(5)])
    tally.add([Counted("domain", "d0.test", "delivered", 1)])
    found = tally.read([("domain", f"d{n}.test") for n in range(5)])
    assert [found["domain", f"d{n}.test"]["delivered"] for n in range(5)] == [2, 1, 1, 0, 0]


def test_both_are_one_round_trip(tally: Tally, client: redis.Redis) -> None:
    rows = [Counted("domain", f"d{n}.test", "delivered", 1) for n in range(100)]
    wanted = [("domain", f"d{n}.test") for n in range(100)]
    tally.add(rows)  # loads the scripts
    tally.read(wanted)
    before = calls(client)
    tally.add(rows)
    tally.read(wanted)  # kept
    tally.read([("domain", f"e{n}.test") for n in range(100)])
    assert calls(client) - before == 2


def calls(client: redis.Redis) -> int:
    found = client.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))
