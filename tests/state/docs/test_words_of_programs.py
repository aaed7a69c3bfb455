"""Event kinds and fields, API addresses, problems, commands and queues are in their pages."""

from __future__ import annotations

import re

import pytest
from django.core.management import get_commands
from django.urls import URLPattern

from mta.api import problems, urls
from mta.api.shapes import EventShape
from mta.api.submission import MessageRequest
from mta.events.models import Kind
from tasks import queues
from tasks.app import app
from tests.unit.docs.pages import CODE, REFERENCE, by_code, rows

EVENTS = by_code(REFERENCE / "events.md")
API = REFERENCE / "api.md"
METHODS = ("get", "post", "put", "patch", "delete")


def test_every_event_kind_and_field() -> None:
    assert set(EVENTS) == set(Kind.values) | set(EventShape().fields)


def operations() -> dict[str, str]:
    """ "GET /api/v1/..." of every view, with the scope it needs."""
    found = {}
    for pattern in urls.urlpatterns:
        if not isinstance(pattern, URLPattern) or not str(pattern.pattern).startswith("api/v1/"):
            continue
        view = pattern.callback.view_class  # type: ignore[attr-defined]  # as_view() sets it
        path = re.sub(r"<(?:str|path):(\w+)>", r"{\1}", f"/{pattern.pattern}")
        for method in METHODS:
            if hasattr(view, method):
                verb = method.upper()
                found[f"{verb} {path}"] = getattr(view, "scopes", {}).get(verb, "")
    return found


def test_every_operation_with_its_scope() -> None:
    told = {name: cells[1] for name, cells in by_code(API).items() if name.startswith(VERBS)}
    assert told == operations()


VERBS = tuple(f"{method.upper()} " for method in METHODS)


def test_every_member_of_a_message() -> None:
    members = {word for cells in rows(API) for word in CODE.findall(cells[0])}
    assert set(MessageRequest().fields) <= members


def test_every_problem_with_its_status() -> None:
    told: dict[str, int] = {}
    for cells in rows(API):
        if len(cells) == 5:
            told |= {CODE.findall(cells[0])[0]: int(cells[1])}
            told |= {CODE.findall(cells[3])[0]: int(cells[4])} if cells[3] else {}
    assert told == {kind: status for kind, (status, _) in problems.KINDS.items()}


@pytest.mark.parametrize(
    "name", sorted(name for name, where in get_commands().items() if where == "mta")
)
def test_every_command(name: str) -> None:
    text = (REFERENCE / "commands.md").read_text()
    assert re.search(rf"^#+ `{name}\b", text, re.MULTILINE)


def test_every_queue_and_upkeep_task() -> None:
    told = by_code(REFERENCE / "queues.md")
    for queue in queues.declared():
        name = re.sub(r"tail-\d+", "tail-NN", queue.name)
        assert name in told
    schedule = app.conf.beat_schedule
    assert {entry["task"] for entry in schedule.values()} <= set(told)
