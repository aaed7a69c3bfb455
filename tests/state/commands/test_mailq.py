"""mailq: counts, order, filters, bounds."""

from __future__ import annotations

import pytest
from django.core.management import CommandError
from django.utils import timezone

from mta.egress.models import Suspension
from mta.spool.models import Lane
from tests.cast import Cast, make_cast
from tests.state.commands.run import answer, text
from tests.state.dashboard import scene


@pytest.fixture
def spool(cast: Cast) -> None:
    other = make_cast("globex", "globex.test")
    message = scene.message(cast.transactional)
    for number, state in enumerate(["scheduled", "deferred", "claimed", "held", "delivered"]):
        scene.recipient(message, f"r{number}@x.test", state)
    scene.recipient(scene.message(cast.bulk), "ann@y.test", "held")
    for name in ("bob", "cy", "dan", "eve", "fay"):
        scene.recipient(scene.message(other.bulk), f"{name}@x.test")
    Lane.objects.filter(domain="x.test", tenant=cast.tenant).update(
        site="mx.x.test", last_reply="451 4.7.1 later", last_reply_at=timezone.now()
    )


def lanes(*words: str) -> list[tuple[str, str, int, int, int]]:
    return [
        (line["tenant"], line["domain"], line["waiting"], line["in_flight"], line["held"])
        for line in answer("mailq", *words)["lines"]
    ]


@pytest.mark.usefixtures("spool")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], [("globex", "x.test", 5, 0, 0), ("acme", "x.test", 2, 1, 1),
              ("acme", "y.test", 0, 0, 1)]),
        (["--tenant", "acme"], [("acme", "x.test", 2, 1, 1), ("acme", "y.test", 0, 0, 1)]),
        (["--domain", "Y.test"], [("acme", "y.test", 0, 0, 1)]),
        (["--domain", "x.test", "--tenant", "globex"], [("globex", "x.test", 5, 0, 0)]),
        (["--state", "deferred"], [("acme", "x.test", 1, 0, 0)]),
        (["--state", "claimed"], [("acme", "x.test", 0, 1, 0)]),
        (["--state", "held", "--domain", "x.test"], [("acme", "x.test", 0, 0, 1)]),
        (["--limit", "1"], [("globex", "x.test", 5, 0, 0)]),
        (["--domain", "nowhere.test"], []),
    ],
)  # fmt: skip
def test_lanes(words: list[str], found: list[object]) -> None:
    assert lanes(*words) == found


@pytest.mark.usefixtures("spool")
def test_sums_are_those_of_all_queues() -> None:
    found = answer("mailq", "--limit", "1")
    sums = [found[key] for key in ("lanes", "waiting", "in_flight", "held")]
    assert sums == [3, 7, 1, 2]
    assert "the 1 longest are shown" in text("mailq", "--limit", "1")


@pytest.mark.usefixtures("spool")
def test_people_read_site_reply_and_reason() -> None:
    Suspension.objects.create(scope="tenant", key="globex")
    said = text("mailq")
    assert "mx.x.test" in said
    assert "451 4.7.1 later" in said
    assert "[tenant globex is suspended]" in said
    assert "7 waiting, 1 in flight, 2 held in 3 queues" in said


def test_an_empty_spool(cast: Cast) -> None:
    assert text("mailq") == "No mail is queued.\n"
    assert answer("mailq")["lines"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tenant", "nobody"], "--tenant: there is no tenant named 'nobody'"),
        (["--state", "delivered"], "--state"),
        (["--limit", "0"], "--limit: give at least 1"),
        (["--domain", "a b"], "--domain: 'a b' is no domain"),
    ],
)
def test_wrong_words_are_named(cast: Cast, words: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        text("mailq", *words)
