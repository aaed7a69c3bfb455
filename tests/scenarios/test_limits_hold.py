"""Limits hold over all workers together, nothing of them is wasted, and they are shared fairly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.scenarios.stack import ROOT, Stack
from tests.services.processes import ChildProcess
from tests.world.ledger import Acceptance

RATE, BURST = 30, 15
#: Seconds by which a receiver may hear of one message later than of another that left with it.
JITTER = 0.1


def at_least(count: int) -> Callable[[list[Acceptance]], bool]:
    return lambda taken: len(taken) >= count


def more_deliver_workers(stack: Stack, count: int) -> None:
    for number in range(count):
        name = f"deliver-{number}"
        child = ChildProcess(
            [sys.executable, "manage.py", "worker", "deliver"],
            output=stack.folder / f"{name}.log", env=stack.environment, cwd=ROOT,
        )  # fmt: skip
        stack.children[name] = child
        child.wait_for_log(" ready.", 40)


def excess(times: Sequence[float], rate: float) -> float:
    """The most messages in any window beyond what the rate lets pass in it."""
    worst, least = 0.0, float("inf")
    # Of all windows that end at one message the worst begins where `number - rate * at` is least.
    for number, at in enumerate(times):
        least = min(least, number - rate * at)
        worst = max(worst, number + 1 - rate * at - least)
    return worst


def test_four_workers_keep_one_limit_and_use_it(stack: Stack) -> None:
    stack.world.add_site("x.load.test", "accept")
    stack.shape(match_kind="site", match="x.load.test", messages_per_second=RATE, burst=BURST)
    stack.start()
    more_deliver_workers(stack, 3)
    count = RATE * 20
    to = [f"user{number}@x.load.test" for number in range(count)]
    for start in range(0, count, 200):
        stack.send(to[start : start + 200])
    assert stack.wait_settled(90) == {"delivered": count}
    times = sorted(one.accepted_at for one in stack.world.accepted("x.load.test"))
    assert len(times) == count
    assert excess(times, RATE) <= BURST + RATE * JITTER
    used = (count - BURST) / (times[-1] - times[0]) / RATE
    assert used >= 0.95, f"{used:.1%} of the rate"
    assert stack.sql("SELECT max(attempts), min(attempts) FROM spool_recipient") == [[1, 1]]
    print(f"used {used:.1%}, most beyond the rate {excess(times, RATE):.1f}, burst {BURST}")


def test_one_message_waits_for_two_tokens_at_most(stack: Stack) -> None:
    stack.world.add_site("x.load.test", "accept")
    stack.shape(match_kind="site", match="x.load.test", messages_per_second=2, burst=1)
    stack.ask("make_tenant", name="other", domain="other.test")
    stack.start()
    for start in range(0, 2000, 500):
        stack.send([f"user{number}@x.load.test" for number in range(start, start + 500)])
    for number in range(3):
        stack.world.wait_for(at_least(4 * (number + 1)), 60, "some")
        before = len(stack.world.accepted("x.load.test"))
        one = f"single{number}@x.load.test"
        stack.send([one], tenant="other")
        taken = stack.world.wait_for_recipients([one], 20)
        place = [each.recipient for each in taken].index(one)
        assert place - before <= 2, "others had two tokens at most"


def test_tenants_share_a_limited_site_by_weight_and_bulk_is_not_starved(stack: Stack) -> None:
    stack.world.add_site("x.load.test", "accept")
    stack.shape(match_kind="site", match="x.load.test", messages_per_second=40, burst=2)
    stack.ask("make_tenant", name="other", domain="other.test")
    stack.ask("weigh", name="acme", weight=3)
    stack.start()
    stack.send([f"bulk{number}@x.load.test" for number in range(200)], stream="bulk")
    stack.send([f"now{number}@x.load.test" for number in range(400)], stream="transactional")
    stack.send([f"other{number}@x.load.test" for number in range(400)], tenant="other")
    accepted = stack.world.wait_for(lambda taken: len(taken) >= 360, 60, "360 messages")
    # The first ones found nobody else there.
    taken = [one.recipient for one in accepted][120:360]
    others = sum(address.startswith("other") for address in taken)
    assert 45 <= others <= 75, "one part in four"
    ours = [address for address in taken if not address.startswith("other")]
    bulk = sum(address.startswith("bulk") for address in ours)
    assert 0.08 * len(ours) <= bulk <= 0.5 * len(ours), "a tenth for bulk, most for the urgent"
    print(f"others {others} of {len(taken)}, bulk {bulk} of {len(ours)}")
