"""GET /campaigns/NAME/forecast."""

from __future__ import annotations

from mta.spool.models import Recipient
from tests.state.api.program import Program
from tests.state.api.requests import message


def test_a_campaign_that_waits(program: Program, stranger: Program) -> None:
    program.call("POST", "messages", message("a@x.test", "b@y.test", campaign="s/1"), expect=202)
    told = program.json("GET", "campaigns/s%2F1/forecast")
    assert (told["campaign"], told["waiting"], told["held"]) == ("s/1", 2, 0)
    assert told["done_at"] is not None
    assert {line["reach"] for line in told["lines"]} == {"x.test", "y.test"}
    assert not any(line["known"] for line in told["lines"])
    assert told["assumptions"]
    stranger.call("GET", "campaigns/s%2F1/forecast", expect=404)


def test_a_campaign_that_is_done(program: Program) -> None:
    program.call("POST", "messages", message("a@x.test", campaign="spring"), expect=202)
    Recipient.objects.update(state="delivered", next_attempt_at=None)
    told = program.json("GET", "campaigns/spring/forecast")
    assert (told["waiting"], told["lines"]) == (0, [])
    assert told["done_at"] == told["at"]


def test_what_is_no_campaign(program: Program) -> None:
    program.call("GET", "campaigns/nothing/forecast", expect=404)
    program.call("GET", "campaigns/%00/forecast", expect=404)
    program.call("GET", "campaigns/nothing/forecast?when=now", expect=422)
