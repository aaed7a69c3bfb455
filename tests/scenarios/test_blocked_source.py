"""A receiver that wants nothing from one of our addresses: the others of the pool take over."""

from __future__ import annotations

from collections import Counter
from itertools import count

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until

BLOCKED = "127.0.0.2"


def why(stack: Stack, domain: str) -> str:
    """What a domain's mail waits for."""
    rows = stack.sql(f"SELECT hold_reason FROM spool_lane WHERE domain = '{domain}'")
    return " ".join(str(reason) for (reason,) in rows)


def test_the_rest_leaves_from_the_other_source(stack: Stack) -> None:
    stack.world.add_site("strict.test", "block", clients=[BLOCKED])
    stack.ask("source", name="second", address=BLOCKED)
    stack.start()
    for first in range(0, 120, 10):
        stack.send([f"u{n}@strict.test" for n in range(first, first + 10)])
        wait_until(lambda: set(stack.states()) <= {"delivered", "bounced"}, 30, stack.logs)
    states = stack.wait_settled(30)
    assert 3 <= states["bounced"] <= 10, "three refusals, and what was under way with them"
    assert states["delivered"] == 120 - states["bounced"]
    assert {one.client_address for one in stack.world.accepted()} == {"127.0.0.1"}
    kinds = [kind for (kind,) in stack.sql("SELECT kind FROM events_decision")]
    assert kinds == ["throttle_blocked"]
    # It is out for that receiver only.
    stack.world.add_site("kind.test")
    ((first,),) = stack.sql("SELECT name FROM egress_source WHERE name <> 'second'")
    stack.ask("set_source", name=first, status="suspended")
    late = count()

    def waits() -> bool:
        # Sent again and again: not everybody has heard of it at once.
        stack.send([f"late{next(late)}@strict.test"])
        return "block" in why(stack, "strict.test")

    wait_until(waits, 20, lambda: f"{why(stack, 'strict.test')} {stack.states()}")
    stack.send(["u@kind.test"])
    (there,) = stack.world.wait_for_recipients(["u@kind.test"], 20)[-1:]
    assert there.client_address == BLOCKED


def test_greylisted_mail_keeps_its_source(stack: Stack) -> None:
    for number in range(12):
        stack.world.add_site(f"grey{number}.test", "greylist", greylist_seconds=3.0)
    stack.ask("source", name="second", address=BLOCKED)
    stack.start()
    for number in range(12):
        stack.send([f"u{n}@grey{number}.test" for n in range(5)])
    assert stack.wait_settled(60) == {"delivered": 60}
    pairs = stack.sql(
        "SELECT recipient_id, count(DISTINCT source_name) FROM spool_attempt GROUP BY 1"
    )
    assert len(pairs) == 60
    assert {sources for _, sources in pairs} == {1}
    used = Counter(one.client_address for one in stack.world.accepted())
    assert len(used) == 2, "both sources had a part"
