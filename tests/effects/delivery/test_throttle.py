"""Watch and throttled(): what outcomes do to a path in a real Redis, and what people are told."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence

import pytest
import redis
from django.db import OperationalError

from mta import wiring
from mta.delivery import throttle, throttle_states
from mta.delivery.batch import Outcome, Path
from mta.delivery.throttle import Watch, throttled
from mta.events.models import Decision
from mta.limits.egress import Limits
from mta.limits.paths import Paths
from mta.policy.throttled import Throttled
from mta.storage.fields import now_ms

pytestmark = pytest.mark.django_db

BUSY = "451 4.7.1 Too many messages from 192.0.2.7, slow down"
BANNED = "550 5.7.1 banned sending ip [192.0.2.7]"
LISTED = "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using bl.spamcop.net"
CROWDED = "421 4.7.0 Error: too many connections from 192.0.2.7"
TSS04 = "421 4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred"


@pytest.fixture
def paths(redis_url: str, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    with redis.Redis.from_url(redis_url) as client:
        mine = Paths(client, f"test-{uuid.uuid4().hex}:")
        monkeypatch.setattr(wiring, "paths", lambda: mine)
        yield mine


@pytest.fixture
def watch(paths: Paths) -> Watch:
    return Watch()


def path(*, provider: str = "", throttled: bool = False) -> Path:
    return Path(
        site="mx.example", provider=provider, hosts=(), source_id=1, source_name="mail-1",
        source_address="", ehlo_name="mail.example", tls="none", connections=10,
        messages_per_connection=100, timeouts=(), queue="", rate=50.0, throttled=throttled,
    )  # fmt: skip


def taken(count: int = 1) -> list[Outcome]:
    return [Outcome(n, "", "dot", "OK", 250, "2.0.0", at=now_ms()) for n in range(count)]


def said(line: str, stage: str = "dot", count: int = 1) -> list[Outcome]:
    code, enhanced, text = line.split(" ", 2)
    return [Outcome(n, "", stage, text, int(code), enhanced, at=now_ms()) for n in range(count)]


def view(of: Path) -> Throttled | None:
    """What another process would be told."""
    throttle_states.known_by.cache_clear()
    key = (of.source_name, of.site, of.provider)
    return throttled([key]).get(key)


def kinds() -> Sequence[str]:
    return list(Decision.objects.order_by("id").values_list("kind", flat=True))


def test_good_news_of_a_free_path_asks_redis_nothing(watch: Watch, paths: Paths) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("Redis was asked")

    paths.read = paths.swap = refuse  # type: ignore[method-assign, assignment]
    assert watch.after(path(), taken(100)) is None


def test_a_bad_mailbox_changes_nothing(watch: Watch) -> None:
    assert watch.after(path(), said("550 5.1.1 no such user", "rcpt")) is None
    assert view(path()) is None


def test_too_many_slows_the_path_to_what_was_taken(watch: Watch) -> None:
    assert watch.after(path(), taken(60)) is None
    stop = watch.after(path(), said(BUSY))
    assert stop is not None
    assert now_ms() < stop.until <= now_ms() + 1000
    assert stop.gate == "throttle:mail-1:mx.example"
    found = view(path())
    assert found is not None
    assert found.until > now_ms()
    assert found.rate == pytest.approx(0.97, rel=0.1)
    assert kinds() == ["throttle_slowed"]


def test_a_block_takes_the_source_out(watch: Watch) -> None:
    stop = watch.after(path(), said(BANNED))
    assert stop is not None
    assert stop.until < now_ms() + 1000, "another source may take the rest at once"
    found = view(path())
    assert found is not None
    assert found.blocked
    assert 29 * 60_000 < found.until - now_ms() <= 30 * 60_000
    assert kinds() == ["throttle_blocked"]


def test_a_block_list_has_to_be_named_three_times(watch: Watch) -> None:
    for _ in range(2):
        assert watch.after(path(), said(LISTED)) is None
    watch.after(path(throttled=True), taken())
    for _ in range(2):
        assert watch.after(path(), said(LISTED)) is None
    assert watch.after(path(), said(LISTED)) is not None
    found = view(path())
    assert found is not None
    assert found.blocked


def test_an_earlier_block_makes_the_next_one_longer(watch: Watch) -> None:
    watch.after(path(), said(BANNED))
    watch.states.change("mail-1|mx.example", lambda _state, _now: None)
    watch.after(path(), said(BANNED))
    found = view(path())
    assert found is not None
    assert found.until - now_ms() > 59 * 60_000


def test_too_many_connections_leave_fewer(watch: Watch) -> None:
    stop = watch.after(path(), said(CROWDED, "connect"))
    assert stop is None
    found = view(path())
    assert found is not None
    assert 0 < found.connections < 10
    assert found.rate == 0


def test_a_dead_site_is_asked_by_one(watch: Watch) -> None:
    nobody = [Outcome(1, "", "connect", "connection refused")]
    assert watch.after(path(), nobody) is None
    assert watch.after(path(), nobody) is None
    stop = watch.after(path(), nobody)
    assert stop is not None
    found = view(path())
    assert found is not None
    assert 25_000 < found.until - now_ms() <= 30_000
    assert not found.blocked
    assert watch.after(path(throttled=True), said("550 5.1.1 no such user", "rcpt")) is not None
    assert view(path()) is None
    assert kinds() == ["throttle_dead", "throttle_recovered"]


def test_an_automation_of_a_provider_stops_all_its_sites(watch: Watch) -> None:
    yahoo = path(provider="yahoo")
    watch.after(yahoo, said(TSS04, "mail"))
    assert "automation" not in kinds()
    watch.after(yahoo, said(TSS04, "mail"))
    assert "automation" in kinds()
    throttle_states.known_by.cache_clear()
    other = ("mail-1", "mx.elsewhere.example", "yahoo")
    found = throttled([other])[other]
    assert found.until - now_ms() > 7_100_000
    assert found.gate == "throttle:mail-1:@yahoo"


def test_a_worker_believes_an_old_block_no_more(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.after(path(), said(BANNED))
    assert watch.after(path(), taken()) is not None, "under way when the block came"
    monkeypatch.setattr(time, "monotonic", lambda: 1e12)
    assert watch.after(path(), taken()) is None, "a person may have reset it meanwhile"


def test_a_database_that_is_away_stops_no_delivery(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(throttle, "automations", away)
    monkeypatch.setattr(throttle_states, "record", away)
    yahoo = path(provider="yahoo")
    watch.after(yahoo, said(TSS04, "mail", 2))
    found = view(yahoo)
    assert found is not None
    assert found.gate == "throttle:mail-1:@yahoo"
    assert kinds() == []


def test_a_person_resets_a_path(watch: Watch) -> None:
    watch.after(path(), said(BANNED))
    assert [state.key for state in throttle_states.all_states()] == ["mail-1|mx.example"]
    assert throttle_states.reset("mail-1|mx.example", actor="ann")
    assert not throttle_states.reset("mail-1|mx.example", actor="ann")
    assert view(path()) is None
    told = list(Decision.objects.order_by("id").values_list("kind", "actor"))
    assert told == [("throttle_blocked", "throttle"), ("throttle_reset", "ann")]
