"""Django admin of everything the database keeps; one module per app."""

from django.contrib import admin

from dashboard.admin import (
    egress,
    events,
    people,
    routing,
    shaping,
    spool,
    suppression,
    suspensions,
    tenants,
    warmup,
)

__all__ = [
    "egress",
    "events",
    "people",
    "routing",
    "shaping",
    "spool",
    "suppression",
    "suspensions",
    "tenants",
    "warmup",
]

admin.site.index_title = "Administration"
