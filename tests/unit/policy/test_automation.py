"""Which automation a reply calls for."""

from __future__ import annotations

from mta.policy.automation import matching, ordered
from mta.policy.automation_rules import AutomationRule, load_automations
from mta.policy.throttle_faults import Hold

BUSY = AutomationRule("busy", "server busy", "slow", 900, rate_per_minute=6, connections=2)
OURS = AutomationRule("ours", "server busy", "one_connection", 60, provider="big")


def test_a_providers_automation_goes_first_and_speaks_for_it_alone() -> None:
    assert matching([BUSY, OURS], "big", "Server Busy, try later") is OURS
    assert matching([BUSY, OURS], "other", "Server Busy, try later") is BUSY
    assert matching([OURS], "", "Server busy") is None


def test_the_text_is_masked_before_it_is_compared() -> None:
    rule = AutomationRule("host", "from #$", "suspend", 60)
    assert matching([rule], "", "too much from 192.0.2.7") is rule


def test_a_broken_pattern_matches_nothing_and_breaks_nothing() -> None:
    assert matching([AutomationRule("bad", "(", "suspend", 60), BUSY], "", "server busy") is BUSY


def test_what_is_ordered_has_its_end() -> None:
    assert ordered(BUSY, "451 server busy", 5_000) == Hold(
        "busy", "slow", 905_000, "451 server busy", rate=0.1, connections=2
    )
    assert ordered(OURS, "", 0).connections == 1


def test_every_shipped_automation_orders_something() -> None:
    for rule in load_automations():
        hold = ordered(rule, "", 0)
        assert hold.stops or hold.rate or hold.connections or hold.messages_per_connection
