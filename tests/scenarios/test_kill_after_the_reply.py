"""A deliver worker is killed -9 between the receivers' 250 and the settlement.

Nothing is lost; at most one message per open connection is sent twice: the one whose reply was on
the wire. What the journal told before the kill is settled without being sent again.
"""

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until

SITES = 4
EACH = 400


def test_nothing_lost_and_at_most_one_twice_per_connection(stack: Stack) -> None:
    sites = [f"site{number}.load.test" for number in range(SITES)]
    for site in sites:
        stack.world.add_site(site, "accept")
    to = [f"user{number}@{site}" for number in range(EACH) for site in sites]
    # Nobody settles: every reply so far is known to the journal alone.
    stack.start("dispatch", "resolve", "sign", "deliver")
    stack.send(to)
    stack.world.wait_for(lambda got: len(got) >= SITES * EACH // 3, 40, "a third accepted")
    stack.kill("deliver")
    accepted = len(stack.world.accepted())
    connections = sum(stack.world.site(site).connections for site in sites)
    assert accepted > 0
    stack.start("deliver", "classify", "beat")
    assert stack.wait_settled(60) == {"delivered": len(to)}
    times = stack.world.times_accepted()
    lost = [address for address in to if times[address] == 0]
    twice = [address for address in to if times[address] > 1]
    assert not lost
    assert len(twice) <= connections
    assert max(times.values()) <= 2


def test_a_reply_on_the_wire_is_the_only_one_in_doubt(stack: Stack) -> None:
    """The peer has taken the message and holds its reply: exactly that one may come again."""
    stack.world.add_site("hold.load.test", "hold_after_dot")
    stack.start()
    stack.send([f"user{number}@hold.load.test" for number in range(20)])
    wait_until(
        lambda: stack.world.site("hold.load.test").held == 1, 30, "the peer holds a reply back"
    )
    stack.kill("deliver")
    stack.world.set_behaviour("hold.load.test", "accept")
    stack.start("deliver")
    assert stack.wait_settled(60) == {"delivered": 20}
    times = stack.world.times_accepted()
    assert sorted(times.values()) == [1] * 19 + [2]
