"""The api app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "mta.api"
    label = "api"
    verbose_name = "API"
