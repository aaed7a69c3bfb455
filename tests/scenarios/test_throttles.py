"""Receivers that are away, or want nothing: mail waits untried, and goes when they return."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until


def throttles(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stack.manage("throttles", "--json"))["throttles"]
    return found


def kinds(stack: Stack) -> list[str]:
    return [kind for (kind,) in stack.sql("SELECT kind FROM events_decision ORDER BY id")]


@pytest.mark.timeout(240)
def test_a_dead_site_is_asked_by_one_and_gets_all_when_it_is_back(stack: Stack) -> None:
    stack.world.add_site("gone.test")
    stack.world.set_behaviour("gone.test", "accept", listening=False)
    to = [f"u{n}@gone.test" for n in range(60)]
    stack.start()
    for first in range(0, 60, 10):
        stack.send(to[first : first + 10])
    wait_until(lambda: "throttle_dead" in kinds(stack), 60, lambda: f"death\n{stack.logs()}")
    (row,) = throttles(stack)
    assert (row["kind"], row["site"]) == ("dead", "mx1.gone.test")
    tried = stack.sql("SELECT count(*) FROM spool_attempt")[0][0]
    stack.world.add_site("well.test")
    stack.send(["u@well.test"])
    wait_until(lambda: stack.states().get("delivered") == 1, 20, "mail to others")
    assert stack.sql("SELECT count(*) FROM spool_attempt")[0][0] == tried + 1, "nothing was tried"
    stack.world.set_behaviour("gone.test", "accept")
    assert stack.wait_settled(90) == {"delivered": 61}
    assert kinds(stack) == ["throttle_dead", "throttle_recovered"]
    assert throttles(stack) == []


@pytest.mark.timeout(240)
def test_a_block_costs_few_and_the_rest_waits_for_its_end(stack: Stack) -> None:
    stack.world.add_site("strict.test")
    stack.world.set_behaviour("strict.test", "block")
    stack.ask("source", name="second", address="127.0.0.1")
    to = [f"u{n}@strict.test" for n in range(100)]
    stack.start()
    stack.send(to)
    wait_until(
        lambda: [row["kind"] for row in throttles(stack)] == ["blocked"] * 2, 60,
        lambda: f"both sources are blocked; {stack.states()} {throttles(stack)}\n{stack.logs()}",
    )  # fmt: skip
    wait_until(lambda: "claimed" not in stack.states(), 20, "nothing under way")
    lost = stack.states()["bounced"]
    assert 6 <= lost <= 12, "three refusals for each source, and what was under way"
    (held,) = stack.sql("SELECT hold_reason FROM spool_lane WHERE domain = 'strict.test'")
    assert "blocked" in held[0]
    stack.world.set_behaviour("strict.test", "accept")
    assert json.loads(stack.manage("throttles", "--all", "--json")) == {"reset": 2}
    assert stack.wait_settled(60) == {"delivered": 100 - lost, "bounced": lost}
    assert kinds(stack).count("throttle_blocked") == 2
