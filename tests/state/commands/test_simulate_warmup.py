"""`manage.py simulate_warmup`."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from mta.egress.models import WarmupSchedule, WarmupStage
from tests.state.commands.run import answer, text

pytestmark = pytest.mark.django_db


def test_a_campaign_over_typed_stages() -> None:
    said = text(
        "simulate_warmup", "--stages", "50 100 200", "--campaign", "300", "--providers", "google=1",
        "--deferred", "0", "--delivered", "1",
    )  # fmt: skip
    assert "the campaign ends on day 3" in said
    assert "advance: 50 of 50 delivered" in said


def test_json_of_a_schedule_with_its_own_gates() -> None:
    schedule = WarmupSchedule.objects.create(name="mine", min_sent_share=0.5)
    WarmupStage.objects.create(schedule=schedule, day=1, per_day=100)
    told = answer(
        "simulate_warmup", "--schedule", "mine", "--volume", "60", "--providers", "google=1",
        "--days", "2",
    )  # fmt: skip
    first, second = (day["providers"][0] for day in told["days"])
    assert (first["cap"], first["cold"], first["decision"]["move"]) == (100, 60, "done")
    assert second["cap"] is None
    assert told["warm_from"] == {"google": 2}
    assert told["campaign_ends"] is None


def test_a_template_that_comes_with_mailmill() -> None:
    said = text("simulate_warmup", "--template", "careful", "--volume", "1,000", "--overflow")
    assert said.count("google") >= 30


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--stages", "100 50", "--volume", "5"], "stage 2 falls from 100 to 50"),
        (["--stages", "100"], "give messages a day, or a campaign"),
        (["--template", "bold", "--volume", "5"], "--template bold: there are careful, daily"),
        (["--schedule", "none", "--volume", "5"], "--schedule none: there are"),
        (["--stages", "5", "--volume", "5", "--providers", "x"], "'x' is no share"),
        (["--stages", "5", "--volume", "-5"], "--volume: '-5' is no whole number|expected one arg"),
        (["--volume", "5"], "one of the arguments --schedule --template --stages is required"),
        (["--stages", "5", "--volume", "5", "--spread", "30"], "0 to 24 hours"),
        (["--stages", "5", "--volume", "5", "--delivered", "2"], "shares are 0 to 1"),
    ],
)
def test_what_cannot_be_played_is_refused(words: list[str], problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        text("simulate_warmup", *words)
