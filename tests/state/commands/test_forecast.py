"""`manage.py forecast`."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from mta.spool.models import Recipient
from tests.cast import Cast, make_cast
from tests.state.commands.run import answer, text
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


def test_a_campaign_for_people_and_as_json(cast: Cast) -> None:
    desk.injected(cast, "a@x.test", "b@x.test", campaign="spring")
    said = text("forecast", "spring")
    assert "acme: spring, 2 waiting" in said
    assert "x.test (not looked up)" in said
    assert "assumed: no other mail waits" in said
    told = answer("forecast", "spring", "--tenant", "acme")
    assert (told["waiting"], told["lines"][0]["waiting"]) == (2, 2)
    assert told["done_at"].endswith("Z")


def test_what_is_held_waits_for_a_person(cast: Cast) -> None:
    desk.injected(cast, "a@x.test", campaign="spring")
    Recipient.objects.update(state="held")
    assert "1 are held: they wait for a person" in text("forecast", "spring")


def test_what_cannot_be_told_is_refused(cast: Cast) -> None:
    other = make_cast("globex", "globex.test")
    for one in (cast, other):
        desk.injected(one, "a@x.test", campaign="spring")
    desk.injected(other, "a@x.test", campaign="done")
    Recipient.objects.filter(message__campaign="done").update(
        state="delivered", next_attempt_at=None
    )
    for words, problem in (
        (["spring"], "give --tenant, one of acme, globex"),
        (["nothing"], "there is no campaign nothing"),
        ([""], "give the name of a campaign"),
        (["spring", "--tenant", "x"], "there is no tenant of this name"),
        (["done", "--tenant", "acme"], "acme has no campaign done"),
        (["done"], "nothing of the campaign done waits"),
    ):
        with pytest.raises(CommandError, match=problem):
            text("forecast", *words)
