"""A person's orders, carried out while workers run: suspend, resume, cancel, move."""

from typing import Any

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until

TO = "user{}@accepts.demo.test"


def order(stack: Stack, *words: str) -> Any:
    return stack.ask("order", words=list(words))


def test_a_suspended_campaign_waits_and_its_mail_goes_once_it_is_resumed(stack: Stack) -> None:
    stack.send([TO.format(1)], campaign="spring")
    stack.send([TO.format(2)], campaign="autumn")
    assert order(stack, "suspend", "acme/spring", "--reason", "price")["held"] == 1
    stack.start()
    # Mail that comes in meanwhile is held when resolve meets it, and nothing polls it.
    stack.send([TO.format(3)], campaign="spring")
    wait_until(
        lambda: stack.states() == {"held": 2, "delivered": 1},
        60,
        lambda: f"{stack.states()}\n{stack.logs()}",
    )
    assert order(stack, "resume", "acme/spring")["recipients"] == 2
    assert stack.wait_settled() == {"delivered": 3}
    assert set(stack.world.times_accepted().values()) == {1}


def test_a_suspended_domain_waits_without_attempts_until_its_end(stack: Stack) -> None:
    stack.start()
    order(stack, "suspend", "accepts.demo.test", "--for", "4s")
    stack.send([TO.format(1)])
    assert stack.wait_settled() == {"delivered": 1}
    assert stack.sql("SELECT number FROM spool_attempt") == [[1]]
    kinds = [row["kind"] for row in order(stack, "decisions")["decisions"]]
    assert kinds == ["resume", "suspend"]


def test_a_cancelled_campaign_ends_and_moved_mail_leaves_by_its_new_pool(stack: Stack) -> None:
    stack.ask("source", name="second", address="127.0.0.2", pool="default")
    stack.send([TO.format(1), TO.format(2)], campaign="spring")
    stack.send([TO.format(3)], campaign="autumn")
    assert order(stack, "cancel_campaign", "acme", "spring", "--yes")["changed"] == 2
    order(stack, "move", "--filter", "campaign=autumn", "--to", "default", "--yes")
    stack.start()
    assert stack.wait_settled() == {"admin_bounced": 2, "delivered": 1}
    assert list(stack.world.times_accepted()) == [TO.format(3)]
