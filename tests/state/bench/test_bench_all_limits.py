"""What the bench of limits sets: everything is asked, nothing binds, and all of it can go again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from mta.delivery import routing_rules
from mta.delivery.batch import Batch
from mta.delivery.path_limits import PathLimits, path_limits
from mta.delivery.shaping import limits_of_path
from mta.egress.models import ShapingRule
from mta.egress.provision import default_pool, provision
from mta.egress.sources import SourceFacts, snapshot
from mta.egress.warmup import allowance
from mta.spool.streams import stream_facts
from tests.bench.stack import NO_LIMITS
from tests.conftest import REMEMBERED

pytestmark = pytest.mark.django_db
ROOM = 5_000
SITE = "mx.sink.test"
NOON = datetime.now(UTC).replace(hour=12)


@pytest.fixture
def stream_id() -> int:
    """The bulk stream of the bench's tenant, under the default rule of its stack."""
    made = provision("acme", ["acme.test"])
    ShapingRule.objects.create(match_kind="default", **NO_LIMITS)
    return made.tenant.streams.get(name="bulk").pk


def change(word: str) -> None:
    """What `python -m tests.bench.all_limits` does, and what every process hears of it."""
    import sys

    from tests.bench import all_limits

    all_limits.on(ROOM) if word == "on" else all_limits.off()
    for module, name in REMEMBERED.items():
        if module in sys.modules:
            getattr(sys.modules[module], name).clear()


def found(stream_id: int) -> dict[str, PathLimits]:
    """By source: what limits a batch to the sink."""
    stream = stream_facts(stream_id)
    pool = snapshot().pools[default_pool().pk]
    batch = Batch(1, 1, stream.tenant_id, stream_id, "sink.test", (1,), 0)

    def of(source: SourceFacts) -> PathLimits:
        explained = limits_of_path(SITE, [SITE], source.name)
        warmup = allowance(source, explained.provider or SITE, NOON.date())
        return path_limits(batch, stream, source, SITE, explained, warmup, None, NOON)

    return {source.name: of(source) for source, _ in pool.members}


def test_every_limit_is_there_and_has_room_for_all(stream_id: int) -> None:
    change("on")
    ways = found(stream_id)
    assert ways.keys() == {"default", "warming"}
    for source, limits in ways.items():
        assert len(limits.opens) == len(limits.slots) == 2, "of the provider and of the site"
        # Four of the provider, four of the site, three of the source, three of the stream.
        assert len(limits.buckets) == 15 + (source == "warming"), "and the tenant's, the spread"
        assert all(bucket.burst >= ROOM for bucket in limits.buckets)
        assert len(limits.counters) == 2 + (source == "warming")
        assert all(counter.limit > ROOM for counter in limits.counters)
    rules = routing_rules.rules()
    assert [rule.action for rule in rules] == ["pool", "priority", "hold"]
    assert {name for rule in rules for name in rule.condition.names} >= {
        "domain_bounce_rate", "campaign", "tags",
    }  # fmt: skip


def test_the_rules_are_sound(stream_id: int) -> None:
    change("on")
    call_command("check_rules")


def test_without_them_one_rate_is_left(stream_id: int) -> None:
    change("off")
    before = found(stream_id)
    change("on")
    change("off")
    assert found(stream_id) == before
    assert [len(before["default"].buckets), len(before["default"].counters)] == [1, 0]
    assert before.keys() == {"default"}
    assert routing_rules.rules() == ()


def test_limits_can_be_set_again_and_again(stream_id: int) -> None:
    change("on")
    ways = found(stream_id)
    change("off")
    change("on")
    assert found(stream_id) == ways
