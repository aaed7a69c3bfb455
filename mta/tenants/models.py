"""Who may send, and what they may send as."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from mta.storage.checks import one_of
from mta.storage.fields import EncryptedField

NAME = RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "Use lower-case letters, digits and hyphens.")
#: A rate is left empty or lets something through.
RATE = [MinValueValidator(1e-6, "Give a number above 0, or leave it empty for no limit.")]


class TenantStatus(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class QuotaAction(models.TextChoices):
    DELAY = "delay"
    REJECT = "reject"


class Tenant(models.Model):
    """A customer: owns credentials, sending domains, streams and mail."""

    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    status = models.CharField(max_length=16, choices=TenantStatus, default=TenantStatus.ACTIVE)
    status_reason = models.CharField(max_length=200, blank=True)
    #: Recipients per hour and per day; empty is without limit.
    quota_per_hour = models.PositiveIntegerField(null=True, blank=True)
    quota_per_day = models.PositiveIntegerField(null=True, blank=True)
    #: What becomes of the excess: it waits, or is refused at the door.
    quota_action = models.CharField(max_length=8, choices=QuotaAction, default=QuotaAction.DELAY)
    #: Messages of all its streams together; empty is without limit.
    messages_per_second = models.FloatField(null=True, blank=True, validators=RATE)
    #: Share of a busy site relative to other tenants.
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            one_of("status", TenantStatus.values, "tenant_status_known"),
            one_of("quota_action", QuotaAction.values, "tenant_quota_action_known"),
            models.CheckConstraint(
                condition=models.Q(weight__gte=1), name="tenant_weight_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OPERATOR = "operator"
    MARKETER = "marketer"


class User(AbstractUser):
    """A person. Operators see everything, marketers what belongs to their tenants."""

    role = models.CharField(max_length=16, choices=Role, default=Role.MARKETER)
    tenants = models.ManyToManyField(Tenant, blank=True, related_name="people")

    class Meta:
        ordering = ["username"]
        constraints = [one_of("role", Role.values, "user_role_known")]


class Credential(models.Model):
    """What API keys and SMTP credentials share: a digest, never the secret itself."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="%(class)ss")
    name = models.CharField(max_length=63, blank=True)
    #: Hex SHA-256 of a secret with 256 random bits: argon2 would add nothing but 50 ms.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    #: What it may do: "send", "read", "manage".
    scopes = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class ApiKey(Credential):
    """A bearer token of the HTTP API, shown once when it is made."""

    #: First characters of the token, to tell keys apart.
    prefix = models.CharField(max_length=12, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ["tenant", "prefix"]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class SmtpCredential(Credential):
    """A user name and password of the SMTP listeners; the password is shown once."""

    username = models.CharField(max_length=63, unique=True)

    class Meta:
        verbose_name = "SMTP credential"
        ordering = ["username"]

    def __str__(self) -> str:
        return self.username


class SendingDomain(models.Model):
    """A domain that the tenant may write in From and in the reverse path."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="domains")
    #: A-label, lower case.
    domain = models.CharField(max_length=253, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["domain"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(domain=""), name="sending_domain_not_empty")
        ]

    def __str__(self) -> str:
        return self.domain


class DkimAlgorithm(models.TextChoices):
    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


class DkimKey(models.Model):
    """A signing key; every key whose window is open signs."""

    sending_domain = models.ForeignKey(SendingDomain, models.CASCADE, related_name="dkim_keys")
    selector = models.CharField(max_length=63, validators=[NAME])
    algorithm = models.CharField(max_length=16, choices=DkimAlgorithm, default=DkimAlgorithm.RSA)
    #: PKCS 8 PEM, encrypted at rest.
    private_key = EncryptedField(editable=False)
    #: TXT record to publish at <selector>._domainkey.<domain>.
    dns_record = models.TextField(editable=False)
    active_from = models.DateTimeField(null=True, blank=True)
    active_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "DKIM key"
        ordering = ["sending_domain", "selector"]
        constraints = [
            models.UniqueConstraint(fields=["sending_domain", "selector"], name="selector_once"),
            one_of("algorithm", DkimAlgorithm.values, "dkim_algorithm_known"),
            models.CheckConstraint(
                condition=models.Q(active_until__isnull=True)
                | models.Q(active_from__isnull=True)
                | models.Q(active_until__gt=models.F("active_from")),
                name="dkim_window_forward",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.sending_domain.domain}"


class StreamKind(models.TextChoices):
    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class Stream(models.Model):
    """A kind of mail of one tenant, with its own pool, priority and patience."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="streams")
    name = models.CharField(max_length=63, validators=[NAME])
    kind = models.CharField(max_length=16, choices=StreamKind)
    #: The stream of mail that names none.
    is_default = models.BooleanField(default=False)
    pool = models.ForeignKey("egress.Pool", models.PROTECT, related_name="streams")
    #: Waits between attempts, such as "1m,5m,15m"; empty: the instance's schedule.
    retry_steps = models.CharField(max_length=200, blank=True)
    #: Hours after which waiting mail expires; empty: 24 for transactional, 120 for bulk.
    life_hours = models.PositiveSmallIntegerField(null=True, blank=True)
    #: What the stream may send in all; empty is without limit.
    messages_per_second = models.FloatField(null=True, blank=True, validators=RATE)
    messages_per_hour = models.FloatField(null=True, blank=True, validators=RATE)
    messages_per_day = models.FloatField(null=True, blank=True, validators=RATE)
    #: Whether a final failure is reported to the reverse path (RFC 3464).
    sends_dsn = models.BooleanField(default=True)

    class Meta:
        ordering = ["tenant", "name"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="stream_name_once"),
            models.UniqueConstraint(
                fields=["tenant"], condition=models.Q(is_default=True), name="one_default_stream"
            ),
            one_of("kind", StreamKind.values, "stream_kind_known"),
            models.CheckConstraint(
                condition=models.Q(life_hours__isnull=True) | models.Q(life_hours__gte=1),
                name="stream_life_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tenant.name}/{self.name}"

    @property
    def life_seconds(self) -> int:
        """How long its mail may wait."""
        default = 24 if self.kind == StreamKind.TRANSACTIONAL else 120
        return (self.life_hours or default) * 3600
