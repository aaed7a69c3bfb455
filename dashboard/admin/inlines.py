"""Rows edited inside their parent's page, at the same number of queries for 3 and for 30."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.widgets import AutocompleteSelect
from django.http import HttpRequest

from dashboard.admin.base import Scoped

if TYPE_CHECKING:  # takes type arguments in the stubs only; unfold has no types
    from django.contrib.admin import TabularInline

    InlineBase = TabularInline[Any, Any]
else:
    from unfold.admin import TabularInline as InlineBase


class KnownSelect(AutocompleteSelect):
    """An autocomplete that asks the database for nothing the page has read already.

    Django's own asks once for each row shown.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Value to text; shared by the copies that the forms of a formset make.
        self.known: dict[str, str] = {}

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        chosen = [str(one) for one in value if one not in {None, ""}]
        if not self.known.keys() >= set(chosen):
            return super().optgroups(name, value, attr)
        empty = [] if self.is_required else [self.create_option(name, "", "", False, 0)]
        options = [
            self.create_option(name, one, self.known[one], True, place)
            for place, one in enumerate(chosen, 1)
        ]
        return [(None, [*empty, *options], 0)]


class RowInline(Scoped, InlineBase):
    """Rows edited inside their parent's page."""

    extra = 0
    hide_title = True

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = KnownSelect(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """The formset, its autocompletes told what the rows of `obj` have chosen."""
        formset: Any = super().get_formset(request, obj, **kwargs)
        names = [n for n in self.get_autocomplete_fields(request) if n in formset.form.base_fields]
        if obj is None or obj.pk is None or not names:
            return formset
        for row in self.get_queryset(request).filter(**{formset.fk.name: obj}):
            for name in names:
                widget = formset.form.base_fields[name].widget.widget
                widget.known[str(getattr(row, f"{name}_id"))] = str(getattr(row, name))
        return formset
