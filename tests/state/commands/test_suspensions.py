"""suspend and resume: what a name means, and that mail goes on when it may."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.utils import timezone

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.choose import Wait
from mta.delivery.route import planned, stopped
from mta.delivery.ways import ways_for
from mta.egress.models import Source, Suspension
from mta.egress.sources import KEEP_SECONDS, forget, snapshot
from mta.events.models import Decision
from mta.net.dns import MxHost, Route
from mta.spool import waiting
from mta.spool.due import DueLane
from mta.spool.inject import inject
from mta.spool.models import Lane, Recipient
from mta.spool.waiting import PutOff
from mta.storage.fields import to_ms
from mta.tenants.models import Tenant
from tests.cast import Cast
from tests.state.commands.run import answer, text

#: A host of a provider that the shipped rules know.
GOOGLE = "aspmx.l.google.com"


def refusal(cast: Cast, host: str = "mx.x.test") -> Wait:
    """What resolve says of the cast's mail to x.test under the suspensions in force."""
    forget()
    batch = Batch(1, 1, cast.tenant.pk, cast.transactional.pk, "x.test", (1,), 0)
    route = Route("x.test", (MxHost(host, 10, ("192.0.2.1",)),), 0.0)
    plan = planned(batch, route, snapshot())
    found = stopped(plan) or ways_for([plan], snapshot(), random.Random(1))[0][1]
    assert isinstance(found, Wait)
    return found


def put_off(wait: Wait) -> Lane:
    """The lane as resolve and settle leave it."""
    lane = Lane.objects.get()
    waiting.put_off([PutOff(lane.pk, wait.until, wait.gate, wait.reason)])
    lane.refresh_from_db()
    assert lane.gate
    return lane


@pytest.mark.parametrize(
    ("name", "scope", "key"),
    [
        ("acme", "tenant", "acme"),
        ("acme-source", "source", "acme-source"),
        ("X.test", "site", "x.test"),
        ("never-seen.test", "site", "never-seen.test"),
        ("mx.x.test", "site", "mx.x.test"),
        ("Google", "provider", "google"),
        ("acme/Spring sale", "campaign", "acme/Spring sale"),
    ],
)
def test_resume_undoes_what_suspend_did(cast: Cast, name: str, scope: str, key: str) -> None:
    inject([cast.message("ann@x.test", campaign="Spring sale")])
    found = answer("suspend", name, "--for", "2h", "--reason", "complaints")
    assert (found["scope"], found["key"], found["reason"]) == (scope, key, "complaints")
    row = Suspension.objects.get()
    assert row.ends_at is not None
    assert abs(row.ends_at - row.created_at - timedelta(hours=2)) < timedelta(seconds=1)
    assert row.created_by
    done = answer("resume", name, "--reason", "all is well")
    assert (done["scope"], done["key"]) == (scope, key)
    assert not Suspension.objects.exists()
    kinds = ["suspend", "hold", "resume", "release"] if scope == "campaign" else [
        "suspend", "resume"]  # fmt: skip
    told = Decision.objects.order_by("id")
    assert [one.kind for one in told] == kinds
    assert {one.actor for one in told} == {row.created_by}
    assert told[0].reason == "complaints"


def test_what_would_wait_is_counted_first(cast: Cast) -> None:
    inject([cast.message("ann@x.test", "bob@y.test", campaign="spring")])
    Lane.objects.filter(domain="y.test").update(site="(alt1|alt2).aspmx.l.google.com")
    for name, number in (("acme", 2), ("x.test", 1), ("google", 1), ("acme/spring", 2)):
        assert answer("suspend", name, "--dry-run")["waiting"] == number
    Recipient.objects.filter(address="bob@y.test").update(source=cast.source)
    assert answer("suspend", "acme-source", "--dry-run")["waiting"] == 1
    assert not Suspension.objects.exists()
    assert not Decision.objects.exists()


def test_a_rollup_is_a_site_once_mail_went_there(cast: Cast) -> None:
    rollup = "(mx1|mx2).x.test"
    with pytest.raises(CommandError, match="no tenant, campaign, site"):
        text("suspend", rollup)
    inject([cast.message("ann@x.test")])
    Lane.objects.update(site=rollup)
    assert answer("suspend", rollup)["key"] == rollup
    put_off(refusal_of_dispatch(rollup))
    assert answer("resume", rollup)["lanes"] == 1
    with pytest.raises(CommandError, match="no tenant, campaign, site"):
        text("suspend", "no name")


def refusal_of_dispatch(site: str) -> Wait:
    """A wait under the gate of a site."""
    until = to_ms(timezone.now() + timedelta(minutes=1))
    return Wait(until, "the site is suspended", waiting.suspended("site", site))


def test_suspending_again_changes_reason_and_end(cast: Cast) -> None:
    text("suspend", "acme", "--for", "1h", "--reason", "first")
    assert "until resumed" in text("suspend", "acme", "--reason", "second")
    row = Suspension.objects.get()
    assert (row.reason, row.ends_at) == ("second", None)


@pytest.mark.parametrize("name", ["acme", "acme-source", "x.test", "mx.x.test", "google"])
def test_what_a_suspension_put_off_goes_on_once_everybody_knows(cast: Cast, name: str) -> None:
    inject([cast.message("ann@x.test")])
    before = Recipient.objects.values().get()
    Lane.objects.update(site="mx.x.test")
    wiring.nudge().wait(0)
    text("suspend", name)
    put_off(refusal(cast, GOOGLE if name == "google" else "mx.x.test"))
    done = answer("resume", name)
    assert (done["lanes"], done["recipients"]) == (1, 0)
    lane = Lane.objects.get()
    soon = timezone.now() + timedelta(seconds=5)
    if name == "acme-source":  # believed for a while by processes that chose it before
        assert lane.due_at > soon - timedelta(seconds=5 - KEEP_SECONDS + 1)
    assert lane.due_at < soon
    assert (lane.gate, lane.hold_reason) == ("", "")
    # The recipient never noticed.
    assert Recipient.objects.values().get() == before
    assert wiring.nudge().wait(0) is True


def test_retry_times_survive_a_resume(cast: Cast) -> None:
    inject([cast.message("ann@x.test")])
    later = timezone.now() + timedelta(hours=1)
    Recipient.objects.update(state="deferred", attempts=1, next_attempt_at=later,
                             last_reply="451 4.7.1 try again later")  # fmt: skip
    Lane.objects.update(due_at=later)
    text("suspend", "x.test")
    assert answer("resume", "x.test")["recipients"] == 0
    assert Recipient.objects.get().next_attempt_at > timezone.now() + timedelta(minutes=59)


def test_a_name_with_two_meanings_needs_a_scope(cast: Cast) -> None:
    Source.objects.create(name="acme")
    with pytest.raises(CommandError, match="source and of a tenant: add --scope"):
        text("suspend", "acme")
    text("suspend", "acme", "--scope", "tenant")
    text("suspend", "acme", "--scope", "source")
    with pytest.raises(CommandError, match="add --scope"):
        text("resume", "acme")
    assert answer("resume", "acme", "--scope", "source")["scope"] == "source"
    assert Suspension.objects.get().scope == "tenant"


def test_wrong_words_are_named(cast: Cast) -> None:
    with pytest.raises(CommandError, match="source named 'nobody'"):
        text("suspend", "nobody")
    with pytest.raises(CommandError, match="no source named 'acme'"):
        text("suspend", "acme", "--scope", "source")
    with pytest.raises(CommandError, match="no campaign named 'acme/none'"):
        text("suspend", "acme/none", "--scope", "campaign")
    with pytest.raises(CommandError, match="--for: 'a while' is no duration"):
        text("suspend", "acme", "--for", "a while")
    with pytest.raises(CommandError, match="--for: that is longer"):
        text("suspend", "acme", "--for", "9999999d")
    with pytest.raises(CommandError, match="nothing named 'acme' is suspended"):
        text("resume", "acme")
    assert not Suspension.objects.exists()


def test_resume_names_a_status_that_still_stops_the_mail(cast: Cast) -> None:
    Source.objects.update(status="suspended")
    with pytest.raises(CommandError, match="status of source acme-source is suspended"):
        text("resume", "acme-source")
    Tenant.objects.update(status="suspended")
    text("suspend", "acme")
    assert "status of tenant acme is suspended" in text("resume", "acme")


def test_dispatch_waits_behind_the_gates_that_resume_opens(cast: Cast) -> None:
    from tasks.dispatch import Dispatcher

    inject([cast.message("ann@x.test")])
    row = Lane.objects.get()
    lane = DueLane(row.pk, row.tenant_id, row.stream_id, row.domain, row.site, 0, 100)
    dispatcher = Dispatcher()
    for name in ("acme", "x.test"):
        text("suspend", name)
        assert dispatcher.may_go(lane) is False
        row.refresh_from_db()
        assert row.gate
        assert answer("resume", name)["lanes"] == 1
        assert dispatcher.may_go(lane) is True
