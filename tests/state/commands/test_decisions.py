"""decisions: who ordered what, found by time, kind, person, tenant and source."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError

from mta.events import decisions
from mta.events.models import Decision
from mta.spool.inject import inject
from mta.storage.fields import from_ms, now_ms
from tests.cast import Cast
from tests.state.commands.run import answer, text


def kinds(*words: str) -> list[str]:
    return [one["kind"] for one in answer("decisions", *words)["decisions"]]


def test_every_order_over_mail_is_told_with_its_filter(cast: Cast) -> None:
    inject([cast.message("ann@x.test", "bob@x.test", campaign="spring")])
    words = ("--filter", "campaign=spring", "--yes", "--reason", "a test")
    for order in ("hold", "release", "retry", "bounce"):
        text(order, *words)
    text(order, *words)  # nothing is left: nothing is told
    found = answer("decisions")["decisions"]
    assert [one["kind"] for one in found] == ["bounce", "retry", "release", "hold"]
    for one in found:
        assert (one["count"], one["campaign"], one["reason"]) == (2, "spring", "a test")
        assert one["actor"]
        assert one["data"]["filter"] == {"campaign": ["spring"]}


def test_they_are_found_by_what_they_are_about(cast: Cast) -> None:
    decisions.record("warm", actor="warmup", source="acme-source", reason="day 3 went well")
    decisions.record("hold", actor="olga", tenant_id=cast.tenant.pk, count=3)
    old: Any = from_ms(now_ms() - 7_200_000)
    Decision.objects.create(at=old, actor="olga", kind="move")
    assert kinds() == ["move", "hold", "warm"]
    assert kinds("--since", "1h") == ["hold", "warm"]
    assert kinds("--kind", "warm") == ["warm"]
    assert kinds("--actor", "olga") == ["move", "hold"]
    assert kinds("--tenant", "acme") == ["hold"]
    assert kinds("--source", "acme-source") == ["warm"]
    assert kinds("--limit", "1") == ["move"]
    said = text("decisions", "--source", "acme-source")
    assert "day 3 went well" in said
    assert "Nothing was decided" in text("decisions", "--kind", "drain")


def test_wrong_words_are_named(db: None) -> None:
    with pytest.raises(CommandError, match="--since: 'long' is no duration"):
        text("decisions", "--since", "long")
    with pytest.raises(CommandError, match="--tenant: there is no tenant"):
        text("decisions", "--tenant", "nobody")
    with pytest.raises(CommandError, match="--limit: give at least 1"):
        text("decisions", "--limit", "0")
