"""move: waiting mail changes its pool, its lane and its bound source; the rest stays."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from mta.control import changes, moving, selection
from mta.egress.models import Pool
from mta.events.models import Decision
from mta.spool.inject import inject
from mta.spool.models import Lane, Recipient
from tests.cast import Cast, make_cast
from tests.state.commands.run import answer, text
from tests.state.spool import desk


@pytest.fixture
def slow(cast: Cast) -> Pool:
    return Pool.objects.create(name="slow")


def pools() -> dict[str, int]:
    return dict(Recipient.objects.values_list("address", "lane__pool_id"))


def test_moved_mail_waits_in_a_lane_of_the_pool(
    cast: Cast, slow: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "BATCH", 2)
    inject([cast.message("a@x.test", "b@x.test", "c@x.test", "d@y.test", campaign="spring")])
    inject([cast.message("e@x.test")])
    Recipient.objects.filter(address="a@x.test").update(source=cast.source)
    Recipient.objects.filter(address="b@x.test").update(state="held")
    words = ("move", "--filter", "campaign=spring", "--to", "slow")
    found = answer(*words)
    assert (found["matched"]["total"], found["changed"]) == (4, 0)
    assert set(pools().values()) == {0}
    assert answer(*words, "--yes", "--reason", "bounces")["changed"] == 4
    assert pools() == {"a@x.test": slow.pk, "b@x.test": slow.pk, "c@x.test": slow.pk,
                       "d@y.test": slow.pk, "e@x.test": 0}  # fmt: skip
    assert not Recipient.objects.exclude(source=None).exists()
    assert Recipient.objects.get(address="b@x.test").state == "held"
    for lane in Lane.objects.all():
        waits = lane.recipients.filter(state__in=["scheduled", "deferred"]).order_by(
            "next_attempt_at"
        )
        first = waits.values_list("next_attempt_at", flat=True).first()
        assert lane.due_at == first
        assert lane.priority == 0
    told = Decision.objects.get()
    assert (told.kind, told.count, told.reason, told.campaign) == ("move", 4, "bounces", "spring")
    # Once moved, it is not moved again.
    assert answer(*words, "--yes")["changed"] == 0


def test_the_streams_own_pool_brings_mail_back(cast: Cast, slow: Pool) -> None:
    inject([cast.message("a@x.test")])
    text("move", "--filter", "tenant=acme", "--to", "slow", "--yes")
    assert answer("move", "--filter", "tenant=acme", "--to", "acme-pool", "--yes")["changed"] == 1
    assert pools() == {"a@x.test": 0}
    assert Lane.objects.get(pool_id=0).due_at is not None
    assert Lane.objects.get(pool_id=slow.pk).due_at is None


def test_what_is_in_flight_is_left_alone(cast: Cast, slow: Pool) -> None:
    inject([cast.message("a@x.test")])
    assert desk.take("x.test").recipient_ids
    found = answer("move", "--filter", "tenant=acme", "--to", "slow", "--yes")
    assert (found["changed"], found["matched"]["in_flight"]) == (0, 1)
    assert pools() == {"a@x.test": 0}


def test_a_tenants_pool_takes_only_its_mail(cast: Cast) -> None:
    other = make_cast("globex", "globex.test")
    inject([cast.message("a@x.test"), other.message("b@x.test")])
    with pytest.raises(CommandError, match="--to: pool acme-pool belongs to tenant acme"):
        text("move", "--filter", "domain=x.test", "--to", "acme-pool", "--yes")
    with pytest.raises(CommandError, match="--to: there is no pool named 'none'"):
        text("move", "--filter", "domain=x.test", "--to", "none")
    chosen = selection.read(["domain=x.test", "tenant=acme"], changes.TAKES["move"])
    moving.check(chosen, Pool.objects.get(name="acme-pool"))
