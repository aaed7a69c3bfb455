"""The throttles page, its command and its figures: what is done, why, and an end to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client

from mta import wiring
from mta.delivery.throttle_rows import KINDS, throttle_rows
from mta.delivery.throttle_states import all_states, states
from mta.events.models import Decision
from mta.policy import throttle
from mta.policy.throttle import PathState, Seen
from mta.policy.throttle_faults import Hold
from tests.state.commands.run import text

REPLY = "550 5.7.1 banned sending ip <b>[192.0.2.7]</b>"


@pytest.fixture(autouse=True)
def fresh_redis(redis_url: str, settings: Any, db: None) -> Iterator[None]:
    settings.MAILMILL = replace(settings.MAILMILL, redis_url=redis_url)
    for made in (wiring.redis_client, wiring.memory, wiring.counters, wiring.nudge):
        made.cache_clear()
    wiring.redis_client().flushall()
    yield
    wiring.redis_client().close()
    for made in (wiring.redis_client, wiring.memory, wiring.counters, wiring.nudge):
        made.cache_clear()


def throttled(source: str, site: str, provider: str = "", **values: Any) -> None:
    """A path that met `values`."""

    def make(before: PathState | None, now: int) -> PathState | None:
        state = before or PathState(source, site, provider, now)
        return throttle.step(state, Seen(full=2.0, connections=10, **values), now)

    states().change(throttle.path_key(source, site or f"@{provider}"), make)


def scene() -> None:
    now = states().now()
    throttled("mail-1", "mx.one.test", blocked=REPLY, block_at_once=True)
    throttled("mail-1", "mx.two.test", slow="451 slow down", counts=((now - 9_000, 60),))
    for _ in range(3):
        throttled("mail-2", "mx.one.test", unreachable="connection refused")
    hold = Hold("yahoo-busy", "slow", now + 900_000, "421 [TS02] busy", rate=1 / 60)
    throttled("mail-2", "", "yahoo", holds=(hold,))
    throttled("mail-3", "mx.one.test", crowded="421 too many connections", open=10)
    throttled("mail-4", "mx.one.test", unreachable="connection refused")


def test_rows_say_what_is_done_and_why() -> None:
    scene()
    rows = {(row.source, row.reach): row for row in throttle_rows()}
    blocked = rows["mail-1", "mx.one.test"]
    assert (blocked.kind, blocked.reason, blocked.rate) == ("blocked", REPLY, 0.0)
    assert blocked.what == ("blocked for the 1st time",)
    assert blocked.until is not None
    assert (blocked.until - blocked.since).total_seconds() == pytest.approx(1800, abs=2)
    assert rows["mail-1", "mx.two.test"].kind == "stopped"
    assert rows["mail-2", "mx.one.test"].kind == "dead"
    held = rows["mail-2", "all sites of yahoo"]
    assert (held.kind, held.full) == ("slowed", 120.0)
    assert held.rate == pytest.approx(1.0)
    assert held.what == ("automation yahoo-busy: slow",)
    crowd = rows["mail-3", "mx.one.test"]
    assert (crowd.connections, crowd.full_connections, crowd.until) == (7, 10, None)
    assert rows["mail-4", "mx.one.test"].kind == "watched"
    assert {row.kind for row in rows.values()} <= set(KINDS)


def test_the_page_lists_and_escapes(as_operator: Client) -> None:
    scene()
    page = as_operator.get("/throttles/").content.decode()
    assert "mx.two.test" in page
    assert "all sites of yahoo" in page
    assert "banned sending ip &lt;b&gt;" in page
    rows = as_operator.get("/throttles/?part=rows").content.decode()
    assert "mx.two.test" in rows
    assert "<html" not in rows


def test_the_page_says_so_when_all_is_well(as_operator: Client) -> None:
    assert "No path is throttled" in as_operator.get("/throttles/").content.decode()


def test_one_path_is_reset_from_the_page(as_operator: Client) -> None:
    scene()
    answer = as_operator.post("/throttles/", {"key": "mail-1|mx.one.test"}, follow=True)
    assert "The path is reset" in answer.content.decode()
    assert "mail-1|mx.one.test" not in {state.key for state in all_states()}
    assert len(all_states()) == 5
    last = Decision.objects.first()
    assert last is not None
    assert (last.kind, last.actor, last.source) == ("throttle_reset", "olga", "mail-1")
    answer = as_operator.post("/throttles/", {"key": "mail-1|mx.one.test"}, follow=True)
    assert "free already" in answer.content.decode()


def test_all_paths_are_reset_from_the_page(as_operator: Client) -> None:
    scene()
    answer = as_operator.post("/throttles/", {"all": "1"}, follow=True)
    assert "6 paths reset" in answer.content.decode()
    assert all_states() == []


def test_only_operators_may_look_and_act(as_marketer: Client, client: Client) -> None:
    scene()
    assert as_marketer.get("/throttles/").status_code == 403
    assert as_marketer.post("/throttles/", {"all": "1"}).status_code == 403
    assert client.get("/throttles/").status_code == 302
    assert client.post("/throttles/", {"all": "1"}).status_code == 302
    assert len(all_states()) == 6


def test_the_page_stays_up_without_redis(as_operator: Client, settings: Any) -> None:
    wiring.redis_client.cache_clear()
    settings.MAILMILL = replace(settings.MAILMILL, redis_url="redis://127.0.0.1:1/0")
    assert "Redis does not answer" in as_operator.get("/throttles/").content.decode()
    answer = as_operator.post("/throttles/", {"all": "1"}, follow=True)
    assert "nothing was reset" in answer.content.decode()


def test_metrics_count_throttled_paths(client: Client) -> None:
    scene()
    text = client.get("/metrics").content.decode()
    assert 'mailmill_throttled_paths{kind="blocked"} 1.0' in text
    assert 'mailmill_throttled_paths{kind="slowed"} 2.0' in text
    assert 'mailmill_throttled_paths{kind="suspended"} 0.0' in text


def test_the_command_lists_resets_one_and_all() -> None:
    assert text("throttles") == "no path is throttled\n"
    scene()
    listed = text("throttles")
    assert "blocked" in listed
    assert "@yahoo" in listed
    found = json.loads(text("throttles", "--json"))["throttles"]
    assert {row["kind"] for row in found} == {"blocked", "stopped", "dead", "slowed", "watched"}
    assert text("throttles", "--reset", "mail-2", "@yahoo") == "1 path reset\n"
    with pytest.raises(CommandError, match="nothing throttles mail-2 to @yahoo"):
        text("throttles", "--reset", "mail-2", "@yahoo")
    assert json.loads(text("throttles", "--all", "--json")) == {"reset": 5}
    assert text("throttles") == "no path is throttled\n"
