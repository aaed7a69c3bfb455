"""Two dispatchers at once never claim a recipient twice."""

import sys

from tests.scenarios.stack import ROOT, Stack
from tests.services.processes import ChildProcess


def test_each_recipient_is_sent_once(stack: Stack) -> None:
    sites = [f"site{number}.load.test" for number in range(5)]
    for site in sites:
        stack.world.add_site(site, "accept")
    to = [f"user{number}@{site}" for number in range(500) for site in sites]
    stack.start()
    second = ChildProcess(
        [sys.executable, "manage.py", "dispatch"], output=stack.folder / "second.log",
        env=stack.environment, cwd=ROOT,
    )  # fmt: skip
    with second:
        for start in range(0, len(to), 250):
            stack.send(to[start : start + 250])
        assert stack.wait_settled(60) == {"delivered": len(to)}
    times = stack.world.times_accepted()
    assert [address for address in to if times[address] != 1] == []
    attempts = stack.sql("SELECT max(attempts), min(attempts) FROM spool_recipient")
    assert attempts == [[1, 1]]
