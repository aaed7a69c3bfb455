"""The app that holds the commands, and refuses to start with hooks that do not fit."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class MailmillConfig(AppConfig):
    name = "mta"
    label = "mta"
    verbose_name = "Mailmill"

    def ready(self) -> None:
        """ImproperlyConfigured when the module of MAILMILL_POLICY cannot be used."""
        # Models can be imported from here on, by the module too.
        from mta import wiring  # noqa: PLC0415
        from mta.policy.hooks import HooksRefused  # noqa: PLC0415

        try:
            wiring.hooks()
        except HooksRefused as refused:
            raise ImproperlyConfigured(f"MAILMILL_POLICY: {refused}") from refused
