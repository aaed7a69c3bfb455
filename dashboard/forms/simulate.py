"""What a person asks the simulator: stages, volume, receivers."""

from __future__ import annotations

from typing import Any

from django import forms

from dashboard.forms.warmup import stages_of, told
from mta.delivery.warmup_days import gates_of
from mta.egress.models import WarmupSchedule
from mta.policy.simulate import Plan, Receivers, SimulationError
from mta.policy.volume import USUAL, VolumeError, parse_shares, split
from mta.policy.warmup import WarmupError, load_templates, parse_stages
from mta.policy.warmup_gate import Gates

MOST = 1_000_000_000


def number(label: str, low: int, high: int, **kwargs: Any) -> forms.IntegerField:
    return forms.IntegerField(min_value=low, max_value=high, label=label, **kwargs)


def share(label: str) -> forms.FloatField:
    return forms.FloatField(
        min_value=0, max_value=1, label=label, widget=forms.NumberInput(attrs={"step": "0.001"})
    )


class SimulateForm(forms.Form):
    """The plan is in `plan` once the form is valid."""

    schedule = forms.ChoiceField(label="Schedule")
    stages = forms.CharField(
        required=False, max_length=8000, label="Own stages",
        widget=forms.TextInput(attrs={"placeholder": "50 100 200, or 50, 1.5, 20"}),
    )  # fmt: skip
    volume = number("Messages a day", 0, MOST, required=False)
    campaign = number("Campaign on day 1", 0, MOST, required=False)
    providers = forms.CharField(max_length=500, label="Shares")
    sources = number("Cold sources", 1, 1000)
    spread = number("Spread, hours", 0, 24)
    arrival = number("Mail comes in over, hours", 0, 24)
    overflow = forms.BooleanField(required=False, label="The excess overflows to warm sources")
    delivered = share("Delivered")
    deferred = share("Deferred")
    blocked = share("Blocked")
    days = number("Days, 0: to the end", 0, 400)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = WarmupSchedule.objects.prefetch_related("stages")
        schedule: Any = self.fields["schedule"]
        schedule.choices = [
            *((f"row:{row.pk}", row.name) for row in rows),
            *((f"template:{name}", f"{name}: {told(stages)}")
              for name, stages in load_templates().items()),
            ("own", "own stages"),
        ]  # fmt: skip
        self.plan: Plan | None = None

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.errors:
            return values
        try:
            self.plan = plan_of(values)
        except WarmupError as error:
            self.add_error("stages", sentence(error))
        except VolumeError as error:
            self.add_error("providers", sentence(error))
        except SimulationError as error:
            self.add_error(None, sentence(error))
        return values


def sentence(error: Exception) -> str:
    return f"{str(error)[:1].upper()}{str(error)[1:]}."


#: What the page plays before anybody has asked.
FIRST: dict[str, Any] = {
    "schedule": "template:careful", "stages": "", "volume": 20_000, "campaign": 0,
    "providers": USUAL, "sources": 1, "spread": 12, "arrival": 12, "overflow": True,
    "delivered": 0.98, "deferred": 0.01, "blocked": 0, "days": 30,
}  # fmt: skip


def plan_of(values: dict[str, Any]) -> Plan:
    """The plan; WarmupError, VolumeError or SimulationError when it cannot be played."""
    kind, _, name = values["schedule"].partition(":")
    gates = Gates()
    if kind == "row":
        row = WarmupSchedule.objects.get(pk=name)
        stages, gates = tuple(stages_of(row)), gates_of(row)
    else:
        stages = load_templates()[name] if kind == "template" else parse_stages(values["stages"])
    shares = parse_shares(values["providers"])
    campaign = values.get("campaign") or 0
    return Plan(
        stages=stages,
        daily=split(values.get("volume") or 0, shares),
        campaign=split(campaign, shares) if campaign else {},
        sources=values["sources"],
        spread_hours=values["spread"],
        arrival_hours=values["arrival"],
        overflow=values["overflow"],
        gates=gates,
        receivers=Receivers(values["delivered"], values["deferred"], values["blocked"]),
        days=values["days"],
    )
