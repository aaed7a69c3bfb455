"""The spool: messages, recipients, attempts, lanes and bodies; looked at, never changed here."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard import display, roles
from dashboard.admin.base import ChoicesDropdownFilter, HotAdmin, SeenFilter
from dashboard.finding import address_forms, id_of, recipients_of, starting_with
from mta.egress.models import Pool
from mta.spool.lanes import URGENCY
from mta.spool.models import WAITING, Attempt, Body, Lane, Message, Recipient
from mta.tenants.models import Tenant


@admin.register(Message)
class MessageAdmin(HotAdmin):
    list_display = [
        "name",
        "subject",
        "tenant",
        "stream_name",
        "reverse_path",
        "campaign",
        "accepted",
    ]
    list_filter = [("tenant", SeenFilter)]
    list_select_related = ["tenant", "stream"]
    search_fields = ["id"]
    search_help_text = "Message id, recipient's address or whole campaign name"
    ordering = ["-id"]
    fields = [
        "name", "tenant", "stream_name", "subject", "reverse_path", "sender_domain", "campaign",
        "tags", "metadata", "origin", "body_shown", "accepted", "expires",
    ]  # fmt: skip
    accepted = display.instant_column("created_at", "Accepted")
    expires = display.instant_column("expires_at", "Expires")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("tenant", "stream__tenant")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        addresses = address_forms(term)
        if addresses:
            theirs = Recipient.objects.filter(address__in=addresses).values("message_id")
            return queryset.filter(pk__in=theirs), False
        tenants = roles.seen(request.user, Tenant.objects.all()).values("pk")
        campaign = Q(tenant_id__in=tenants, campaign=term) & ~Q(campaign="")
        number = id_of(term)
        return queryset.filter(campaign | Q(pk=number) if number is not None else campaign), False

    @admin.display(description="Message")
    def name(self, row: Message) -> SafeString:
        return display.message_link(row.pk)

    @admin.display(description="Stream")
    def stream_name(self, row: Message) -> str:
        return row.stream.name

    @admin.display(description="Body")
    def body_shown(self, row: Message) -> str:
        kind, size = Body.objects.values_list("kind", "size").get(pk=row.body_id)
        return f"{kind}, {size:,} bytes, {row.body_id[:12]}"


@admin.register(Recipient)
class RecipientAdmin(HotAdmin):
    list_display = ["address_link", "state_label", "tries", "next_at", "reply", "message_name"]
    list_filter = [("state", ChoicesDropdownFilter)]
    search_fields = ["id"]
    search_help_text = "Address, recipient id or message id"
    ordering = ["-id"]
    fields = [
        "address_link", "message_name", "state_label", "tries", "next_at", "reply", "bounce_class",
        "domain",
    ]  # fmt: skip
    state_label = display.label_column("state", "State")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Substitutions are blobs that no list needs.
        return super().get_queryset(request).select_related("lane").defer("substitutions")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found = recipients_of(search_term)
        return (queryset if found is None else queryset.filter(pk__in=found)), False

    @admin.display(description="Recipient")
    def address_link(self, row: Recipient) -> SafeString:
        return display.recipient_link(row.pk, row.address)

    @admin.display(description="Next attempt")
    def next_at(self, row: Recipient) -> SafeString:
        """Not before its lane's turn."""
        if row.next_attempt_at is None or row.state not in WAITING:
            return display.instant(row.next_attempt_at)
        return display.instant(max(row.next_attempt_at, row.lane.wait_until))

    @admin.display(description="Attempts")
    def tries(self, row: Recipient) -> int:
        return row.attempts

    @admin.display(description="Last reply")
    def reply(self, row: Recipient) -> SafeString:
        return display.clipped(row.last_reply)

    @admin.display(description="Message")
    def message_name(self, row: Recipient) -> SafeString:
        return display.message_link(row.message_id)

    @admin.display(description="Queue")
    def domain(self, row: Recipient) -> SafeString:
        url = reverse("dashboard:queue", args=[row.lane.domain])
        return format_html('<a class="mm-link" href="{}">{}</a>', url, row.lane.domain)


@admin.register(Attempt)
class AttemptAdmin(HotAdmin):
    list_display = ["at_shown", "outcome_label", "to", "number_shown", "reply_shown", "mx", "took"]
    search_fields = ["recipient_id"]
    search_help_text = "Address, recipient id or message id"
    ordering = ["-id"]
    fields = [
        "at_shown", "outcome_label", "to", "number", "stage", "reply", "bounce_class", "rule",
        "source_name", "site", "mx_host", "mx_address", "tls", "took",
    ]  # fmt: skip
    outcome_label = display.label_column("outcome", "Outcome")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .get_queryset(request)
            .select_related("recipient")
            .defer("recipient__substitutions")
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found = recipients_of(search_term)
        return (queryset if found is None else queryset.filter(recipient_id__in=found)), False

    @admin.display(description="At")
    def at_shown(self, row: Attempt) -> SafeString:
        return display.instant(row.at)

    @admin.display(description="Recipient")
    def to(self, row: Attempt) -> SafeString:
        return display.recipient_link(row.recipient_id, row.recipient.address)

    @admin.display(description="Attempt")
    def number_shown(self, row: Attempt) -> int:
        return row.number

    @admin.display(description="Reply")
    def reply_shown(self, row: Attempt) -> SafeString:
        return display.clipped(row.reply)

    @admin.display(description="MX host")
    def mx(self, row: Attempt) -> str:
        return row.mx_host

    @admin.display(description="Took")
    def took(self, row: Attempt) -> str:
        return f"{row.took_ms:,} ms"


@admin.register(Lane)
class LaneAdmin(HotAdmin):
    list_display = [
        "domain_link", "tenant", "stream_name", "urgency", "due", "site", "reply", "hold_reason",
    ]  # fmt: skip
    list_filter = [("tenant", SeenFilter)]
    search_fields = ["domain"]
    search_help_text = "The beginning of a domain"
    sortable_by: ClassVar[Any] = ("domain_link",)
    fields = [
        "domain", "tenant", "stream_name", "urgency", "pool", "due", "waits", "hold_reason", "gate",
        "site", "reply",
    ]  # fmt: skip
    due = display.instant_column("due_at", "Next due")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("tenant", "stream")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        start = search_term.strip().lower()
        if not start:
            return queryset, False
        return starting_with(queryset, "domain", start), False

    @admin.display(description="Domain", ordering="domain")
    def domain_link(self, row: Lane) -> SafeString:
        url = reverse("dashboard:queue", args=[row.domain])
        return format_html('<a class="mm-link" href="{}">{}</a>', url, row.domain)

    @admin.display(description="Stream")
    def stream_name(self, row: Lane) -> str:
        return row.stream.name

    @admin.display(description="Urgency")
    def urgency(self, row: Lane) -> str:
        return URGENCY[row.priority]

    @admin.display(description="Moved to pool")
    def pool(self, row: Lane) -> str | SafeString:
        if not row.pool_id:
            return display.DASH
        name = Pool.objects.filter(pk=row.pool_id).values_list("name", flat=True).first()
        return name or "a pool that is gone: the stream's is used"

    @admin.display(description="Waits until")
    def waits(self, row: Lane) -> SafeString:
        return display.instant(row.wait_until) if row.gate else display.DASH

    @admin.display(description="Last reply")
    def reply(self, row: Lane) -> SafeString:
        return display.clipped(row.last_reply)


@admin.register(Body)
class BodyAdmin(HotAdmin):
    """Sizes only: the content of mail is nobody's business here."""

    list_display = ["digest", "kind", "size_shown", "encrypted", "in_use", "stored"]
    list_filter = [("kind", ChoicesDropdownFilter), "encrypted"]
    search_fields = ["digest__startswith"]
    search_help_text = "The beginning of the digest"
    fields = ["digest", "kind", "size_shown", "encrypted", "stored"]
    stored = display.instant_column("created_at", "Stored")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        used = Exists(Message.objects.filter(body_id=OuterRef("pk")))
        rows: QuerySet[Any] = super().get_queryset(request).defer("content").annotate(used=used)
        return rows

    @admin.display(description="Size")
    def size_shown(self, row: Body) -> str:
        return f"{row.size:,} bytes"

    @admin.display(description="In use", boolean=True)
    def in_use(self, row: Any) -> bool:
        return bool(row.used)
