"""A tenant hands in more than its quota for the hour: the excess waits for the hour's end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until

SITES = [f"q{number}.load.test" for number in range(5)]


def end_of_hour() -> datetime:
    """Of an hour that does not end while the story lasts."""
    wait_until(lambda: datetime.now(UTC).minute < 59, 70, "the next hour")
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def settled(stack: Stack) -> int:
    return int(stack.redis().hget("mailmill:counters", "batches:settled") or 0)


def test_what_exceeds_a_quota_waits_unpolled_and_goes_when_the_quota_is_raised(
    stack: Stack,
) -> None:
    ends = end_of_hour()
    for site in SITES:
        stack.world.add_site(site)
    stack.world.add_site("slow.test", "slow", delay=7.0)
    stack.ask("make_tenant", name="other", domain="other.test")
    stack.ask("set_tenant", name="acme", quota_per_hour=20)
    stack.start()
    stack.send([f"u{number}@{SITES[number % 5]}" for number in range(50)])
    stack.world.wait_for(lambda taken: len(taken) >= 20, 30, "20 messages")
    wait_until(lambda: "claimed" not in stack.states(), 20, lambda: f"rest {stack.states()}")
    before = settled(stack)
    # Another tenant's mail is not concerned, and while its receiver thinks about it nothing moves.
    stack.send(["u@slow.test"], tenant="other")
    stack.world.wait_for_recipients(["u@slow.test"], 30)
    wait_until(lambda: stack.states().get("delivered") == 21, 20, lambda: f"{stack.states()}")
    assert stack.states() == {"delivered": 21, "scheduled": 30}
    assert settled(stack) == before + 1, "nobody looked at mail that waits"
    assert stack.sql("SELECT max(attempts) FROM spool_recipient WHERE state = 'scheduled'") == [[0]]
    lanes = stack.sql(
        "SELECT DISTINCT hold_reason, wait_until FROM spool_lane WHERE domain <> 'slow.test' "
        "AND id IN (SELECT lane_id FROM spool_recipient WHERE state = 'scheduled')"
    )
    assert lanes == [["limit: the quota of the tenant is used up", ends.timestamp() * 1000]]
    stack.ask("set_tenant", name="acme", quota_per_hour=40)
    stack.world.wait_for(lambda taken: len(taken) >= 41, 10, "20 more")
    stack.ask("set_tenant", name="acme", quota_per_hour=None)
    assert stack.wait_settled(10) == {"delivered": 51}
    assert stack.sql("SELECT max(attempts) FROM spool_recipient") == [[1]]
