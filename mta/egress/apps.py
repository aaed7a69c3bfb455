"""The egress app."""

from django.apps import AppConfig


class EgressConfig(AppConfig):
    name = "mta.egress"
    label = "egress"
    verbose_name = "Egress"
