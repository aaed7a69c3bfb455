"""The tenants app."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "mta.tenants"
    label = "tenants"
    verbose_name = "Tenants"
