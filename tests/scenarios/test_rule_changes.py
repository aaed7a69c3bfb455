"""A changed rule acts within five seconds in all processes, without a restart: both ways.

What a loaded machine adds is allowed for: the assertions are wider than the promise.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.scenarios.stack import READY, ROOT, Stack
from tests.services.processes import ChildProcess, wait_until

#: Seconds: what is promised and what the machine may add.
PROMISED, ALLOWED = 5.0, 8.0
SITE: dict[str, Any] = {"match_kind": "site", "match": "x.load.test"}


def start(stack: Stack) -> None:
    """Each rule is remembered by several processes."""
    stack.world.add_site("x.load.test", "accept")
    stack.start()
    for stage in ("resolve", "deliver"):
        child = ChildProcess(
            [sys.executable, "manage.py", "worker", stage],
            output=stack.folder / f"{stage}-2.log", env=stack.environment, cwd=ROOT,
        )  # fmt: skip
        stack.children[f"{stage}-2"] = child
        child.wait_for_log(READY, 40)


def at_rest(stack: Stack) -> bool:
    """Whether nothing is under way, and all lanes that have mail wait for a minute and longer."""
    soon = round(time.time() * 1000) + 60_000
    busy = "SELECT 1 FROM spool_recipient WHERE state = 'claimed' LIMIT 1"
    lanes = f"SELECT 1 FROM spool_lane WHERE due_at IS NOT NULL AND due_at < {soon} LIMIT 1"
    return not stack.sql(busy) and not stack.sql(lanes)


def test_mail_that_waits_for_an_hour_goes_when_the_rule_is_changed(stack: Stack) -> None:
    stack.shape(**SITE, messages_per_hour=1)
    start(stack)
    stack.send([f"user{number}@x.load.test" for number in range(50)])
    stack.world.wait_for(lambda taken: len(taken) == 1, 30, "the one of this hour")
    wait_until(lambda: at_rest(stack), 30, lambda: f"the others to wait\n{stack.logs()}")
    changed_at = time.time()
    stack.shape(**SITE, messages_per_hour=None, messages_per_second=1000)
    taken = stack.world.wait_for(lambda taken: len(taken) >= 2, 30, "the next one")
    passed = taken[1].accepted_at - changed_at
    assert 0 < passed < ALLOWED
    assert stack.wait_settled(30) == {"delivered": 50}
    assert stack.sql("SELECT max(attempts), min(attempts) FROM spool_recipient") == [[1, 1]]
    print(f"the first went {passed:.2f} s after the change, of {PROMISED:g} promised")


def test_mail_that_comes_between_the_change_and_its_hearing_goes_too(stack: Stack) -> None:
    """Nothing waits at the change; who still has the old rule puts off what comes then."""
    stack.shape(**SITE, messages_per_hour=1)
    start(stack)
    stack.send(["first@x.load.test"])
    stack.world.wait_for(lambda taken: len(taken) == 1, 30, "the one of this hour")
    # Whoever takes these has read the rules as they are now.
    stack.world.add_site("y.load.test", "accept")
    for number in range(10):
        stack.send([f"user{number}@y.load.test"])
    assert stack.wait_settled() == {"delivered": 11}
    changed_at = time.time()
    stack.shape(**SITE, messages_per_hour=None, messages_per_second=1000)
    stack.send([f"user{number}@x.load.test" for number in range(50)])
    taken = stack.world.wait_for(lambda taken: len(taken) == 61, 30, "the 50 of after")
    passed = max(one.accepted_at for one in taken) - changed_at
    assert passed < ALLOWED
    print(f"all had gone {passed:.2f} s after the change, of {PROMISED:g} promised")


def test_a_lowered_rate_acts_on_mail_under_way(stack: Stack) -> None:
    stack.shape(**SITE, messages_per_second=20)
    start(stack)
    count = 1000
    for first in range(0, count, 250):
        stack.send([f"user{number}@x.load.test" for number in range(first, first + 250)])
    stack.world.wait_for(lambda taken: len(taken) >= 40, 30, "the rate of before")
    changed_at = time.time()
    stack.shape(**SITE, messages_per_second=0.001)
    wait_until(lambda: at_rest(stack), 40, lambda: f"the rest to wait\n{stack.logs()}")
    taken = stack.world.accepted("x.load.test")
    passed = max(one.accepted_at for one in taken) - changed_at
    assert 40 <= len(taken) < count
    assert passed < ALLOWED
    print(f"the last went {passed:.2f} s after the change, of {PROMISED:g} promised")
