"""kill -9 while mail waits behind a limit: nothing is lost or doubled, and the limit is kept."""

from __future__ import annotations

from functools import partial

from tests.scenarios.stack import Stack
from tests.scenarios.test_limits_hold import JITTER, excess
from tests.world.ledger import Acceptance

RATE, BURST, COUNT = 40, 8, 600


def at_least(number: int, taken: list[Acceptance]) -> bool:
    return len(taken) >= number


def test_dispatch_and_deliver_are_killed_and_the_limit_holds(stack: Stack) -> None:
    sites = [f"k{number}.load.test" for number in range(3)]
    for site in sites:
        stack.world.add_site(site, "accept", [f"in-{site.split('.')[0]}.big.test"])
    stack.shape(
        match_kind="provider", match="big", mx_suffixes="big.test", messages_per_second=RATE,
        burst=BURST,
    )  # fmt: skip
    stack.start()
    for first in range(0, COUNT, 100):
        stack.send([f"u{n}@{sites[n % 3]}" for n in range(first, first + 100)])
    for least, name in ((80, "dispatch"), (200, "deliver"), (320, "dispatch"), (440, "deliver")):
        enough = partial(at_least, least)
        stack.world.wait_for(enough, 60, f"{least} messages")
        stack.kill(name)
        stack.start(name)
    assert stack.wait_settled(90) == {"delivered": COUNT}
    times = stack.world.times_accepted()
    assert len(times) == COUNT, "nothing is lost"
    # What was on the wire when deliver died may go twice: one message a connection.
    assert sum(times.values()) - COUNT <= 6
    print(f"doubled {sum(times.values()) - COUNT}")
    at = sorted(one.accepted_at for one in stack.world.accepted())
    assert excess(at, RATE) <= BURST + RATE * JITTER
