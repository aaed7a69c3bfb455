"""Hand in a message; look at one."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor, history
from mta.api.idempotency import key_of
from mta.api.injection import accept
from mta.api.shapes import MessageShape, Shape
from mta.api.submission import MessageRequest
from mta.api.tenant_view import TenantView, caller_of

EXAMPLE = {
    "from": "Shop <news@shop.example>",
    "recipients": [
        {"to": "ann@customer.example", "substitutions": {"name": "Ann"}},
        {"to": "bob@customer.example", "substitutions": {"name": "Bob"}},
    ],
    "subject": "A word for {{ name }}",
    "text": "Dear {{ name }}, ...",
    "html": "<p>Dear {{ name }}, ...</p>",
    "campaign": "spring",
}


class RejectedShape(Shape):
    index = serializers.IntegerField(help_text="Place in the request's recipients.")
    to = serializers.CharField()
    reason = serializers.CharField()


class AcceptedShape(Shape):
    id = serializers.CharField(help_text="Id of the message.")
    accepted = serializers.IntegerField(help_text="Recipients that are stored.")
    suppressed = serializers.IntegerField(
        help_text="How many of these are suppressed and will not be written to."
    )
    rejected = RejectedShape(many=True)


class Messages(TenantView):
    """The way in for programs."""

    scopes = {"POST": "send"}

    @extend_schema(
        operation_id="send_message",
        tags=["messages"],
        summary="Hand in a message for 1 to 10,000 recipients",
        description=(
            "202 means that the message is on disk. Recipients with a wrong address are in "
            "`rejected`, the others go on. A template that cannot be rendered for one recipient "
            "refuses the whole request and names recipient and variable. Give `subject`, `text`, "
            "`html`, `headers`, `attachments`; or `raw`; or `raw_base64`."
        ),
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
                OpenApiParameter.HEADER,
                description="Send the request again under the same key and nothing is sent twice.",
            )
        ],
        request=MessageRequest,
        responses={202: OpenApiResponse(AcceptedShape, "It is on disk.")},
        examples=[OpenApiExample("campaign", EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> HttpResponse:
        caller = caller_of(request)
        data = request.data
        key = key_of(caller.tenant_id, request.headers.get("Idempotency-Key"), request.body)
        return HttpResponse(accept(caller, data, key), "application/json", 202)


class MessageDetail(TenantView):
    """One message."""

    @extend_schema(
        operation_id="get_message",
        tags=["messages"],
        summary="See a message and how many of its recipients are in which state",
        responses=MessageShape,
    )
    def get(self, request: Request, message_id: str) -> Response:
        cursor.known_parameters(request.query_params)
        return Response(history.message(caller_of(request), cursor.id_of(message_id)))
