"""drain_source: nothing new begins, bound mail may go from another source, and back again."""

from __future__ import annotations

import pytest
from django.core.management import CommandError
from django.utils import timezone

from mta import wiring
from mta.egress.models import Pool, PoolMember, Source
from mta.egress.sources import snapshot
from mta.events.models import Decision
from mta.limits.egress import Slot
from mta.spool import waiting
from mta.spool.inject import inject
from mta.spool.models import Lane, Recipient
from mta.spool.waiting import PutOff
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.state.commands.run import answer, text


def status() -> str:
    return Source.objects.get(name="acme-source").status


def test_it_counts_then_drains(cast: Cast) -> None:
    inject([cast.message("ann@x.test", "bob@x.test")])
    Recipient.objects.filter(address="ann@x.test").update(source=cast.source)
    found = answer("drain_source", "acme-source")
    assert found["done"] is False
    assert (found["load"]["bound"], found["load"]["in_flight"]) == (1, 0)
    assert found["load"]["alone_in"] == ["acme-pool"]
    assert status() == "active"
    said = text("drain_source", "acme-source", "--yes", "--reason", "new address")
    assert "source acme-source is draining" in said
    assert "no other active source in pool acme-pool" in said
    assert status() == "draining"
    assert snapshot().is_suspended("source", "acme-source")
    told = Decision.objects.get()
    assert (told.kind, told.source, told.count, told.reason) == (
        "drain", "acme-source", 1, "new address",
    )  # fmt: skip
    PoolMember.objects.create(pool=Pool.objects.get(), source=Source.objects.create(name="another"))
    assert answer("drain_source", "acme-source")["load"]["alone_in"] == []


def test_undo_wakes_what_found_no_source(cast: Cast) -> None:
    inject([cast.message("ann@x.test")])
    text("drain_source", "acme-source", "--yes")
    until = now_ms() + 60_000
    gate = waiting.suspended("pool", "acme-pool")
    waiting.put_off([PutOff(Lane.objects.get().pk, until, gate, "no active source in pool")])
    wiring.nudge().wait(0)
    assert answer("drain_source", "acme-source", "--undo", "--yes")["load"]["status"] == "active"
    lane = Lane.objects.get()
    assert lane.gate == ""
    assert lane.due_at is not None
    assert (lane.due_at - timezone.now()).total_seconds() < 5
    assert wiring.nudge().wait(0) is True
    assert list(Decision.objects.order_by("id").values_list("kind", flat=True)) == [
        "drain", "undrain",
    ]  # fmt: skip


def test_open_connections_are_counted(cast: Cast) -> None:
    limits = wiring.limits()
    for key in ("acme-source:mx.x.test", "acme-source:mx.y.test", "acme-source:@google"):
        limits.acquire([Slot(f"connections:{key}", 9, f"holder of {key}", 60)])
    limits.acquire([Slot("connections:acme-source-2:mx.x.test", 9, "another", 60)])
    assert answer("drain_source", "acme-source")["load"]["connections"] == 2
    assert "2 connections are open" in text("drain_source", "acme-source")


def test_refusals(cast: Cast) -> None:
    with pytest.raises(CommandError, match="SOURCE: there is no source named 'none'"):
        text("drain_source", "none")
    Source.objects.update(status="suspended")
    with pytest.raises(CommandError, match="is not draining, its status is suspended"):
        text("drain_source", "acme-source", "--undo", "--yes")
    assert status() == "suspended"
