"""What every page of the admin shares: tenant scope, scoped choices, bounded counts.

Rule 1: a person reaches only rows that dashboard.roles lets them see, by list, by URL, by choice
        of a form and by autocomplete alike.
Rule 2: big tables are counted up to COUNT_CAP and never changed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet, URLField
from django.forms import Field
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from dashboard import roles
from dashboard.forms.labels import words_for

if TYPE_CHECKING:  # Django's classes take type arguments in the stubs only; unfold has no types
    from django.contrib.admin import ModelAdmin
    from django.contrib.admin.views.main import ChangeList

    AdminBase = ModelAdmin[Any]
    PaginatorBase = Paginator[Any]
else:
    from unfold.admin import ModelAdmin as AdminBase
    from unfold.views import ChangeList

    PaginatorBase = Paginator

#: Rows of a big table that the admin pages through; what lies deeper is found by search.
COUNT_CAP = 10_000

__all__ = ["ChoicesDropdownFilter", "HotAdmin", "Row", "SeenFilter"]


class CappedPaginator(PaginatorBase):
    """Counts no further than COUNT_CAP rows, so that a page costs the same at any size."""

    template_name = "dashboard/pagination.html"

    @property
    def capped(self) -> bool:
        return self.count >= COUNT_CAP

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNT_CAP].count())


class CappedChangeList(ChangeList):
    """A list whose full size nobody counts."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


class SeenFilter(RelatedDropdownFilter):  # type: ignore[misc]  # unfold has no types
    """A drop-down of related rows that offers only those the person may see."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: ModelAdmin[Any]
    ) -> list[tuple[Any, str]]:
        rows = roles.seen(request.user, field.remote_field.model._default_manager.all())
        return [(row.pk, str(row)) for row in rows[:500]]


class Scoped:
    """Permissions and rows by role; mixed into admins and inlines before Django's class."""

    model: type[Model]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return roles.may(request.user, self.model, "view")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # An inline is asked with its parent row.
        return self._may_touch(request, obj, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_touch(request, obj, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_touch(request, obj, "delete")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return roles.may(request.user, self.model, "view")

    def _may_touch(self, request: HttpRequest, obj: Any, action: str) -> bool:
        if not roles.may(request.user, self.model, action):
            return False
        if obj is None or roles.is_operator(request.user):
            return True
        return roles.owns(request.user, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]  # the mixed-in class has it
        return roles.seen(request.user, rows)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        words = words_for(str(self.model._meta.model_name), db_field.name)
        if words.label:
            kwargs.setdefault("label", words.label)
        if words.help:
            kwargs.setdefault("help_text", words.help)
        if isinstance(db_field, URLField):
            kwargs.setdefault("assume_scheme", "https")
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]  # as above

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        remote: Any = db_field.remote_field.model
        rows = kwargs.get("queryset")
        if rows is None:
            rows = remote._default_manager.all()
        kwargs["queryset"] = roles.seen(request.user, rows)
        field: Field | None = super().formfield_for_foreignkey(  # type: ignore[misc]  # as above
            db_field, request, **kwargs
        )
        if field is not None and field.required and not roles.is_operator(request.user):
            prefer_only_choice(field, kwargs["queryset"])
        return field

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        rows = db_field.remote_field.model._default_manager.all()
        kwargs["queryset"] = roles.seen(request.user, rows)
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]  # as above


def prefer_only_choice(field: Field, rows: QuerySet[Any]) -> None:
    """A marketer of one tenant does not have to choose it."""
    first = list(rows.values_list("pk", flat=True)[:2])
    if len(first) == 1:
        field.initial = first[0]


class Row(Scoped, AdminBase):
    """A configuration table that people edit."""

    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    warn_unsaved_form = True
    compressed_fields = True
    list_filter_submit = False
    list_filter_sheet = False


class HotAdmin(Row):
    """A table that the hot path writes: looked at, never changed by hand."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_max_show_all = 50
    #: Sorting a big table by a column without an index is a full sort.
    sortable_by: ClassVar[Any] = ()
    list_display_links: Any = None
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CappedChangeList

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields or ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
