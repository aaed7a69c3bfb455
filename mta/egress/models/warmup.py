"""Warmup: schedules, and how far each source has come with each provider."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from mta.storage.checks import one_of
from mta.tenants.models import NAME

SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class WarmupSchedule(models.Model):
    """Messages per day that a cold source may send to one provider, stage by stage.

    The shares are parts of what was attempted on a day, 0 to 1; a stage is left when they hold.
    """

    name = models.CharField(max_length=63, unique=True, validators=[NAME])
    description = models.CharField(max_length=200, blank=True)
    #: Hours over which a day's messages are spread; 0: as fast as the other limits allow.
    spread_hours = models.PositiveSmallIntegerField(default=12, validators=[MaxValueValidator(24)])
    #: Part of the stage's messages that must have been delivered before the next stage.
    min_sent_share = models.FloatField(default=0.9, validators=SHARE)
    max_deferral_rate = models.FloatField(default=0.15, validators=SHARE)
    max_block_rate = models.FloatField(default=0.02, validators=SHARE)
    max_complaint_rate = models.FloatField(default=0.001, validators=SHARE)
    #: Idle days after which a source counts as cold again.
    restart_after_days = models.PositiveSmallIntegerField(
        default=30, validators=[MinValueValidator(1)]
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(spread_hours__lte=24, restart_after_days__gte=1),
                name="warmup_schedule_bounded",
            ),
        ]

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


class WarmupStatus(models.TextChoices):
    WARMING = "warming"
    HELD = "held"
    WARM = "warm"


class WarmupState(models.Model):
    """How far a source has come with one provider (or site, where no provider is known)."""

    source = models.ForeignKey("egress.Source", models.CASCADE, related_name="warmups")
    reach = models.CharField(max_length=253)
    #: 1 is the first stage of the schedule.
    stage = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    status = models.CharField(max_length=8, choices=WarmupStatus, default=WarmupStatus.WARMING)
    stage_started_on = models.DateField()
    last_sent_on = models.DateField(null=True, blank=True)
    #: Why the last decision was as it was.
    reason = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["source", "reach"]
        constraints = [
            models.UniqueConstraint(fields=["source", "reach"], name="warmup_state_once"),
            one_of("status", WarmupStatus.values, "warmup_status_known"),
            models.CheckConstraint(condition=models.Q(stage__gte=1), name="warmup_state_stage"),
        ]

    def __str__(self) -> str:
        return f"{self.source.name} to {self.reach}: stage {self.stage}"


class WarmupDay(models.Model):
    """What a warming source sent to one provider on one day (UTC), and what became of it."""

    source = models.ForeignKey("egress.Source", models.CASCADE, related_name="warmup_days")
    reach = models.CharField(max_length=253)
    day = models.DateField()
    #: Messages that the schedule allowed.
    cap = models.PositiveIntegerField(default=0)
    attempted = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    deferred = models.PositiveIntegerField(default=0)
    blocked = models.PositiveIntegerField(default=0)
    complaints = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-day", "source", "reach"]
        constraints = [
            models.UniqueConstraint(fields=["source", "reach", "day"], name="warmup_day_of_source")
        ]

    def __str__(self) -> str:
        return f"{self.source.name} to {self.reach} on {self.day}"
