"""suspend and resume: what a name means, and that mail goes on when it may."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.utils import timezone

from mta import wiring
from mta.control import suspensions
from mta.delivery.batch import Batch
from mta.delivery.route import NoSource, source_for
from mta.egress.models import Source, Suspension
from mta.egress.sources import KEEP_SECONDS, forget, snapshot
from mta.spool.inject import inject
from mta.spool.models import Lane, Recipient
from mta.tenants.models import Tenant
from tests.cast import Cast
from tests.state.commands.run import answer, text


def refusal(cast: Cast) -> NoSource:
    """What resolve says of the cast's mail to x.test under the suspensions in force."""
    forget()
    batch = Batch(1, 1, cast.tenant.pk, cast.transactional.pk, "x.test", (1,), 0)
    found = source_for(batch, "mx.x.test", "", snapshot(), random.Random(1))
    assert isinstance(found, NoSource)
    return found


def put_off(reason: str) -> tuple[Lane, Recipient]:
    """The lane and recipient as a suspension leaves them."""
    until = timezone.now() + timedelta(seconds=60)
    Recipient.objects.update(next_attempt_at=until, last_reply=reason)
    Lane.objects.update(due_at=until, hold_reason=reason, site="mx.x.test")
    return Lane.objects.get(), Recipient.objects.get()


@pytest.mark.parametrize(
    ("name", "scope", "key"),
    [
        ("acme", "tenant", "acme"),
        ("acme-source", "source", "acme-source"),
        ("X.test", "site", "x.test"),
        ("never-seen.test", "site", "never-seen.test"),
        ("mx.x.test", "site", "mx.x.test"),
        ("google", "site", "google"),
    ],
)
def test_resume_undoes_what_suspend_did(cast: Cast, name: str, scope: str, key: str) -> None:
    inject([cast.message("ann@x.test")])
    found = answer("suspend", name, "--for", "2h", "--reason", "complaints")
    assert (found["scope"], found["key"], found["reason"]) == (scope, key, "complaints")
    row = Suspension.objects.get()
    assert row.ends_at is not None
    assert abs(row.ends_at - row.created_at - timedelta(hours=2)) < timedelta(seconds=1)
    assert row.created_by
    done = answer("resume", name)
    assert (done["scope"], done["key"]) == (scope, key)
    assert not Suspension.objects.exists()


def test_a_rollup_is_a_site_once_mail_went_there(cast: Cast) -> None:
    rollup = "(mx1|mx2).x.test"
    with pytest.raises(CommandError, match="no tenant, site or source"):
        text("suspend", rollup)
    inject([cast.message("ann@x.test")])
    Lane.objects.update(site=rollup)
    assert answer("suspend", rollup)["key"] == rollup
    assert answer("resume", rollup)["lanes"] == 1
    with pytest.raises(CommandError, match="no tenant, site or source"):
        text("suspend", "no name")


def test_suspending_again_changes_reason_and_end(cast: Cast) -> None:
    text("suspend", "acme", "--for", "1h", "--reason", "first")
    assert "until resumed" in text("suspend", "acme", "--reason", "second")
    row = Suspension.objects.get()
    assert (row.reason, row.ends_at) == ("second", None)


@pytest.mark.parametrize("name", ["acme", "acme-source", "x.test", "mx.x.test", "google"])
def test_what_a_suspension_put_off_goes_on_once_everybody_knows(cast: Cast, name: str) -> None:
    inject([cast.message("ann@x.test")])
    Lane.objects.update(site="mx.x.test")
    wiring.nudge().wait(0)
    text("suspend", name)
    reason = "the site is suspended" if name == "google" else refusal(cast).reason
    put_off(reason)
    done = answer("resume", name)
    assert (done["lanes"], done["recipients"]) == (1, 1)
    lane, recipient = Lane.objects.get(), Recipient.objects.get()
    soon = timezone.now() + timedelta(seconds=5)
    assert lane.due_at == recipient.next_attempt_at
    assert soon - timedelta(seconds=5 - KEEP_SECONDS + 1) < lane.due_at < soon
    assert lane.hold_reason == ""
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
    with pytest.raises(CommandError, match="no tenant, site or source named 'nobody'"):
        text("suspend", "nobody")
    with pytest.raises(CommandError, match="no source named 'acme'"):
        text("suspend", "acme", "--scope", "source")
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


def test_the_reasons_are_those_that_resolve_gives(cast: Cast) -> None:
    text("suspend", "acme")
    assert refusal(cast).reason in suspensions.PUT_OFF_BY["tenant"]
    text("resume", "acme")
    text("suspend", "mx.x.test")
    assert refusal(cast).reason in suspensions.PUT_OFF_BY["site"]
    text("resume", "mx.x.test")
    text("suspend", "acme-source")
    assert refusal(cast).reason.startswith(suspensions.NO_SOURCE)


def test_dispatch_gives_the_reasons_that_resume_knows(cast: Cast) -> None:
    from mta.spool.due import DueLane
    from tasks.dispatch import Dispatcher

    inject([cast.message("ann@x.test")])
    row = Lane.objects.get()
    lane = DueLane(row.pk, row.tenant_id, row.stream_id, row.domain, row.site, 0, 100)
    dispatcher = Dispatcher()
    for name, scope in (("acme", "tenant"), ("x.test", "site")):
        text("suspend", name)
        forget()
        assert dispatcher.may_start(replace(lane)) is False
        row.refresh_from_db()
        assert row.hold_reason in suspensions.PUT_OFF_BY[scope]
        assert answer("resume", name)["lanes"] == 1
        forget()
        assert dispatcher.may_start(lane) is True
