"""The spool: what we owe the world. Hot columns are numbers that claim and settle write in bulk."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from mta.egress.models import Source
from mta.policy.lifecycle import State
from mta.storage.checks import one_of
from mta.storage.fields import InstantField, RowIdField
from mta.tenants.models import Stream, Tenant

STATES = [(state.value, state.value) for state in State]
WAITING = [State.SCHEDULED.value, State.DEFERRED.value]


class BodyKind(models.TextChoices):
    #: A whole message in wire form.
    RAW = "raw"
    #: JSON of a compose.Spec, rendered per recipient.
    TEMPLATE = "template"


class Body(models.Model):
    """Content of messages, stored once however many carry it."""

    #: Hex SHA-256 of kind and plain content.
    digest = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=8, choices=BodyKind)
    #: zstd, then encrypted when MAILMILL_ENCRYPT_BODIES is on.
    content = models.BinaryField()
    encrypted = models.BooleanField(default=False)
    #: Bytes of the plain content.
    size = models.PositiveIntegerField()
    created_at = InstantField()

    class Meta:
        verbose_name_plural = "bodies"
        constraints = [one_of("kind", BodyKind.values, "body_kind_known")]

    def __str__(self) -> str:
        return self.digest[:12]


class Message(models.Model):
    """One injected message with its envelope; recipients hang below."""

    id = RowIdField(primary_key=True)
    # PostgreSQL would look up and lock these rows for every message: rows come in by one door,
    # and Django refuses to delete what is in use.
    tenant = models.ForeignKey(Tenant, models.PROTECT, db_constraint=False, related_name="messages")
    stream = models.ForeignKey(Stream, models.PROTECT, db_index=False, db_constraint=False)
    body = models.ForeignKey(Body, models.PROTECT, db_constraint=False, related_name="messages")
    #: Envelope sender; empty is the null reverse path.
    reverse_path = models.CharField(max_length=320, blank=True)
    #: Domain of the From header, whose keys sign.
    sender_domain = models.CharField(max_length=253, blank=True)
    subject = models.CharField(max_length=200, blank=True)
    campaign = models.CharField(max_length=128, blank=True)
    #: JSON texts, written in bulk.
    tags = models.TextField(default="[]")
    metadata = models.TextField(default="{}")
    #: Which door it came through: api, smtp, command, dsn.
    origin = models.CharField(max_length=16)
    smtputf8 = models.BooleanField(default=False)
    #: RFC 3461 ENVID and RET.
    envid = models.CharField(max_length=100, blank=True)
    ret = models.CharField(max_length=4, blank=True)
    created_at = InstantField()
    #: No attempt after this instant.
    expires_at = InstantField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["tenant", "campaign"], name="message_campaign", condition=~Q(campaign="")
            )
        ]
        constraints = [
            one_of("origin", ["api", "smtp", "command", "dsn"], "message_origin_known"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="message_has_life"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id}"


class Lane(models.Model):
    """The waiting mail of one stream to one domain: what dispatch chooses between.

    Mail of other urgency, and mail that a person moved to another pool, waits in lanes of its own.
    """

    tenant = models.ForeignKey(Tenant, models.CASCADE, db_index=False)
    stream = models.ForeignKey(Stream, models.CASCADE, db_index=False)
    domain = models.CharField(max_length=253)
    #: 0 is transactional, 1 bulk to engaged recipients, 2 other bulk.
    priority = models.PositiveSmallIntegerField()
    #: The pool that a person moved its mail to; 0: the stream's.
    pool_id = models.PositiveIntegerField(default=0)
    #: When its next recipient may go; empty when nothing waits.
    due_at = InstantField(null=True, blank=True)
    #: None of its waiting recipients is due before this: where a claim begins to look.
    earliest_at = InstantField(default=0)
    #: A limit lets nothing of it through before this, whatever is due; its key is the gate.
    wait_until = InstantField(default=0)
    gate = models.CharField(max_length=1000, blank=True)
    #: Largest batch that the last limits admitted, 1 to 100.
    window = models.PositiveSmallIntegerField(default=100)
    #: MX rollup found at the last look-up.
    site = models.CharField(max_length=253, blank=True)
    #: What the site last said, for the queue page.
    last_reply = models.CharField(max_length=500, blank=True)
    last_reply_at = InstantField(null=True, blank=True)
    #: Why the lane waits, when it was put off before any attempt.
    hold_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["domain"]
        indexes = [
            models.Index(
                fields=["tenant", "priority", "due_at"],
                name="lane_due",
                condition=Q(due_at__isnull=False),
            ),
            models.Index(
                fields=["due_at"], name="lane_next_due", condition=Q(due_at__isnull=False)
            ),
            models.Index(fields=["domain"], name="lane_domain"),
            models.Index(fields=["gate"], name="lane_gate", condition=~Q(gate="")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "stream", "domain", "priority", "pool_id"], name="lane_once"
            ),
            models.CheckConstraint(
                condition=Q(window__gte=1, window__lte=100), name="lane_window_bounded"
            ),
        ]

    def __str__(self) -> str:
        return self.domain


class Recipient(models.Model):
    """The unit of state: one message to one address."""

    id = RowIdField(primary_key=True)
    # The injection writes message and lane in the same transaction: no need to look for them.
    message = models.ForeignKey(
        Message, models.CASCADE, db_constraint=False, related_name="recipients"
    )
    lane = models.ForeignKey(
        Lane, models.PROTECT, db_index=False, db_constraint=False, related_name="recipients"
    )
    address = models.CharField(max_length=320)
    state = models.CharField(max_length=16, choices=STATES)
    #: Attempts that reached a receiver or its DNS.
    attempts = models.PositiveSmallIntegerField(default=0)
    #: When it may be tried; empty in a final state.
    next_attempt_at = InstantField(null=True, blank=True)
    #: The claim that holds it.
    claim_token = models.BigIntegerField(null=True, blank=True)
    #: Greylisting wants the same source again.
    source = models.ForeignKey(
        Source, models.SET_NULL, null=True, blank=True, db_index=False, related_name="+"
    )
    #: orjson of the substitutions; empty when there are none.
    substitutions = models.BinaryField(null=True, blank=True)
    #: JSON text; empty when there is none.
    metadata = models.TextField(blank=True)
    #: RFC 3461 NOTIFY and ORCPT.
    notify = models.CharField(max_length=40, blank=True)
    orcpt = models.CharField(max_length=500, blank=True)
    #: The last word on it: a reply or our own reason.
    last_reply = models.CharField(max_length=500, blank=True)
    bounce_class = models.CharField(max_length=16, blank=True)
    updated_at = InstantField()

    class Meta:
        ordering = ["id"]
        indexes = [
            # The claim is one range scan of this index, however much else waits or is done.
            models.Index(
                fields=["lane", "next_attempt_at"],
                name="recipient_waiting",
                condition=Q(state__in=WAITING),
            ),
            models.Index(
                fields=["claim_token"], name="recipient_claim", condition=Q(state="claimed")
            ),
            models.Index(fields=["address"], name="recipient_address"),
            models.Index(fields=["lane"], name="recipient_held", condition=Q(state="held")),
        ]
        constraints = [
            one_of("state", [state.value for state in State], "recipient_state_known"),
            models.CheckConstraint(
                condition=Q(state="claimed", claim_token__isnull=False)
                | (~Q(state="claimed") & Q(claim_token__isnull=True)),
                name="recipient_claim_whole",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=WAITING) | Q(next_attempt_at__isnull=False),
                name="recipient_waiting_has_time",
            ),
        ]

    def __str__(self) -> str:
        return self.address


class Claim(models.Model):
    """A batch's hold on recipients; the row is there as long as the token holds any."""

    token = RowIdField(primary_key=True)
    lane = models.ForeignKey(Lane, models.DO_NOTHING, db_index=False, db_constraint=False)
    #: When it ends, unless it is renewed.
    ends_at = InstantField(db_index=True)

    def __str__(self) -> str:
        return f"{self.token}"


class Attempt(models.Model):
    """One try at one recipient, and what was answered."""

    id = models.BigAutoField(primary_key=True)
    # Written while the recipient's row is locked: it is there.
    recipient = models.ForeignKey(
        Recipient, models.CASCADE, db_constraint=False, related_name="history"
    )
    #: 1 is the first.
    number = models.PositiveSmallIntegerField()
    at = InstantField()
    #: Milliseconds from claim to answer.
    took_ms = models.PositiveIntegerField()
    outcome = models.CharField(max_length=16)
    stage = models.CharField(max_length=16)
    reply = models.CharField(max_length=1100)
    bounce_class = models.CharField(max_length=16, blank=True)
    rule = models.CharField(max_length=80, blank=True)
    source_name = models.CharField(max_length=63, blank=True)
    site = models.CharField(max_length=253, blank=True)
    mx_host = models.CharField("MX host", max_length=253, blank=True)
    mx_address = models.CharField("MX address", max_length=45, blank=True)
    tls = models.CharField("TLS", max_length=63, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            one_of("outcome", ["delivered", "deferred", "bounced"], "attempt_outcome_known")
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.outcome}"


class IdempotencyKey(models.Model):
    """A request that was answered, so that sending it again gives the same answer."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, db_index=False)
    key = models.CharField(max_length=255)
    #: Hex SHA-256 of the request body.
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    #: The JSON that was answered.
    response = models.TextField()
    created_at = InstantField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key"], name="idempotency_key_once")
        ]

    def __str__(self) -> str:
        return self.key
