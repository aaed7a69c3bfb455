"""Routing rules and the hook of an operator, from the API to the address that the receiver sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until
from tests.world.client import World

SLOW, FIRST = "127.0.0.5", "127.0.0.1"
BROKEN = "def choose_pool(batch):\n    raise ValueError('no map')\n"
MENDED = "def choose_pool(batch):\n    return 'slow' if batch.domain == 'x.test' else None\n"


def clients(stack: Stack, start: str) -> set[str]:
    """Where mail to recipients of this name came from."""
    return {one.client_address for one in stack.world.accepted() if one.recipient.startswith(start)}


def test_a_domain_that_bounces_gets_its_mail_from_the_slow_pool(stack: Stack) -> None:
    stack.ask("source", name="slow-1", address=SLOW, pool="slow")
    stack.ask(
        "rule", name="bouncy", condition="domain_attempts >= 20 and domain_bounce_rate > 0.05",
        action="pool", pool="slow",
    )  # fmt: skip
    stack.world.add_site("x.test", "reject")
    stack.start()
    key = stack.tenant["api_key"]
    stack.ask("post", api_key=key, to=[f"gone{n}@x.test" for n in range(2)])
    wait_until(lambda: stack.states() == {"bounced": 2}, 30, stack.logs)
    stack.world.set_behaviour("x.test", "accept")
    stack.ask("post", api_key=key, to=[f"well{n}@x.test" for n in range(20)])
    wait_until(lambda: stack.states() == {"bounced": 2, "delivered": 20}, 30, stack.logs)
    assert clients(stack, "well") == {FIRST}
    # What was counted is two seconds old at most.
    stack.world.set_behaviour("slow.demo.test", "slow", delay=3.0)
    stack.send(["u1@slow.demo.test"])
    stack.world.wait_for_recipients(["u1@slow.demo.test"], 30)
    wait_until(lambda: stack.states()["delivered"] == 21, 20, stack.logs)
    stack.ask("post", api_key=key, to=[f"late{n}@x.test" for n in range(5)])
    stack.ask("post", api_key=key, to=["other@accepts.demo.test"])
    assert stack.wait_settled(30) == {"bounced": 2, "delivered": 27}
    assert clients(stack, "late") == {SLOW}
    assert clients(stack, "other") == {FIRST}


def test_campaigns_and_tags_of_one_domain_go_different_ways(stack: Stack) -> None:
    stack.ask("source", name="slow-1", address=SLOW, pool="slow")
    stack.ask("rule", name="spring", condition='campaign == "spring"', action="pool", pool="slow")
    stack.ask("rule", name="legal", condition='"legal" in tags', action="hold", reason="asked")
    stack.ask("rule", name="old", condition='campaign == "old"', action="reject", reason="over")
    stack.world.add_site("x.test")
    for campaign in ("spring", "autumn", "old"):
        stack.send([f"{campaign}{n}@x.test" for n in range(10)], campaign=campaign)
    stack.send(["legal@x.test"], tags=["legal"], campaign="autumn")
    stack.start()
    ends = {"delivered": 20, "bounced": 10, "held": 1}
    wait_until(lambda: stack.states() == ends, 30, lambda: f"{stack.states()}\n{stack.logs()}")
    assert clients(stack, "spring") == {SLOW}
    assert clients(stack, "autumn") == {FIRST}
    said = stack.sql("SELECT DISTINCT state, last_reply FROM spool_recipient WHERE state = 'held'")
    assert said == [["held", "held by the rule legal: asked"]]
    assert stack.sql("SELECT max(attempts) FROM spool_recipient WHERE state = 'delivered'") == [[1]]


def test_mail_waits_for_a_broken_hook_and_goes_once_it_is_mended(
    make_stack: Callable[..., Stack], world: World, tmp_path: Path
) -> None:
    module = tmp_path / "hooks" / "mill_policy.py"
    module.parent.mkdir()
    module.write_text(BROKEN)
    stack = make_stack(MAILMILL_POLICY="mill_policy", PYTHONPATH=str(module.parent))
    stack.ask("source", name="slow-1", address=SLOW, pool="slow")
    world.add_site("x.test")
    stack.start()
    stack.send(["a@x.test", "b@x.test"])
    reason = "mill_policy.choose_pool failed: ValueError: no map"
    query = "SELECT hold_reason FROM spool_lane WHERE domain = 'x.test'"
    wait_until(lambda: stack.sql(query) == [[reason]], 30, lambda: stack.sql(query))
    assert stack.states() == {"scheduled": 2}
    module.write_text(MENDED)
    stack.kill("resolve")
    stack.start("resolve")
    stack.ask("order", words=["retry", "--filter", "domain=x.test", "--yes"])
    assert stack.wait_settled(20) == {"delivered": 2}
    assert {one.client_address for one in world.accepted()} == {SLOW}
    assert stack.sql("SELECT max(attempts) FROM spool_recipient") == [[1]]
