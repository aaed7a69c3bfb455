"""Columns that the hot path reads as numbers and bytes, and the admin as values."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime

from mta.storage import secrets

if TYPE_CHECKING:  # Django's fields take type arguments in the stubs only
    IntegerBase = models.BigIntegerField[Any, Any]
    BinaryBase = models.BinaryField[Any, Any]
else:
    IntegerBase = models.BigIntegerField
    BinaryBase = models.BinaryField


def to_ms(value: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(value.timestamp() * 1000)


def from_ms(value: int) -> datetime:
    """The instant in UTC."""
    return datetime.fromtimestamp(value / 1000, tz=UTC)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class InstantField(IntegerBase):
    """An instant kept as milliseconds since the epoch; Python sees an aware datetime in UTC.

    SQLite keeps datetimes as text: parsing one costs more than the rest of reading its row.
    """

    def from_db_value(self, value: int | None, *_: Any) -> datetime | None:
        return None if value is None else from_ms(value)

    def to_python(self, value: Any) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        if isinstance(value, str) and not value.lstrip("-").isdigit():
            return parse_datetime(value)
        return from_ms(int(value))

    def get_prep_value(self, value: Any) -> int | None:
        if isinstance(value, datetime):
            return to_ms(value)
        if isinstance(value, str):
            parsed = self.to_python(value)
            return None if parsed is None else to_ms(parsed)
        return None if value is None else int(value)

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else value.isoformat()

    @property
    def validators(self) -> list[Any]:  # no integer ranges on an instant
        return []

    def formfield(self, **kwargs: Any) -> forms.Field | None:
        kwargs.setdefault("form_class", forms.DateTimeField)
        return models.Field.formfield(self, **kwargs)


class RowIdField(IntegerBase):
    """A 64-bit primary key that its maker sets.

    Where the type is INTEGER, SQLite keeps the row under it; under BIGINT it keeps a second tree
    from key to row, and every look-up goes through both.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)


class EncryptedField(BinaryBase):
    """Bytes that are encrypted in the database with a key derived from the secret key."""

    def from_db_value(self, value: Any, *_: Any) -> bytes | None:
        return None if value is None else secrets.decrypt(bytes(value))

    def get_prep_value(self, value: Any) -> bytes | None:
        return None if value is None else secrets.encrypt(bytes(value))
