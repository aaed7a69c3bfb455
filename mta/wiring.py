"""Settings become objects. The one place that reads django.conf for the floors below Django."""

from __future__ import annotations

from functools import cache

import redis
from django.conf import settings

from mta.limits.counters import Counters
from mta.limits.egress import Limits
from mta.limits.memory import Memory
from mta.limits.nudge import Nudge
from mta.limits.paths import Paths
from mta.limits.tally import Tally
from mta.net.dns import Resolver
from mta.policy.classify import Classifier
from mta.policy.hooks import Hooks, load
from mta.policy.retry import RetrySchedule, parse_schedule
from mta.settings.config import Config


def config() -> Config:
    """What the operator set."""
    found: Config = settings.MAILMILL
    return found


@cache
def redis_client() -> redis.Redis:
    """One client a process; its pool serves all threads."""
    return redis.Redis.from_url(
        config().redis_address,
        socket_timeout=30,
        socket_connect_timeout=5,
        health_check_interval=30,
        client_name="mailmill",
    )


@cache
def limits() -> Limits:
    return Limits(redis_client())


@cache
def nudge() -> Nudge:
    return Nudge(redis_client())


@cache
def memory() -> Memory:
    return Memory(redis_client())


@cache
def counters() -> Counters:
    return Counters(redis_client())


@cache
def tally() -> Tally:
    return Tally(redis_client())


@cache
def hooks() -> Hooks:
    """The operator's own Python; HooksRefused when the module cannot be used."""
    return load(config().policy)


def paths() -> Paths:
    return paths_of(redis_client())


@cache
def paths_of(client: redis.Redis) -> Paths:
    """One a client: what processes remember of paths hangs on it."""
    return Paths(client)


@cache
def classifier() -> Classifier:
    return Classifier.default()


def resolver() -> Resolver:
    """A resolver with its own cache; belongs to the event loop that uses it."""
    return Resolver(config().dns)


def retry_schedule(steps: str, life: float) -> RetrySchedule:
    """The stream's schedule, or the profile's when the stream names none.

    Shapes: `steps` such as "1m,5m", `life` in seconds.
    """
    profile = config().profile_values()
    (ceiling,) = parse_schedule(profile["retry_ceiling"])
    return RetrySchedule(
        steps=parse_schedule(steps or profile["retry_steps"]), ceiling=ceiling, life=life
    )
