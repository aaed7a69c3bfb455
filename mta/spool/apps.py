"""The spool app."""

from django.apps import AppConfig


class SpoolConfig(AppConfig):
    name = "mta.spool"
    label = "spool"
    verbose_name = "Spool"
