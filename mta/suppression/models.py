"""Addresses that are not written to."""

from __future__ import annotations

from django.db import models

from mta.storage.checks import one_of
from mta.tenants.models import Stream, Tenant


class Reason(models.TextChoices):
    BAD_ADDRESS = "bad_address"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"
    IMPORT = "import"


class Suppression(models.Model):
    """One address that a tenant (or nobody) may write to, on one stream or on all."""

    #: Empty: global, for every tenant.
    tenant = models.ForeignKey(
        Tenant, models.CASCADE, null=True, blank=True, related_name="suppressions"
    )
    #: Empty: all streams.
    stream = models.ForeignKey(Stream, models.CASCADE, null=True, blank=True)
    #: Normalised: lower case, domain as A-label.
    address = models.CharField(max_length=320)
    reason = models.CharField(max_length=16, choices=Reason)
    #: What led to it: a reply, a person's name, a file's name.
    origin = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["address"]
        indexes = [models.Index(fields=["address"], name="suppression_address")]
        constraints = [
            # Three constraints, for SQLite takes NULLs for different in a unique index.
            models.UniqueConstraint(
                fields=["address"],
                condition=models.Q(tenant__isnull=True),
                name="suppression_once_globally",
            ),
            models.UniqueConstraint(
                fields=["address", "tenant"],
                condition=models.Q(tenant__isnull=False, stream__isnull=True),
                name="suppression_once_a_tenant",
            ),
            models.UniqueConstraint(
                fields=["address", "stream"],
                condition=models.Q(stream__isnull=False),
                name="suppression_once_a_stream",
            ),
            one_of("reason", Reason.values, "suppression_reason_known"),
            models.CheckConstraint(
                condition=models.Q(stream__isnull=True) | models.Q(tenant__isnull=False),
                name="suppression_stream_has_tenant",
            ),
        ]

    def __str__(self) -> str:
        return self.address
