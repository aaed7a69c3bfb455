"""People, API keys and SMTP credentials; a secret is shown once, when it is made."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from dashboard import display, roles
from dashboard.admin.base import ChoicesDropdownFilter, Row, SeenFilter
from dashboard.forms.tenants import CredentialForm, OperatorCredentialForm, PersonForm
from dashboard.forms.words import RowForm
from dashboard.secrets_shown import show_once
from mta.tenants.credentials import create_api_key, create_smtp_credential
from mta.tenants.models import ApiKey, Credential, SmtpCredential, User

admin.site.unregister(Group)  # roles decide here, not groups


class PersonChangeForm(PersonForm, UserChangeForm):  # type: ignore[misc]  # unfold has no types
    """Changing a person."""


class PersonCreationForm(PersonForm, UserCreationForm):  # type: ignore[misc]  # unfold has no types
    """Adding a person."""

    class Meta:
        model = User
        fields = ["username", "role", "tenants"]


@admin.register(User)
class PersonAdmin(Row, UserAdmin):  # type: ignore[type-arg]  # only the stubs take an argument
    form = PersonChangeForm
    add_form = PersonCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "role_label", "of_tenants", "is_active", "seen"]
    list_filter = [("role", ChoicesDropdownFilter), ("tenants", SeenFilter), "is_active"]
    search_fields = ["username", "first_name", "last_name", "email", "tenants__name"]
    search_help_text = "Name, address or tenant"
    autocomplete_fields = ["tenants"]
    filter_horizontal = []
    ordering = ["username"]
    seen = display.instant_column("last_login", "Last login")
    fieldsets = [
        (None, {"fields": ["username", "password", "is_active"]}),
        ("Person", {"fields": [("first_name", "last_name"), "email"]}),
        (
            "Role",
            {
                "description": "Operators see and change everything; marketers what belongs to "
                "their tenants.",
                "fields": ["role", "tenants"],
            },
        ),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "usable_password", "password1", "password2"]}),
        ("Role", {"fields": ["role", "tenants"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("tenants")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = True  # everyone who can log in comes for the dashboard
        super().save_model(request, obj, form, change)

    @admin.display(description="Name", ordering="last_name")
    def full_name(self, row: User) -> str:
        return row.get_full_name()

    @admin.display(description="Role", ordering="role")
    def role_label(self, row: User) -> SafeString:
        return display.label("superuser", "busy") if row.is_superuser else display.label(row.role)

    @admin.display(description="Tenants")
    def of_tenants(self, row: User) -> str:
        return ", ".join(tenant.name for tenant in row.tenants.all())


class CredentialAdmin(Row):
    """API keys and SMTP credentials alike: made once, then only renamed, limited or revoked."""

    form: Any = CredentialForm
    list_filter = [("tenant", SeenFilter)]
    list_select_related = ["tenant"]
    autocomplete_fields = ["tenant"]
    actions = ["revoke"]
    used = display.instant_column("last_used_at", "Last used")
    created = display.instant_column("created_at", "Created")

    @admin.display(description="Status")
    def standing(self, row: Credential) -> SafeString:
        if row.revoked_at:
            return display.label("revoked")
        if row.expires_at and row.expires_at <= timezone.now():
            return display.label("expired")
        return display.label("active")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return ["revoked_at", *(["tenant"] if obj else [])]

    @admin.action(description="Revoke: refuse from now on", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        done = rows.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
        messages.success(request, f"{done} revoked.")


@admin.register(ApiKey)
class ApiKeyAdmin(CredentialAdmin):
    list_display = ["prefix_shown", "name", "tenant", "standing", "used", "created"]
    search_fields = ["prefix", "name", "tenant__name"]
    search_help_text = "First characters of the key, name or tenant"
    fieldsets = [
        (
            None,
            {
                "description": "The key is shown once, after saving. Only its digest is stored.",
                "fields": [("tenant", "name"), "scopes"],
            },
        ),
        ("Validity", {"fields": ["expires_at", "revoked_at"]}),
    ]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        if roles.is_operator(request.user):
            kw["form"] = OperatorCredentialForm
        return super().get_form(request, obj, change, **kw)

    @admin.display(description="Key", ordering="prefix")
    def prefix_shown(self, row: ApiKey) -> str:
        return f"{row.prefix}…"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made, token = create_api_key(obj.tenant, obj.name, tuple(obj.scopes), obj.expires_at)
        obj.pk, obj.prefix, obj.digest = made.pk, made.prefix, made.digest
        show_once(request, f"API key of {obj.tenant.name}:", token)


@admin.register(SmtpCredential)
class SmtpCredentialAdmin(CredentialAdmin):
    list_display = ["username", "name", "tenant", "standing", "used", "created"]
    search_fields = ["username", "name", "tenant__name"]
    search_help_text = "User name, name or tenant"
    fieldsets = [
        (
            None,
            {
                "description": "The password is made here and shown once, after saving.",
                "fields": ["tenant", ("username", "name")],
            },
        ),
        ("Validity", {"fields": ["expires_at", "revoked_at"]}),
    ]
    form: Any = RowForm  # no scopes to choose: it sends

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [*super().get_readonly_fields(request, obj), *(["username"] if obj else [])]

    def save_model(
        self, request: HttpRequest, obj: SmtpCredential, form: Any, change: bool
    ) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made, password = create_smtp_credential(obj.tenant, obj.username, obj.expires_at)
        if obj.name:
            made.name = obj.name
            made.save(update_fields=["name"])
        obj.pk, obj.digest = made.pk, made.digest
        show_once(request, f"Password of {obj.username}:", password)
