"""What operators know of receivers: limits, answers to replies, and ways for mail."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from mta.egress.models.sources import Pool, Source, TlsMode
from mta.storage.checks import one_of
from mta.tenants.models import NAME, RATE


class ShapingMatch(models.TextChoices):
    DEFAULT = "default"
    PROVIDER = "provider"
    SITE = "site"


class ShapingRule(models.Model):
    """Limits towards a provider or a site that override the shipped ones; empty inherits."""

    match_kind = models.CharField(max_length=16, choices=ShapingMatch)
    #: Provider name, or site name or MX suffix; empty for the default.
    match = models.CharField(max_length=253, blank=True)
    #: MX suffixes that make up the provider, by commas; provider rules only.
    mx_suffixes = models.CharField("MX suffixes", max_length=500, blank=True)
    #: Only for mail from this source; empty: for all.
    source = models.ForeignKey(
        Source, models.CASCADE, null=True, blank=True, related_name="shaping_rules"
    )
    connections = models.PositiveIntegerField(null=True, blank=True)
    messages_per_connection = models.PositiveIntegerField(null=True, blank=True)
    messages_per_second = models.FloatField(null=True, blank=True)
    messages_per_minute = models.FloatField(null=True, blank=True, validators=RATE)
    messages_per_hour = models.FloatField(null=True, blank=True, validators=RATE)
    messages_per_day = models.FloatField(null=True, blank=True, validators=RATE)
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
    #: Waits between attempts such as "5m,30m,2h"; empty: the stream's.
    retry_steps = models.CharField(max_length=200, blank=True)
    #: Hours after which its mail expires, when the stream's life is not shorter.
    life_hours = models.FloatField(null=True, blank=True, validators=RATE)
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


class AutomationAction(models.TextChoices):
    SLOW = "slow"
    ONE_CONNECTION = "one_connection"
    CONNECTIONS = "connections"
    MESSAGES_PER_CONNECTION = "messages_per_connection"
    SUSPEND = "suspend"
    SWITCH_SOURCE = "switch_source"


class AutomationRule(models.Model):
    """What is done by itself when a reply comes too often; one of the shipped name replaces it."""

    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    #: Empty: replies of every provider, each site by itself.
    provider = models.CharField(max_length=63, blank=True)
    #: Regex that the reply's text must match.
    pattern = models.CharField(max_length=300)
    action = models.CharField(max_length=32, choices=AutomationAction)
    #: So many matching replies within the window are needed.
    threshold = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    window_seconds = models.PositiveIntegerField(default=3600, validators=[MinValueValidator(1)])
    rate_per_minute = models.FloatField(null=True, blank=True, validators=RATE)
    connections = models.PositiveIntegerField(null=True, blank=True)
    messages_per_connection = models.PositiveIntegerField(null=True, blank=True)
    duration_seconds = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    enabled = models.BooleanField(default=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            one_of("action", AutomationAction.values, "automation_action_known"),
            models.CheckConstraint(
                condition=models.Q(
                    threshold__gte=1, window_seconds__gte=1, duration_seconds__gte=1
                ),
                name="automation_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RoutingAction(models.TextChoices):
    POOL = "pool"
    SOURCE = "source"
    PRIORITY = "priority"
    HOLD = "hold"
    REJECT = "reject"


class RoutingPriority(models.TextChoices):
    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class RoutingRule(models.Model):
    """A condition and what becomes of mail for which it holds; the first that holds decides."""

    #: Rules are asked in this order.
    position = models.PositiveIntegerField(default=100)
    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    condition = models.TextField(max_length=1000)
    action = models.CharField(max_length=16, choices=RoutingAction)
    pool = models.ForeignKey(
        Pool, models.PROTECT, null=True, blank=True, related_name="routing_rules"
    )
    source = models.ForeignKey(
        Source, models.PROTECT, null=True, blank=True, related_name="routing_rules"
    )
    priority = models.CharField(max_length=16, choices=RoutingPriority, blank=True)
    #: Told to whoever asks why the mail was held or refused.
    reason = models.CharField(max_length=200, blank=True)
    enabled = models.BooleanField(default=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            one_of("action", RoutingAction.values, "routing_action_known"),
            one_of("priority", ["", *RoutingPriority.values], "routing_priority_known"),
            models.CheckConstraint(
                condition=~models.Q(action="pool") | models.Q(pool__isnull=False),
                name="routing_to_pool_has_pool",
            ),
            models.CheckConstraint(
                condition=~models.Q(action="source") | models.Q(source__isnull=False),
                name="routing_to_source_has_source",
            ),
            models.CheckConstraint(
                condition=~models.Q(action="priority") | ~models.Q(priority=""),
                name="routing_priority_named",
            ),
        ]

    def __str__(self) -> str:
        return self.name
