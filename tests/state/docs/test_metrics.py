"""Every metric of /metrics is in its page with type and labels, and the page names no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from prometheus_client.core import Metric

from dashboard.metrics import Mailmill
from mta import wiring
from mta.limits.counters import Counters
from mta.limits.paths import Paths
from mta.spool.result import EVENT_KINDS
from tests.unit.docs.pages import CODE, REFERENCE, by_code

PAGE = by_code(REFERENCE / "metrics.md")
METRICS = {name: cells for name, cells in PAGE.items() if name.startswith("mailmill_")}


@pytest.fixture
def counters(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counters]:
    """The counters of an empty Redis, with everything counted once that is ever counted."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    found = Counters(client)
    monkeypatch.setattr(wiring, "counters", lambda: found)
    paths = Paths(client)
    monkeypatch.setattr(wiring, "paths", lambda: paths)
    # As mta.delivery.judge counts a settled batch.
    found.add({"recipients:delivered": 1, "batches:settled": 1, "dsns": 1})
    yield found
    client.flushall()
    client.close()


def sample_names(metric: Metric) -> set[str]:
    return {sample.name for sample in metric.samples if not sample.name.endswith("_created")}


@pytest.mark.django_db
def test_every_metric_with_type_and_labels(counters: Counters) -> None:
    found = {}
    for metric in Mailmill().collect():
        for name in sample_names(metric):
            labels = {label for sample in metric.samples for label in sample.labels}
            found[name] = (metric.type, labels)
    assert set(found) == set(METRICS)
    for name, (kind, labels) in found.items():
        _, told_kind, told_labels, meaning = METRICS[name]
        assert told_kind == kind
        assert set(CODE.findall(told_labels)) == labels, name
        assert meaning


def test_every_outcome_of_a_recipient() -> None:
    """What settling counts: the states it leads to, and what was put off; and operators' ends."""
    told = set(CODE.findall(METRICS["mailmill_recipients_total"][3]))
    assert told == {str(state) for state in EVENT_KINDS} | {"postponed", "admin_bounced"}
