"""The spool app."""

from django.apps import AppConfig


class SpoolConfig(AppConfig):
    name = "mta.spool"
    label = "spool"
    verbose_name = "Spool"

    def ready(self) -> None:
        from mta.spool import rule_changes  # noqa: PLC0415  # models can be imported from here on

        rule_changes.connect()
