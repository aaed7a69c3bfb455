"""The body of POST messages: its members, and what they may be together."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mta.api import fields
from mta.api.problems import Problem
from mta.mail.address import Address, AddressError, parse_address, parse_mailbox

MAX_RECIPIENTS = 10_000
RECIPIENT_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_RECIPIENTS,
    "items": {
        "type": "object",
        "required": ["to"],
        "additionalProperties": False,
        "properties": {
            "to": {"type": "string", "description": "An address without display name."},
            "substitutions": {
                "type": ["object", "null"],
                "additionalProperties": {},
                "description": "Values of the templates' variables.",
            },
            "metadata": {
                "type": ["object", "null"],
                "additionalProperties": {},
                "description": "Returned in the events of this recipient, beside the message's.",
            },
            "engaged": {
                "type": "boolean",
                "default": False,
                "description": "Known to read: of bulk mail it goes first, and before others over "
                "sources that warm up.",
            },
        },
    },
}


class Mailbox(fields.Parsed):
    """`Name <address>` or an address."""

    def parse(self, text: str) -> tuple[str, Address]:
        try:
            return text, parse_mailbox(text)[1]
        except AddressError as error:
            raise serializers.ValidationError(
                f"No mailbox ({error.reason}): give one such as Shop <news@shop.example>."
            ) from None


class ReversePath(fields.Parsed):
    """An address, or empty for the null reverse path."""

    def parse(self, text: str) -> Address | None:
        try:
            return parse_address(text) if text else None
        except AddressError as error:
            raise serializers.ValidationError(
                f"No mail address ({error.reason}): give one of your domains, or an empty string."
            ) from None


@extend_schema_field(RECIPIENT_SCHEMA)
class Recipients(serializers.Field[Any, Any, Any, Any]):
    """The list as it is; mta.api.recipients reads the rows."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list) or not data:
            raise serializers.ValidationError(
                'Must be a list such as [{"to": "ann@shop.example"}], with 1 recipient or more.'
            )
        if len(data) > MAX_RECIPIENTS:
            raise serializers.ValidationError(
                f"At most {MAX_RECIPIENTS} recipients fit in a request: split them over several."
            )
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class Headers(serializers.DictField):
    """Further header fields: name to value."""

    child = fields.Text(allow_blank=True, max_length=10_000)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if len(data) > 100 if isinstance(data, dict) else False:
            raise serializers.ValidationError("At most 100 header fields.")
        found: dict[str, str] = super().to_internal_value(data)
        return found


class AttachmentRequest(fields.Body):
    filename = fields.Text(max_length=255)
    content_type = fields.Text(max_length=255, default="application/octet-stream")
    content = fields.Base64()
    content_id = fields.Text(
        max_length=255, required=False,
        help_text="Makes it an inline image: <img src='cid:CONTENT_ID'> shows it.",
    )  # fmt: skip


class MessageRequest(fields.Body):
    """One message: from subject, text and html (templates), or raw; never both."""

    from_ = Mailbox(
        max_length=1000, required=False,
        help_text="From, such as Shop <news@shop.example>; its domain must be yours. "
        "With raw it may be omitted.",
    )  # fmt: skip
    reverse_path = ReversePath(
        max_length=320, required=False, allow_blank=True,
        help_text="Envelope sender, where bounces go. Omitted: the address in from. "
        "Empty: no bounces.",
    )  # fmt: skip
    reply_to = Mailbox(max_length=1000, required=False, help_text="Reply-To.")
    recipients = Recipients()
    subject = fields.Text(
        max_length=2000, required=False, allow_blank=True, help_text="Template (Jinja2)."
    )
    text = fields.Text(lines=True, required=False, allow_blank=True, help_text="Template.")
    html = fields.Text(
        lines=True, required=False, allow_blank=True, help_text="Template; values are escaped."
    )
    headers = Headers(required=False, help_text="Further header fields; values are templates.")
    attachments = serializers.ListField(child=AttachmentRequest(), required=False, max_length=100)
    raw = fields.Text(
        lines=True, required=False, help_text="A whole message (RFC 5322) instead of subject, ..."
    )
    raw_base64 = fields.Base64(required=False, help_text="The same as base64, for 8-bit content.")
    stream = fields.Text(max_length=63, required=False, help_text="Omitted: the default stream.")
    campaign = fields.Text(max_length=128, required=False, allow_blank=True)
    tags = serializers.ListField(child=fields.Text(max_length=64), required=False, max_length=20)
    metadata = fields.Metadata(required=False, help_text="Returned in events as it was given.")
    send_at = fields.Instant(required=False, help_text="No attempt before this instant.")
    expires_at = fields.Instant(required=False, help_text="No attempt after this instant.")

    def get_fields(self) -> dict[str, Any]:
        found = super().get_fields()
        return {"from": found.pop("from_"), **found}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        raw = [name for name in ("raw", "raw_base64") if name in attrs]
        built = ("subject", "text", "html", "headers", "attachments", "reply_to")
        if len(raw) > 1 or (raw and any(name in attrs for name in built)):
            raise serializers.ValidationError(
                {raw[0]: f"Give {raw[0]} alone, without {', '.join(built)} or another raw form."}
            )
        if not raw:
            check_built(attrs)
        check_times(attrs)
        return attrs


def check_built(attrs: dict[str, Any]) -> None:
    """What a message from parts needs."""
    missing = {
        name: "Is required without raw." for name in ("from", "subject") if name not in attrs
    }
    if missing:
        raise serializers.ValidationError(missing)
    if not attrs.get("text") and not attrs.get("html"):
        raise serializers.ValidationError({"text": "Give text, html or both; or raw."})
    size = sum(len(attrs.get(name) or "") for name in ("text", "html"))
    size += sum(len(a["content"]) * 4 // 3 for a in attrs.get("attachments", ()))
    check_size(size)


def check_size(size: int) -> None:
    """Problem 413 when the message is larger than the instance takes."""
    most = settings.MAILMILL.max_message_bytes
    if size > most:
        raise Problem(
            "too-large",
            f"The message would have {size} bytes and at most {most} are taken: "
            "make attachments smaller, or link to them.",
        )


def check_times(attrs: dict[str, Any]) -> None:
    expires_at = attrs.get("expires_at")
    if expires_at is None:
        return
    now = timezone.now()
    if expires_at <= max(now, attrs.get("send_at", now)):
        raise serializers.ValidationError(
            {"expires_at": "Must be later than now and than send_at, or no attempt is ever made."}
        )


#: Fields hold no state of a request, so one serializer reads them all; making one costs 0.5 ms.
REQUEST = MessageRequest()
