"""The app that holds the commands."""

from django.apps import AppConfig


class MailmillConfig(AppConfig):
    name = "mta"
    label = "mta"
    verbose_name = "Mailmill"
