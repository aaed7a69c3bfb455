"""What people have stopped."""

from __future__ import annotations

from django.db import models

from mta.storage.checks import one_of


class SuspensionScope(models.TextChoices):
    TENANT = "tenant"
    SITE = "site"
    SOURCE = "source"
    PROVIDER = "provider"
    CAMPAIGN = "campaign"


class Suspension(models.Model):
    """A person's word that mail waits: of a tenant or campaign, to a site, or from a source."""

    scope = models.CharField(max_length=16, choices=SuspensionScope)
    #: Tenant name, "tenant/campaign", destination domain or site name, provider, or source name.
    key = models.CharField(max_length=253)
    reason = models.CharField(max_length=200, blank=True)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    #: Empty: until somebody resumes it.
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["scope", "key"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "key"], name="suspension_once"),
            one_of("scope", SuspensionScope.values, "suspension_scope_known"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"
