"""The suppression app."""

from django.apps import AppConfig


class SuppressionConfig(AppConfig):
    name = "mta.suppression"
    label = "suppression"
    verbose_name = "Suppression"
