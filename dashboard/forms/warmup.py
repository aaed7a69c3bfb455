"""What is refused on the pages of warmup schedules."""

from __future__ import annotations

from django import forms
from unfold.forms import PaginationInlineFormSet


class StageFormSet(PaginationInlineFormSet):  # type: ignore[misc]  # unfold has no types
    """The days of a warmup schedule: 1, 2, 3, ... without a gap."""

    def clean(self) -> None:
        super().clean()
        days = sorted(
            form.cleaned_data["day"]
            for form in self.forms
            if form.cleaned_data.get("day") and not form.cleaned_data.get("DELETE")
        )
        gap = next((want for want, day in enumerate(days, 1) if day != want), None)
        if gap is not None:
            raise forms.ValidationError(
                f"Day {gap} is missing or given twice: number the days 1, 2, 3 without a gap."
            )
