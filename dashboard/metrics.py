"""/metrics: the counters of all processes (kept in Redis) and the state of the spool, as Prometheus
text.

Rule 1: a counter's key is NAME or NAME:KIND; it is shown as mailmill_NAME_total, with label kind.
Rule 2: a source that does not answer leaves its figures out and sets mailmill_scrape_errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import redis
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from dashboard import queries
from mta import wiring
from mta.delivery.throttle_rows import KINDS, throttle_rows

UNFIT = re.compile(r"[^a-z0-9_]")
PRIORITIES = {0: "transactional", 1: "bulk"}


@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """What Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Mailmill())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Mailmill(Collector):
    """Reads the figures at the moment of the scrape."""

    def collect(self) -> Iterator[Metric]:
        errors = GaugeMetricFamily(
            "mailmill_scrape_errors", "1 when a source of figures did not answer", labels=["source"]
        )
        for source, read in (("redis", shared), ("database", spool)):
            try:
                yield from read()
                errors.add_metric([source], 0)
            except (redis.RedisError, DatabaseError, OSError):
                errors.add_metric([source], 1)
        yield errors


def shared() -> list[Metric]:
    """What Redis keeps for all processes."""
    return [*counted(), *throttled()]


def counted() -> list[Metric]:
    """The counters of all processes."""
    families: dict[str, CounterMetricFamily] = {}
    for key, value in sorted(wiring.counters().read("").items()):
        name, _, kind = key.partition(":")
        name = UNFIT.sub("_", name.lower())
        family = families.get(name)
        if family is None:
            family = CounterMetricFamily(
                f"mailmill_{name}", f"Count of {name.replace('_', ' ')}", labels=["kind"]
            )
            families[name] = family
        family.add_metric([kind], value)
    return list(families.values())


def throttled() -> list[Metric]:
    """Egress paths that replies have slowed, by what became of them."""
    family = GaugeMetricFamily(
        "mailmill_throttled_paths", "Egress paths that replies have slowed", labels=["kind"]
    )
    rows = throttle_rows()
    for kind in KINDS:
        family.add_metric([kind], sum(row.kind == kind for row in rows))
    return [family]


def spool() -> list[Metric]:
    """Waiting by priority, in flight, the age of the oldest; from the survey, seconds old."""
    survey = queries.survey()
    waiting = GaugeMetricFamily("mailmill_waiting", "Recipients that wait", labels=["priority"])
    for priority, name in PRIORITIES.items():
        waiting.add_metric([name], survey.by_priority.get(priority, 0))
    age = 0.0
    if survey.oldest_at:
        age = max(0.0, (datetime.now(UTC) - survey.oldest_at).total_seconds())
    return [
        waiting,
        GaugeMetricFamily("mailmill_in_flight", "Recipients under way", value=survey.in_flight),
        GaugeMetricFamily("mailmill_waiting_domains", "Domains with mail", value=survey.domains),
        GaugeMetricFamily(
            "mailmill_oldest_waiting_seconds", "Age of the oldest waiting", value=age
        ),
    ]
