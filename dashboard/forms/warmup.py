"""Forms of warmup: a schedule's stages as text or from a template, and what to simulate."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from dashboard.forms.words import RowForm
from mta.egress.models import WarmupSchedule, WarmupStage
from mta.policy.warmup import WarmupError, load_templates, parse_stages

AS_WRITTEN = "as written below"


class ScheduleForm(RowForm):
    """A schedule whose stages are one text: a list, or start, factor, days; or a template's."""

    template = forms.ChoiceField(
        required=False, widget=UnfoldAdminSelectWidget,
        help_text="A template that comes with Mailmill replaces the stages below.",
    )  # fmt: skip
    stages = forms.CharField(
        required=False, max_length=8000, label="Messages per day",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Stage by stage, to one provider: 50 100 200 400. Or start, factor, days: "
        "50, 1.5, 20. Stages never fall.",
    )  # fmt: skip

    class Meta:
        model = WarmupSchedule
        fields = [
            "name", "description", "spread_hours", "min_sent_share", "max_deferral_rate",
            "max_block_rate", "max_complaint_rate", "restart_after_days",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(name, f"{name}: {told(rows)}") for name, rows in load_templates().items()]
        if "template" in self.fields:  # not on a page that may only be looked at
            template: Any = self.fields["template"]
            template.choices = [("", AS_WRITTEN), *names]
            self.fields["stages"].initial = " ".join(map(str, stages_of(self.instance)))

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        try:
            values["stages"] = (
                load_templates()[values["template"]]
                if values.get("template")
                else parse_stages(values.get("stages") or "")
            )
        except WarmupError as error:
            self.add_error("stages", f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return values

    def store_stages(self) -> None:
        """Replace the schedule's stages, when they are others; the caller's transaction."""
        wanted = tuple(self.cleaned_data["stages"])
        if wanted == tuple(stages_of(self.instance)):
            return
        self.instance.stages.all().delete()
        WarmupStage.objects.bulk_create(
            WarmupStage(schedule=self.instance, day=day, per_day=number)
            for day, number in enumerate(wanted, 1)
        )


def stages_of(schedule: WarmupSchedule) -> list[int]:
    """Its messages per day, in their order; none before it is saved."""
    if schedule._state.adding:
        return []
    return list(schedule.stages.order_by("day").values_list("per_day", flat=True))


def told(stages: tuple[int, ...]) -> str:
    return f"{stages[0]:,} to {stages[-1]:,} in {len(stages)} days"
