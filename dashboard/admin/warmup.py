"""Warmup schedules: stages, gates, and how a day is spread."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Max, Min, QuerySet
from django.http import HttpRequest

from dashboard.admin.base import Row
from dashboard.forms.warmup import ScheduleForm, stages_of
from mta.egress.models import WarmupSchedule


@admin.register(WarmupSchedule)
class WarmupScheduleAdmin(Row):
    form = ScheduleForm
    list_display = ["name", "description", "days", "first", "last", "spread", "in_use"]
    search_fields = ["name", "description"]
    readonly_fields = ["stages_told"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """With the stages as text for those who may change them, else as they are."""
        may = self.has_change_permission(request, obj) if obj else True
        return [
            (None, {"fields": [("name", "description")]}),
            (
                "Stages",
                {
                    "description": "Messages per day that a cold source may send to one provider. "
                    "A day that delivered enough within the gates leads to the next stage; after "
                    "the last one the source is warm.",
                    "fields": ["template", "stages", "spread_hours"] if may
                    else ["stages_told", "spread_hours"],
                },
            ),
            (
                "Gates",
                {
                    "description": "Shares from 0 to 1. Over a gate the stage stays; at twice a "
                    "gate it goes one back.",
                    "fields": [
                        ("min_sent_share", "max_deferral_rate"),
                        ("max_block_rate", "max_complaint_rate"),
                        "restart_after_days",
                    ],
                },
            ),
        ]  # fmt: skip

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.store_stages()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        annotations = {
            "n_days": Max("stages__day"),
            "most": Max("stages__per_day"),
            "least": Min("stages__per_day"),
            "n_sources": Count("sources", distinct=True),
        }
        rows: QuerySet[Any] = super().get_queryset(request).annotate(**annotations)
        return rows

    @admin.display(description="Messages per day")
    def stages_told(self, row: WarmupSchedule) -> str:
        return " ".join(f"{number:,}" for number in stages_of(row))

    @admin.display(description="Stages", ordering="n_days")
    def days(self, row: Any) -> int:
        return row.n_days or 0

    @admin.display(description="First")
    def first(self, row: Any) -> str:
        return f"{row.least or 0:,}"

    @admin.display(description="Last")
    def last(self, row: Any) -> str:
        return f"{row.most or 0:,}"

    @admin.display(description="Spread", ordering="spread_hours")
    def spread(self, row: WarmupSchedule) -> str:
        return f"{row.spread_hours} h" if row.spread_hours else "none"

    @admin.display(description="Sources", ordering="n_sources")
    def in_use(self, row: Any) -> int:
        return int(row.n_sources)
