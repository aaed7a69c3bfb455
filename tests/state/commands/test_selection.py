"""--filter: every key chooses, every wrong word is named."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.utils import timezone

from mta.control.changes import TAKES
from mta.control.selection import KEYS, read
from mta.policy.lifecycle import State
from mta.spool.ids import EPOCH_MS, RANDOM_BITS
from mta.spool.models import Lane
from mta.storage.fields import to_ms
from tests.cast import Cast, make_cast
from tests.state.commands.run import text
from tests.state.dashboard import scene

HOLDS = TAKES["hold"]


@pytest.fixture
def spool(cast: Cast) -> None:
    """One recipient that every key tells from the others."""
    other = make_cast("globex", "globex.test")
    old = to_ms(timezone.now() - timedelta(hours=3)) - EPOCH_MS
    first = scene.message(cast.bulk, campaign="may")
    scene.recipient(first, "ann@xn--bcher-kva.test", "deferred", id=old << RANDOM_BITS)
    Lane.objects.filter(domain="xn--bcher-kva.test").update(site="mx.bcher.test")
    scene.recipient(scene.message(cast.transactional), "bob@x.test")
    scene.recipient(scene.message(other.transactional, campaign="june"), "cy@x.test")


@pytest.mark.usefixtures("spool")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["tenant=acme"], {"ann", "bob"}),
        (["tenant=acme", "tenant=globex"], {"ann", "bob", "cy"}),
        (["stream=bulk"], {"ann"}),
        (["stream=transactional", "tenant=globex"], {"cy"}),
        (["campaign=may"], {"ann"}),
        (["domain=Bücher.test"], {"ann"}),
        (["domain=x.test", "tenant=acme"], {"bob"}),
        (["site=mx.bcher.test"], {"ann"}),
        (["address=bob@X.test"], {"bob"}),
        (["state=deferred"], {"ann"}),
        (["state=deferred", "state=scheduled"], {"ann", "bob", "cy"}),
        (["older_than=2h"], {"ann"}),
        (["older_than=4h"], set()),
    ],
)
def test_each_key_chooses(words: list[str], found: set[str]) -> None:
    rows = read(words, HOLDS).rows(HOLDS)
    assert {row.address.partition("@")[0] for row in rows} == found


@pytest.mark.usefixtures("spool")
@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("tenant", "'tenant' is not KEY=VALUE"),
        ("colour=red", "'colour=red' is not KEY=VALUE"),
        ("tenant=", "'tenant=' is not KEY=VALUE"),
        ("tenant=nobody", "no tenant of that name"),
        ("stream=nothing", "no stream of any tenant"),
        ("domain=a b", "is no domain"),
        ("address=ann", "no mail address"),
        ("state=claimed", "never touched"),
        ("state=delivered", "give one of deferred, scheduled"),
        ("older_than=long", "--filter: 'long' is no duration"),
        ("older_than=1h,2h", "is no duration"),
    ],
)
def test_wrong_words_are_named(word: str, says: str) -> None:
    with pytest.raises(CommandError, match=says) as caught:
        text("hold", "--filter", word, "--yes")
    assert caught.value.returncode == 1


def test_saying_nothing_is_not_everything(cast: Cast) -> None:
    for action in TAKES.keys() - {"move"}:
        with pytest.raises(CommandError, match="which mail is meant"):
            text(action, "--yes")


def test_every_key_is_documented_in_the_help(
    cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        text("hold", "--help")
    said = capsys.readouterr().out
    assert all(key in said for key in KEYS)


def test_no_action_takes_what_is_claimed_or_final() -> None:
    for states in TAKES.values():
        assert states <= {State.SCHEDULED, State.DEFERRED, State.HELD}
