"""What a provider's rule sets holds for all domains together that its hosts take mail for."""

from __future__ import annotations

from tests.scenarios.stack import Stack
from tests.scenarios.test_limits_hold import JITTER, excess
from tests.services.processes import wait_until

DOMAINS = ("first.test", "second.test")
PER_MINUTE = 180


def test_two_sites_share_connections_and_rate_of_their_provider(stack: Stack) -> None:
    world = stack.world
    world.add_site(DOMAINS[0], "hold_after_dot", ["in.first-mail.bigmail.test"])
    world.add_site(DOMAINS[1], "accept", ["in.second-mail.bigmail.test"])
    stack.shape(
        match_kind="provider", match="bigmail", mx_suffixes="bigmail.test", connections=1,
        messages_per_minute=PER_MINUTE,
    )  # fmt: skip
    stack.start()
    stack.send([f"u0@{DOMAINS[0]}"])
    wait_until(lambda: world.site(DOMAINS[0]).held == 1, 30, lambda: f"held\n{stack.logs()}")
    stack.send([f"u0@{DOMAINS[1]}"])
    stack.send(["u@accepts.demo.test"])
    world.wait_for_recipients(["u@accepts.demo.test"], 20)
    assert world.site(DOMAINS[1]).connections == 0, "the provider's one connection is in use"
    world.set_behaviour(DOMAINS[0], "accept")
    world.wait_for_recipients([f"u0@{DOMAINS[1]}"], 20)
    for domain in DOMAINS:
        stack.send([f"more{n}@{domain}" for n in range(35)])
    assert stack.wait_settled(60) == {"delivered": 73}
    times = sorted(one.accepted_at for one in world.accepted() if one.domain in DOMAINS)
    rate, burst = PER_MINUTE / 60, PER_MINUTE / 10
    assert excess(times, rate) <= burst + rate * JITTER
    times = times[2:]
    used = (len(times) - burst) / (times[-1] - times[0]) / rate
    print(f"used {used:.1%}, most beyond the rate {excess(times, rate):.1f}, burst {burst}")
    assert stack.sql("SELECT max(attempts) FROM spool_recipient") == [[1]]
