"""The outbox: one row per thing that happened, written with the state it tells of."""

from __future__ import annotations

from django.db import models

from mta.storage.checks import one_of
from mta.storage.fields import EncryptedField, InstantField
from mta.tenants.models import Tenant


class Kind(models.TextChoices):
    """Event kinds; a contract with those who read them."""

    RECEPTION = "reception"
    REJECTION = "rejection"
    DELIVERY = "delivery"
    DEFERRAL = "deferral"
    BOUNCE = "bounce"
    EXPIRATION = "expiration"
    ADMIN_BOUNCE = "admin_bounce"
    SUPPRESSION = "suppression"
    OOB_BOUNCE = "oob_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


class Event(models.Model):
    """Something that happened to a recipient; `data` holds the fields of the event contract."""

    id = models.BigAutoField(primary_key=True)
    at = InstantField()
    kind = models.CharField(max_length=16, choices=Kind)
    # Without a constraint: it would lock the tenant's row for every event.
    tenant = models.ForeignKey(Tenant, models.CASCADE, db_index=False, db_constraint=False)
    message_id = models.BigIntegerField()
    recipient_id = models.BigIntegerField(db_index=True)
    #: JSON of the other fields, as text: written in bulk, read by few.
    data = models.TextField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["tenant", "id"], name="event_tenant_cursor")]
        constraints = [one_of("kind", Kind.values, "event_kind_known")]

    def __str__(self) -> str:
        return f"{self.id} {self.kind}"


class Decision(models.Model):
    """What the system or a person decided about mail: the audit, and why things are as they are."""

    id = models.BigAutoField(primary_key=True)
    at = InstantField(db_index=True)
    #: "warmup", "throttle", "automation", "routing", or a person's user name.
    actor = models.CharField(max_length=150)
    kind = models.CharField(max_length=40)
    tenant = models.ForeignKey(
        Tenant, models.SET_NULL, null=True, blank=True, related_name="decisions"
    )
    source = models.CharField(max_length=63, blank=True)
    site = models.CharField(max_length=253, blank=True)
    provider = models.CharField(max_length=63, blank=True)
    campaign = models.CharField(max_length=128, blank=True)
    #: Recipients that it changed, where it changed some.
    count = models.PositiveIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    #: JSON of the figures behind it.
    data = models.TextField(default="{}")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["kind", "id"], name="decision_kind")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"


class WebhookEndpoint(models.Model):
    """Where a tenant wants its events sent."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="webhooks")
    url = models.URLField("URL", max_length=500)
    #: Signs deliveries (Standard Webhooks), encrypted at rest.
    secret = EncryptedField(editable=False)
    #: Event kinds that are sent; empty is all.
    kinds = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["tenant", "url"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "url"], name="webhook_url_once"),
        ]

    def __str__(self) -> str:
        return self.url
