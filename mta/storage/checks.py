"""Constraints that many models share."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models


def one_of(field: str, values: Iterable[str], name: str) -> models.CheckConstraint:
    """The database itself refuses any other value in `field`."""
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": list(values)}), name=name)
