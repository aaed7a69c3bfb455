"""Ctrl-C in the middle of a campaign: the stack is gone in time, and no recipient stays claimed."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from tests.demo.cast import Sender
from tests.demo.injection import by_api
from tests.scenarios.test_up import START_SECONDS, Stack, stack
from tests.services.processes import wait_until
from tests.world.client import World

__all__ = ["stack"]  # the fixture
RECIPIENTS = 400
COUNT = (
    "import json; from collections import Counter; from mta.spool.models import Recipient; "
    "print(json.dumps(Counter(Recipient.objects.values_list('state', flat=True))))"
)


def states(stack: Stack) -> Counter[str]:
    answer = stack.run("shell", "--verbosity", "0", "-c", COUNT)
    assert answer.returncode == 0, answer.stderr
    return Counter(json.loads(answer.stdout))


@pytest.mark.timeout(300)
def test_claims_are_returned(stack: Stack) -> None:
    with World.start() as world:
        # One second per message: hundreds are claimed and under way when the stop comes.
        world.set_behaviour("accepts.demo.test", "slow", delay=1.0)
        stack.environment |= {
            "MAILMILL_DNS": world.dns,
            "MAILMILL_REMOTE_SMTP_PORT": str(world.smtp_port),
            "MAILMILL_PROFILE": "demo",
        }
        to = [f"user{n}@accepts.demo.test" for n in range(RECIPIENTS)]
        with stack.up() as up:
            up.wait_for_log("mailmill | up after", START_SECONDS)
            made = json.loads(
                stack.run("create_tenant", "acme", "--domain", "acme.test", "--json").stdout
            )
            made.pop("dns_records")
            made["domain"] = "acme.test"
            by_api(stack.doors["MAILMILL_HTTP_BIND"], Sender(**made), to)
            wait_until(lambda: len(world.accepted()) > 10, 60, f"mail under way {up}")
            begun = time.monotonic()
            assert up.terminate(12) == 0
            assert time.monotonic() - begun < 10
        after = states(stack)
        assert after["claimed"] == 0, f"{after}\n{up}"
        assert after["delivered"] == len(world.times_accepted())
        assert 0 < after["delivered"] < RECIPIENTS
        assert not world.duplicates()

        # The next start sends the rest, and nothing twice.
        world.set_behaviour("accepts.demo.test", "accept")
        with stack.up("again.log"):
            world.wait_for_recipients(to, START_SECONDS + 60)
        assert not world.duplicates()
        assert len(world.times_accepted()) == RECIPIENTS
