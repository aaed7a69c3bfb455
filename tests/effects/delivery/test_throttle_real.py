"""A real receiver that takes 30 messages in a window of 2 s: the path slows, tries, and returns."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as Folder

import pytest
import redis

from mta import wiring
from mta.delivery.batch import Path
from mta.delivery.judge import judge
from mta.delivery.throttle import throttled
from mta.events.models import Decision
from mta.limits.egress import Limits
from mta.limits.paths import Paths
from mta.policy.throttled import Throttled
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.effects.delivery.counting_receiver import CountingReceiver, receiving
from tests.effects.delivery.worker import Worker
from tests.services.processes import wait_until
from tests.state.spool import desk
from tests.world.client import World

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT, WINDOW = 30, 2.0
MAIL = 150


@pytest.fixture
def receiver() -> Iterator[CountingReceiver]:
    with receiving(LIMIT, WINDOW) as found:
        yield found


@pytest.fixture
def worker(
    limits: Limits, redis_url: str, world: World, receiver: CountingReceiver, tmp_path: Folder,
    transactional_db: None, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Worker]:  # fmt: skip
    with redis.Redis.from_url(redis_url) as client:
        paths = Paths(client, limits._prefix)
        monkeypatch.setattr(wiring, "paths", lambda: paths)
        made = Worker(tmp_path / "journal", world, limits, wiring.memory())
        made.connector.port = receiver.port
        yield made
        made.close()


def seen(cast: Cast) -> Throttled | None:
    key = (cast.source.name, "mx1.x.test", "")
    return throttled([key]).get(key)


def as_chosen(path: Path | None, state: Throttled | None) -> Path:
    """The path as mta.delivery.path_limits makes it of what the throttle says."""
    assert path is not None
    rows = [(f"rate:{path.source_name}", 100.0, 100)]
    if state is not None and state.rate:
        rows.append((state.gate, state.rate, state.burst))
    most = (state.connections if state else 0) or path.connections
    return replace(
        path, buckets=tuple(rows), rate=100.0, connections=most, throttled=state is not None
    )


def one_batch(cast: Cast, worker: Worker) -> Throttled | None:
    """What may go now goes and is settled; returns what the throttle said before."""

    def free() -> bool:
        found = seen(cast)
        return found is None or found.until <= now_ms()

    assert wait_until(free, 20, "the end of a pause")
    state = seen(cast)
    desk.make_due()
    batch = worker.batch(cast, "x.test", ["127.0.0.1"])
    done = worker.sent(replace(batch, path=as_chosen(batch.path, state)))
    judge([done], random.Random(1))
    return state


def test_a_receiver_with_a_limit_slows_the_path_and_gets_all_of_it(
    cast: Cast, worker: Worker, receiver: CountingReceiver
) -> None:
    desk.injected(cast, *[f"u{n}@x.test" for n in range(MAIL)])
    said = []
    while len(receiver.taken) < MAIL:
        said.append(one_batch(cast, worker))
    rates = [state.rate for state in said if state is not None]
    assert said[0] is None, "free until the first refusal"
    assert rates[0] == 0.1, "one message tries"
    assert max(rates) < 100, "what the receiver takes, not what is configured"
    assert len(receiver.refused) <= 0.1 * MAIL, (receiver.refused, rates)
    assert desk.states()["delivered"] == MAIL
    assert list(Decision.objects.values_list("kind", flat=True)) == ["throttle_slowed"]
    assert Decision.objects.get().reason == "421 4.7.0 Too many messages from 127.0.0.1, slow down"
