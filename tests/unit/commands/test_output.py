"""How commands print."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from mta.management.output import as_json, clip, printable, table


@dataclass(frozen=True)
class Inner:
    at: datetime


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    counts: dict[str, int]


def test_json_of_values() -> None:
    east = timezone(timedelta(hours=2))
    at = datetime(2026, 5, 1, 14, 0, 0, 120_000, tzinfo=east)
    found = json.loads(as_json(Outer((Inner(at), Inner(at.astimezone(UTC))), {"a": 1})))
    assert found == {"inner": [{"at": "2026-05-01T12:00:00.120Z"}] * 2, "counts": {"a": 1}}


def test_columns_stand_under_their_titles() -> None:
    rows = [("x.test", 5, "451 later"), ("a-longer-domain.test", 1200, "")]
    assert table(("domain", "waiting", "reply"), rows).splitlines() == [
        "domain                waiting  reply",
        "x.test                      5  451 later",
        "a-longer-domain.test     1200",
    ]


def test_only_the_last_column_may_be_long() -> None:
    lines = table(("a", "b"), [("x" * 50, "y" * 50)], widest=10).splitlines()
    assert lines[1] == "x" * 9 + "…  " + "y" * 50
    assert clip("abc", 3) == "abc"


def test_terminals_get_nothing_to_obey() -> None:
    assert printable("a\x1b[31m\u202eb\n") == "a?[31m?b?"
    assert "\x1b" not in table(("a",), [("\x1b[2J",)])
