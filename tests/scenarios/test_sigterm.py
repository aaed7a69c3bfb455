"""SIGTERM: a worker finishes or returns what it holds within 10 s, and the mail goes on later."""

import time

from tests.scenarios.stack import Stack


def test_a_worker_in_the_middle_of_slow_receivers_returns_its_claims(stack: Stack) -> None:
    stack.world.add_site("slow.load.test", "slow", delay=1.0)
    to = [f"user{number}@slow.load.test" for number in range(30)]
    stack.start()
    stack.send(to)
    stack.world.wait_for(lambda got: len(got) >= 1, 30, "the first accepted")
    stack.kill("dispatch")
    before = time.monotonic()
    assert stack.children.pop("deliver").terminate(10.0) == 0
    assert time.monotonic() - before < 10.0
    states = stack.states()
    assert "claimed" not in states
    assert states["scheduled"] >= 20
    stack.world.set_behaviour("slow.load.test", "accept")
    stack.start("deliver", "dispatch")
    assert stack.wait_settled(60) == {"delivered": 30}
    assert set(stack.world.times_accepted().values()) == {1}


def test_a_peer_that_never_answers_does_not_hold_the_stop(stack: Stack) -> None:
    stack.world.add_site("hold.load.test", "hold_after_dot")
    stack.start()
    stack.send(["user1@hold.load.test", "user2@hold.load.test"])
    stack.world.wait_for(lambda got: len(got) == 1, 30, "one message taken, its reply held")
    stack.kill("dispatch")
    before = time.monotonic()
    stack.children.pop("deliver").terminate(10.0)
    assert time.monotonic() - before < 10.0
    assert "claimed" not in stack.states()
