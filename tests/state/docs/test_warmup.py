"""The pages about warmup: every field, gate, kind and order, and the picture as it is drawn."""

from __future__ import annotations

from pathlib import Path

from django.db import models

from mta.control.warmup import ORDERS
from mta.delivery.warmup_days import GRACE, KEEP_DAYS
from mta.egress.models import WarmupDay, WarmupSchedule, WarmupState
from mta.policy import warmup_gate
from mta.policy.warmup import load_templates
from mta.policy.warmup_gate import Gates, Move, Status
from tests.unit.docs.pages import by_code
from tests.unit.docs.warmup_picture import PATH, draw, played

DOCS = Path(__file__).resolve().parents[3] / "docs"
REFERENCE = DOCS / "reference" / "warmup.md"


def names(model: type[models.Model]) -> set[str]:
    return {field.name for field in model._meta.concrete_fields}


def test_every_field_is_told() -> None:
    told = set(by_code(REFERENCE))
    schedule = names(WarmupSchedule) - {"id"}
    state = names(WarmupState) - {"id", "source", "reach"}
    day = names(WarmupDay) - {"id", "source", "reach", "day"}
    kinds = {f"warmup_{move}" for move in Move}
    assert told == schedule | {"stages"} | state | day | kinds


def test_the_defaults_are_those_of_model_and_gates() -> None:
    told = by_code(REFERENCE)
    gates = Gates()
    for field in WarmupSchedule._meta.concrete_fields:
        if field.has_default():
            assert told[field.name][1] == str(field.default)
            assert getattr(gates, field.name, field.default) == field.default
    assert f"kept for {KEEP_DAYS} days" in REFERENCE.read_text()


def test_the_words_of_status_and_orders_are_told() -> None:
    status = by_code(REFERENCE)["status"][1]
    assert all(f"`{one}`" in status for one in Status)
    how = (DOCS / "how-to" / "warm-up-an-address.md").read_text()
    for order in ORDERS:
        assert f"**{order.replace('_', ' ').capitalize()}**" in how
    for name, stages in load_templates().items():
        assert f"| `{name}` | {stages[0]}" in how


def test_the_classes_and_numbers_are_those_of_the_gate() -> None:
    page = (DOCS / "explanation" / "warmup.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for classes, meaning in (
        (warmup_gate.BLOCKS, "blocked"), (warmup_gate.MAILBOX, "attempted |"),
        (warmup_gate.UNJUDGED, "nothing"),
    ):  # fmt: skip
        row = next(line for line in rows if all(f"`{name}`" in line for name in classes))
        assert meaning in row
    assert f"at least {warmup_gate.CASES_TO_STEP_BACK} cases: a bad day" in page
    assert f"at least {warmup_gate.CASES_TO_HOLD} cases: hold" in page
    assert (warmup_gate.BAD, GRACE.total_seconds()) == (2.0, 300)


def test_the_picture_is_the_simulators() -> None:
    assert PATH.read_text() == draw(played()), "python -m tests.unit.docs.warmup_picture"
    assert f"]({PATH.name})" in (DOCS / "explanation" / "warmup.md").read_text()
