"""Strict fields: a value of another JSON type is refused, never converted.

Rule 1: what the schema says is what is taken; an unknown member is an error, not a no-op.
Rule 2: each message says what would fit.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mta.mail.address import Address, AddressError, parse_address

#: Bytes of one metadata object: it is repeated in every event.
METADATA_BYTES = 4096
#: NUL has no place in PostgreSQL text, the other controls none in a line.
CONTROLS = re.compile("[\x00-\x1f\x7f]")
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Body(serializers.Serializer[Any]):
    """A JSON object without unknown members."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(n for n, f in self.fields.items() if not f.read_only)
                raise serializers.ValidationError(
                    {name: [f"Unknown member; give only {known}."] for name in unknown}
                )
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A string as it is given; one line unless `lines` is set."""

    def __init__(self, *, lines: bool = False, **kwargs: Any) -> None:
        self.lines = lines
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        if "\0" in data or (not self.lines and CONTROLS.search(data)):
            raise serializers.ValidationError("Remove line ends and other control characters.")
        return data


class Flag(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.")
        return data


class Choice(serializers.ChoiceField):
    """One of the given strings."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise serializers.ValidationError(f"Must be one of {known}.")
        return data


class Instant(serializers.DateTimeField):
    """An RFC 3339 instant with offset; Python sees an aware datetime in UTC."""

    def to_internal_value(self, value: Any) -> datetime:
        try:
            if not isinstance(value, str) or not INSTANT.fullmatch(value):
                raise ValueError
            found = parse_datetime(value.upper())
            if found is None:
                raise ValueError
            return found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise serializers.ValidationError(
                "Must be an instant with offset, such as 2027-01-31T08:00:00Z."
            ) from None


class Parsed(Text):
    """A string that Python sees as a value; `parse` raises ValidationError."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # After the validators: they count characters of the string.
        return self.parse(super().run_validation(data))

    def parse(self, text: str) -> Any:
        raise NotImplementedError


class AddressText(Parsed):
    """A mail address without display name; Python sees an Address."""

    def parse(self, text: str) -> Address:
        try:
            return parse_address(text)
        except AddressError as error:
            raise serializers.ValidationError(
                f"No mail address ({error.reason}): give one such as ann@shop.example."
            ) from None


@extend_schema_field(OpenApiTypes.OBJECT)
class Metadata(serializers.Field[Any, Any, Any, Any]):
    """A JSON object that is returned in events as it was given."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        reason = metadata_fault(data)
        if reason:
            raise serializers.ValidationError(reason)
        found: dict[str, Any] = data
        return found

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {"type": "string", "contentEncoding": "base64", "description": "Base64 (RFC 4648 4)."}
)
class Base64(serializers.Field[Any, Any, Any, Any]):
    """Bytes as base64; line ends in it are taken."""

    def to_internal_value(self, data: Any) -> bytes:
        try:
            if not isinstance(data, str):
                raise ValueError
            return base64.b64decode("".join(data.split()), validate=True)
        except (ValueError, binascii.Error):
            raise serializers.ValidationError("Must be base64 (RFC 4648 4).") from None

    def to_representation(self, value: Any) -> str:
        return base64.b64encode(value).decode()


def metadata_fault(data: Any) -> str:
    """Why `data` is no metadata; empty when it is."""
    if not isinstance(data, dict):
        return "Must be an object."
    try:
        size = len(orjson.dumps(data))
    except orjson.JSONEncodeError:
        return "Must not be nested deeper than 250 levels."
    return f"Must have at most {METADATA_BYTES} bytes as JSON." if size > METADATA_BYTES else ""
