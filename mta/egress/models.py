"""How mail leaves: pools of sources, their warmup, and what receivers are known to accept."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from mta.storage.checks import one_of
from mta.tenants.models import NAME, Tenant


class WarmupSchedule(models.Model):
    """Messages per day that a cold source may send to one provider, day by day."""

    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    description = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WarmupStage(models.Model):
    """One day of a schedule."""

    schedule = models.ForeignKey(WarmupSchedule, models.CASCADE, related_name="stages")
    #: 1 is the first day.
    day = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    per_day = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["schedule", "day"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "day"], name="warmup_day_once"),
            models.CheckConstraint(
                condition=models.Q(day__gte=1, per_day__gte=1), name="warmup_stage_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"day {self.day}: {self.per_day}"


class SourceStatus(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DRAINING = "draining"


class Source(models.Model):
    """A local address that connections leave from, with the name it says in EHLO."""

    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    #: Empty: whatever the system chooses.
    address = models.GenericIPAddressField(null=True, blank=True, unique=True)
    #: Empty: the instance's host name.
    ehlo_name = models.CharField("EHLO name", max_length=253, blank=True)
    status = models.CharField(max_length=16, choices=SourceStatus, default=SourceStatus.ACTIVE)
    warmup_schedule = models.ForeignKey(
        WarmupSchedule, models.PROTECT, null=True, blank=True, related_name="sources"
    )
    warmup_started_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            one_of("status", SourceStatus.values, "source_status_known"),
            models.CheckConstraint(
                condition=models.Q(warmup_schedule__isnull=True)
                | models.Q(warmup_started_on__isnull=False),
                name="warmup_has_start",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Pool(models.Model):
    """A weighted set of sources that streams send through."""

    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    #: Empty: shared by all tenants.
    tenant = models.ForeignKey(Tenant, models.CASCADE, null=True, blank=True, related_name="pools")
    #: Where mail goes that the warmup caps of this pool's sources do not admit; empty: it waits.
    overflow = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="overflowing"
    )
    sources = models.ManyToManyField(Source, through="PoolMember", related_name="pools")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(overflow__isnull=True) | ~models.Q(overflow=models.F("id")),
                name="pool_does_not_overflow_to_itself",
            )
        ]

    def __str__(self) -> str:
        return self.name


class PoolMember(models.Model):
    """A source's share of a pool."""

    pool = models.ForeignKey(Pool, models.CASCADE, related_name="members")
    source = models.ForeignKey(Source, models.CASCADE, related_name="memberships")
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["pool", "source"]
        constraints = [
            models.UniqueConstraint(fields=["pool", "source"], name="source_once_in_pool"),
            models.CheckConstraint(
                condition=models.Q(weight__gte=1), name="member_weight_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} × {self.weight}"


class ShapingMatch(models.TextChoices):
    DEFAULT = "default"
    PROVIDER = "provider"
    SITE = "site"


class TlsMode(models.TextChoices):
    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"


class ShapingRule(models.Model):
    """Limits towards a provider or a site that override the shipped ones; empty inherits."""

    match_kind = models.CharField(max_length=16, choices=ShapingMatch)
    #: Provider name, or site name or MX suffix; empty for the default.
    match = models.CharField(max_length=253, blank=True)
    #: Only for mail from this source; empty: for all.
    source = models.ForeignKey(
        Source, models.CASCADE, null=True, blank=True, related_name="shaping_rules"
    )
    connections = models.PositiveIntegerField(null=True, blank=True)
    messages_per_connection = models.PositiveIntegerField(null=True, blank=True)
    messages_per_second = models.FloatField(null=True, blank=True)
    #: Messages that may go at once after a pause; empty: what a second admits.
    burst = models.PositiveIntegerField(null=True, blank=True)
    connections_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tls = models.CharField("TLS", max_length=16, choices=TlsMode, blank=True)
    #: Seconds to wait for the peer at each stage (RFC 5321 4.5.3.2).
    connect_timeout = models.FloatField(null=True, blank=True)
    greeting_timeout = models.FloatField(null=True, blank=True)
    ehlo_timeout = models.FloatField(null=True, blank=True)
    mail_timeout = models.FloatField(null=True, blank=True)
    rcpt_timeout = models.FloatField(null=True, blank=True)
    data_timeout = models.FloatField(null=True, blank=True)
    block_timeout = models.FloatField(null=True, blank=True)
    dot_timeout = models.FloatField(null=True, blank=True)
    quit_timeout = models.FloatField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["match_kind", "match"]
        constraints = [
            models.UniqueConstraint(
                fields=["match_kind", "match"],
                condition=models.Q(source__isnull=True),
                name="shaping_rule_once",
            ),
            models.UniqueConstraint(
                fields=["match_kind", "match", "source"],
                condition=models.Q(source__isnull=False),
                name="shaping_rule_once_a_source",
            ),
            one_of("match_kind", ShapingMatch.values, "shaping_match_known"),
            one_of("tls", ["", *TlsMode.values], "shaping_tls_known"),
            models.CheckConstraint(
                condition=models.Q(match_kind="default", match="")
                | (~models.Q(match_kind="default") & ~models.Q(match="")),
                name="shaping_match_named",
            ),
            models.CheckConstraint(
                condition=(models.Q(connections__isnull=True) | models.Q(connections__gte=1))
                & (models.Q(messages_per_connection__isnull=True)
                   | models.Q(messages_per_connection__gte=1))
                & (models.Q(messages_per_second__isnull=True)
                   | models.Q(messages_per_second__gt=0)),
                name="shaping_limits_positive",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        whom = f"{self.match_kind} {self.match}".strip()
        return f"{whom} from {self.source.name}" if self.source else whom


class SuspensionScope(models.TextChoices):
    TENANT = "tenant"
    SITE = "site"
    SOURCE = "source"


class Suspension(models.Model):
    """A person's word that mail of a tenant, to a site, or from a source waits."""

    scope = models.CharField(max_length=16, choices=SuspensionScope)
    #: Tenant name, destination domain or site name, or source name.
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
