"""Orders about ways out: mail moves to another pool, a source is drained, a provider suspended."""

from __future__ import annotations

from itertools import count

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until

SECOND = "127.0.0.2"


def test_waiting_mail_leaves_from_the_pool_it_was_moved_to(stack: Stack) -> None:
    stack.ask("source", name="second", address=SECOND, pool="other")
    stack.world.add_site("x.test", "accept", ["in.big.test"])
    stack.shape(match_kind="provider", match="big", mx_suffixes="big.test")
    stack.ask("order", words=["suspend", "big", "--reason", "their wish"])
    stack.start()
    stack.send([f"u{n}@x.test" for n in range(20)])
    query = "SELECT DISTINCT hold_reason FROM spool_lane WHERE domain = 'x.test'"
    said = [["the provider is suspended"]]
    wait_until(lambda: stack.sql(query) == said, 30, lambda: f"{stack.sql(query)}")
    moved = stack.ask(
        "order", words=["move", "--filter", "domain=x.test", "--to", "other", "--yes"]
    )
    assert moved["changed"] == 20
    wait_until(lambda: stack.states() == {"scheduled": 20}, 20, lambda: f"{stack.states()}")
    stack.ask("order", words=["resume", "big"])
    assert stack.wait_settled(20) == {"delivered": 20}
    assert {one.client_address for one in stack.world.accepted()} == {SECOND}
    assert stack.sql("SELECT max(attempts) FROM spool_recipient") == [[1]]


def test_a_drained_source_ends_what_it_began_and_begins_nothing(stack: Stack) -> None:
    stack.ask("source", name="second", address=SECOND, pool="other")
    stack.ask("set_stream", name="bulk", pool="other")
    stack.world.add_site("x.test", "hold_after_dot")
    stack.start()
    stack.send(["begun@x.test"])
    wait_until(lambda: stack.world.site("x.test").held == 1, 30, stack.logs)
    load = stack.ask("order", words=["drain_source", "second", "--yes"])["load"]
    assert (load["status"], load["connections"]) == ("draining", 1)
    stack.world.set_behaviour("x.test", "accept")
    wait_until(lambda: stack.states() == {"delivered": 1}, 20, stack.logs)
    query = "SELECT hold_reason FROM spool_lane WHERE domain = 'x.test'"
    numbers = count()

    def waits() -> bool:
        # Sent again and again: not everybody has heard of it at once.
        stack.send([f"u{next(numbers)}@x.test"])
        return "no active source in pool other" in str(stack.sql(query))

    wait_until(waits, 20, lambda: f"{stack.sql(query)}")
    assert {one.client_address for one in stack.world.accepted()} == {SECOND}
    stack.ask("order", words=["drain_source", "second", "--undo", "--yes"])
    assert set(stack.wait_settled(20)) == {"delivered"}
