"""A campaign is suspended, resumed and cancelled: exactly its mail, and what is in flight after."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from django.core.management import CommandError
from django.utils import timezone

from mta.control import upkeep
from mta.delivery import route
from mta.delivery.batch import Batch
from mta.egress.models import Suspension
from mta.egress.sources import forget
from mta.events.models import Decision, Event
from mta.spool import campaigns, claim
from mta.spool.inject import inject
from mta.spool.models import Lane, Recipient
from mta.storage.fields import now_ms
from tests.cast import Cast, make_cast
from tests.state.commands.run import answer, text
from tests.state.spool import desk


def states() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "state"))


def fill(cast: Cast) -> Cast:
    """Two campaigns of a tenant, and the same campaign of another; returns the other tenant."""
    other = make_cast("globex", "globex.test")
    inject([
        cast.message("ann@x.test", "bob@x.test", campaign="spring"),
        cast.message("cy@x.test", campaign="autumn"),
        other.message("dan@x.test", campaign="spring"),
    ])  # fmt: skip
    return other


def test_a_suspended_campaign_is_held_and_released_exactly(cast: Cast) -> None:
    fill(cast)
    Recipient.objects.filter(address="bob@x.test").update(state="held", last_reply="by hand")
    found = answer("suspend", "acme/spring", "--reason", "wrong price")
    assert (found["waiting"], found["held"]) == (1, 1)
    assert states() == {"ann@x.test": "held", "bob@x.test": "held", "cy@x.test": "scheduled",
                        "dan@x.test": "scheduled"}  # fmt: skip
    held = Recipient.objects.get(address="ann@x.test")
    assert held.last_reply == "campaign acme/spring is suspended: wrong price"
    assert campaigns.any_suspended()
    assert held.last_reply.startswith(campaigns.why_held("acme", "spring"))
    assert campaigns.why_held("acme", "autumn") == campaigns.why_held("globex", "spring") == ""

    assert answer("resume", "acme/spring")["recipients"] == 1
    assert states()["ann@x.test"] == "scheduled"
    assert states()["bob@x.test"] == "held"
    assert Recipient.objects.get(address="ann@x.test").last_reply == ""
    assert not campaigns.any_suspended()


def test_resolve_holds_what_it_meets_of_a_suspended_campaign(cast: Cast) -> None:
    text_of_suspension = "campaign acme/spring is suspended"
    inject([cast.message("ann@x.test", campaign="spring"), cast.message("bob@x.test")])
    taken = desk.take("x.test")
    Suspension.objects.create(scope="campaign", key="acme/spring")
    forget()
    batch = Batch(taken.token, taken.lane_id, cast.tenant.pk, cast.transactional.pk, "x.test",
                  taken.recipient_ids, 0)  # fmt: skip
    (held,) = route.refused([batch])[taken.token]
    assert (held.kind, held.reply) == ("held", text_of_suspension)
    assert Recipient.objects.get(pk=held.recipient_id).address == "ann@x.test"
    # As settle writes it, resume finds it.
    Recipient.objects.filter(pk=held.recipient_id).update(
        state="held", claim_token=None, next_attempt_at=None, last_reply=held.reply
    )
    assert answer("resume", "acme/spring")["recipients"] == 1
    assert Recipient.objects.get(pk=held.recipient_id).next_attempt_at is not None


def test_release_gives_the_last_reply_back(cast: Cast) -> None:
    inject([cast.message("ann@x.test", campaign="spring")])
    to = Recipient.objects.get()
    to.history.create(
        number=1, at=now_ms(), took_ms=1, outcome="deferred", stage="dot",
        reply="451 4.7.1 later",
    )  # fmt: skip
    Recipient.objects.update(state="deferred", attempts=1, last_reply="451 4.7.1 later")
    text("suspend", "acme/spring")
    text("resume", "acme/spring")
    to.refresh_from_db()
    assert (to.state, to.last_reply) == ("deferred", "451 4.7.1 later")


def test_a_suspension_ends_by_the_clock(cast: Cast) -> None:
    fill(cast)
    text("suspend", "acme/spring", "--for", "1h")
    text("suspend", "x.test", "--for", "1h")
    assert upkeep.tick() == 0
    Suspension.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    forget()
    assert upkeep.tick() == 2
    assert set(states().values()) == {"scheduled"}
    assert not Suspension.objects.exists()
    told = Decision.objects.filter(kind="resume", actor=upkeep.CLOCK)
    assert told.count() == 2


def test_what_was_held_just_after_a_resume_is_released_too(cast: Cast) -> None:
    fill(cast)
    text("suspend", "acme/spring")
    text("resume", "acme/spring")
    # A batch that was resolved before the resume, and settled after it.
    late = Recipient.objects.filter(address="ann@x.test")
    late.update(state="held", last_reply=campaigns.words("acme/spring"))
    assert upkeep.tick() == 1
    assert states()["ann@x.test"] == "scheduled"
    assert upkeep.tick() == 0
    text("suspend", "acme/spring")
    assert upkeep.tick() == 0
    assert states()["ann@x.test"] == "held"


def test_cancel_counts_then_ends_what_waits(cast: Cast) -> None:
    fill(cast)
    Recipient.objects.filter(address="bob@x.test").update(state="held")
    found = answer("cancel_campaign", "acme", "spring")
    assert (found["matched"]["total"], found["done"]) == (2, False)
    assert not Decision.objects.exists()
    found = answer("cancel_campaign", "acme", "spring", "--yes", "--reason", "wrong list")
    assert found["changed"] == 2
    assert states() == {"ann@x.test": "admin_bounced", "bob@x.test": "admin_bounced",
                        "cy@x.test": "scheduled", "dan@x.test": "scheduled"}  # fmt: skip
    events = Event.objects.filter(kind="admin_bounce")
    assert events.count() == 2
    assert "campaign cancelled: wrong list" in orjson.loads(events[0].data)["reply"]["text"]
    told = Decision.objects.get()
    assert (told.kind, told.campaign, told.count, told.tenant) == (
        "cancel", "spring", 2, cast.tenant,
    )  # fmt: skip


@pytest.mark.parametrize("waiting", [True, False])
def test_what_was_in_flight_is_not_tried_again(cast: Cast, waiting: bool) -> None:
    inject([cast.message("ann@x.test", campaign="spring")])
    flying = desk.take("x.test").token
    if waiting:
        inject([cast.message("bob@y.test", campaign="spring")])
    found = answer("cancel_campaign", "acme", "spring", "--yes")
    assert (found["changed"], found["matched"]["in_flight"]) == (int(waiting), 1)
    assert upkeep.tick() == 0
    inject([cast.message("new@x.test", campaign="spring")])  # sent after the order: it may go
    claim.give_back([flying])
    assert upkeep.tick() == 1
    assert states()["ann@x.test"] == "admin_bounced"
    assert states()["new@x.test"] == "scheduled"
    assert upkeep.tick() == 0
    assert '"open":false' in Decision.objects.filter(kind="cancel").get().data
    assert Lane.objects.get(domain="x.test").due_at is not None


def test_names_that_nobody_has_are_refused(cast: Cast) -> None:
    inject([cast.message("ann@x.test")])
    with pytest.raises(CommandError, match="TENANT: there is no tenant named 'nobody'"):
        text("cancel_campaign", "nobody", "spring")
    for campaign in ("spring", ""):
        with pytest.raises(CommandError, match="CAMPAIGN: tenant acme has no mail"):
            text("cancel_campaign", "acme", campaign)
