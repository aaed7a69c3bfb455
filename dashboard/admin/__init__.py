"""Django admin of everything the database keeps; one module per app."""

from dashboard.admin import egress, events, people, spool, suppression, tenants

__all__ = ["egress", "events", "people", "spool", "suppression", "tenants"]
