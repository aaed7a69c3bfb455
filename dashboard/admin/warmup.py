"""Warmup schedules: stages, gates, and how a day is spread."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest

from dashboard.admin.base import Row
from dashboard.admin.inlines import RowInline
from dashboard.forms.warmup import StageFormSet
from mta.egress.models import WarmupSchedule, WarmupStage


class StageInline(RowInline):
    model = WarmupStage
    formset = StageFormSet
    fields = ["day", "per_day"]
    extra = 0


@admin.register(WarmupSchedule)
class WarmupScheduleAdmin(Row):
    list_display = ["name", "description", "days", "first", "last", "in_use"]
    search_fields = ["name", "description"]
    inlines = [StageInline]
    fieldsets = [
        (
            None,
            {
                "description": "Messages per day that a cold source may send to one provider. "
                "After the last day the source is warm.",
                "fields": ["name", "description"],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        annotations = {
            "n_days": Max("stages__day"),
            "most": Max("stages__per_day"),
            "least": Max("stages__per_day", filter=Q(stages__day=1)),
            "n_sources": Count("sources", distinct=True),
        }
        rows: QuerySet[Any] = super().get_queryset(request).annotate(**annotations)
        return rows

    @admin.display(description="Days", ordering="n_days")
    def days(self, row: Any) -> int:
        return row.n_days or 0

    @admin.display(description="First day")
    def first(self, row: Any) -> str:
        return f"{row.least or 0:,}"

    @admin.display(description="Largest day")
    def last(self, row: Any) -> str:
        return f"{row.most or 0:,}"

    @admin.display(description="Sources", ordering="n_sources")
    def in_use(self, row: Any) -> int:
        return int(row.n_sources)
