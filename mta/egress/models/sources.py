"""Sources, and the pools that streams send through."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from mta.egress.models.warmup import WarmupSchedule
from mta.storage.checks import one_of
from mta.storage.fields import EncryptedField
from mta.tenants.models import NAME, RATE, Tenant


class TlsMode(models.TextChoices):
    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"


class SourceStatus(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DRAINING = "draining"


class SourceKind(models.TextChoices):
    ADDRESS = "address"
    SMART_HOST = "smart_host"


class Source(models.Model):
    """Where mail leaves from: a local address, or a smart host that takes it on."""

    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    kind = models.CharField(max_length=16, choices=SourceKind, default=SourceKind.ADDRESS)
    #: Local address of the connections; empty: whatever the system chooses.
    address = models.GenericIPAddressField(null=True, blank=True, unique=True)
    #: Empty: the instance's host name.
    ehlo_name = models.CharField("EHLO name", max_length=253, blank=True)
    status = models.CharField(max_length=16, choices=SourceStatus, default=SourceStatus.ACTIVE)
    warmup_schedule = models.ForeignKey(
        WarmupSchedule, models.PROTECT, null=True, blank=True, related_name="sources"
    )
    warmup_started_on = models.DateField(null=True, blank=True)

    #: What it may send in all, to whomever; empty is without limit.
    messages_per_second = models.FloatField(null=True, blank=True, validators=RATE)
    messages_per_hour = models.FloatField(null=True, blank=True, validators=RATE)
    messages_per_day = models.FloatField(null=True, blank=True, validators=RATE)
    #: Of a smart host: where it listens and how we log in.
    host = models.CharField(max_length=253, blank=True)
    port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    tls = models.CharField("TLS", max_length=16, choices=TlsMode, default=TlsMode.REQUIRED)
    username = models.CharField(max_length=253, blank=True)
    #: Encrypted at rest; never shown.
    password = EncryptedField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            one_of("status", SourceStatus.values, "source_status_known"),
            one_of("kind", SourceKind.values, "source_kind_known"),
            one_of("tls", TlsMode.values, "source_tls_known"),
            models.CheckConstraint(
                condition=models.Q(kind="address", host="")
                | (models.Q(kind="smart_host") & ~models.Q(host="")),
                name="smart_host_has_host",
            ),
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
