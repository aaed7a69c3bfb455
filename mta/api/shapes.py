"""The shapes of answers, for the schema; views fill them with plain dicts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from mta.events.models import Kind
from mta.policy.lifecycle import State

STATES = [state.value for state in State]


class Shape(serializers.Serializer[Any]):
    """An object of an answer; `FooShape` is `Foo` in the schema."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        extend_schema_serializer(component_name=cls.__name__.removesuffix("Shape"))(cls)


def name_of(what: str) -> serializers.CharField:
    return serializers.CharField(help_text=f"Id of the {what}: 13 characters of base32.")


def instant(help_text: str, *, null: bool = False) -> serializers.DateTimeField:
    return serializers.DateTimeField(help_text=help_text, allow_null=null)


def page_of(shape: type[Shape]) -> type[Shape]:
    """{items, next} of a shape."""
    members = {
        "items": shape(many=True),
        "next": serializers.CharField(
            allow_null=True, help_text="Give it as `after` for the next page; null: the last page."
        ),
    }
    return type(f"{shape.__name__.removesuffix('Shape')}Page", (Shape,), members)


class MessageShape(Shape):
    id = name_of("message")
    reverse_path = serializers.CharField(help_text="Envelope sender; empty: the null path.")
    subject = serializers.CharField()
    stream = serializers.CharField()
    campaign = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    metadata = serializers.DictField()
    created_at = instant("When it was accepted.")
    expires_at = instant("No attempt after this instant.")
    recipients = serializers.IntegerField(help_text="How many recipients it has.")
    states = serializers.DictField(
        child=serializers.IntegerField(), help_text="Recipients per state."
    )


class RecipientItemShape(Shape):
    id = name_of("recipient")
    to = serializers.CharField()
    state = serializers.ChoiceField(STATES)
    attempts = serializers.IntegerField(help_text="Attempts so far.")
    next_attempt_at = instant("When it may be tried again.", null=True)
    last_reply = serializers.CharField(help_text="The last word on it: a reply or our reason.")
    bounce_class = serializers.CharField(help_text="Empty unless it failed.")
    updated_at = instant("When the state last changed.")


class AttemptShape(Shape):
    number = serializers.IntegerField(help_text="1 is the first.")
    at = instant("When it ended.")
    took_ms = serializers.IntegerField(help_text="Milliseconds from claim to answer.")
    outcome = serializers.ChoiceField(["delivered", "deferred", "bounced"])
    stage = serializers.CharField(help_text="Where it was decided: connect, mail, rcpt, dot, ...")
    reply = serializers.CharField()
    bounce_class = serializers.CharField()
    rule = serializers.CharField(help_text="The bounce rule that decided.")
    source = serializers.CharField()  # type: ignore[assignment]  # not Field.source
    site = serializers.CharField()
    mx_host = serializers.CharField()
    mx_address = serializers.CharField()
    tls = serializers.CharField(help_text="Version and cipher; empty: none.")


class RecipientShape(RecipientItemShape):
    message_id = name_of("message")
    metadata = serializers.DictField()
    history = AttemptShape(many=True, help_text="The attempts, oldest first.")
    why = serializers.CharField(help_text="Why it waits; empty in a final state.")
    engaged = serializers.BooleanField(help_text="Goes before other bulk mail.")


class ReplyShape(Shape):
    code = serializers.IntegerField()
    enhanced = serializers.CharField()
    text = serializers.CharField()


class EventShape(Shape):
    id = serializers.CharField(help_text="Also the cursor behind this event.")
    at = instant("When it happened.")
    kind = serializers.ChoiceField(Kind.values)
    tenant = serializers.CharField()
    message_id = name_of("message")
    recipient_id = name_of("recipient")
    to = serializers.CharField()
    stream = serializers.CharField(required=False)
    campaign = serializers.CharField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    metadata = serializers.DictField(required=False)
    reply = ReplyShape(required=False, allow_null=True)
    bounce_class = serializers.CharField(required=False)
    permanent = serializers.BooleanField(required=False)
    scope = serializers.CharField(required=False)
    source = serializers.CharField(required=False)  # type: ignore[assignment]  # as above
    mx_host = serializers.CharField(required=False)
    site = serializers.CharField(required=False)
    attempt = serializers.IntegerField(required=False)
    tls = serializers.CharField(required=False)
    took_ms = serializers.IntegerField(required=False)
    queued_ms = serializers.IntegerField(required=False)
    next_attempt_at = serializers.DateTimeField(required=False, allow_null=True)


class EventPageShape(Shape):
    items = EventShape(many=True)
    next = serializers.CharField(
        help_text="Give it as `after` next time, also when there were no items."
    )
    more = serializers.BooleanField(help_text="Further events are there already.")


class DnsRecordShape(Shape):
    purpose = serializers.ChoiceField(["dkim", "spf", "dmarc"])
    name = serializers.CharField()
    type = serializers.CharField()
    value = serializers.CharField()
