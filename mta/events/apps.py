"""The events app."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "mta.events"
    label = "events"
    verbose_name = "Events"
