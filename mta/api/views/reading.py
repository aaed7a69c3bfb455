"""What became of mail: messages, recipients, events."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor, history, shapes, stream
from mta.api.problems import invalid
from mta.api.tenant_view import TenantView, caller_of
from mta.events.models import Kind


class RecipientsOfMessage(TenantView):
    """The recipients of a message."""

    @extend_schema(
        operation_id="list_message_recipients",
        tags=["messages"],
        summary="List the recipients of a message",
        parameters=[
            cursor.AFTER,
            cursor.LIMIT,
            OpenApiParameter("state", str, enum=shapes.STATES, description="Only this state."),
        ],
        responses=shapes.page_of(shapes.RecipientItemShape),
    )
    def get(self, request: Request, message_id: str) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit", "state")
        size = cursor.limit(query)
        message = history.message_row(caller_of(request), cursor.id_of(message_id))
        rows = message.recipients.filter(id__gt=cursor.after(query)).order_by("id")
        state = query.get("state")
        if state is not None:
            if state not in shapes.STATES:
                raise invalid("state", f"Must be one of {', '.join(shapes.STATES)}.")
            rows = rows.filter(state=state)
        return Response(cursor.page(rows[: size + 1], size, lambda row: row.pk, history.item))


class RecipientDetail(TenantView):
    """One recipient."""

    @extend_schema(
        operation_id="get_recipient",
        tags=["messages"],
        summary="See a recipient, its attempts, when it is tried next and why",
        responses=shapes.RecipientShape,
    )
    def get(self, request: Request, recipient_id: str) -> Response:
        cursor.known_parameters(request.query_params)
        return Response(history.recipient(caller_of(request), cursor.id_of(recipient_id)))


class Events(TenantView):
    """The tenant's events."""

    @extend_schema(
        operation_id="list_events",
        tags=["events"],
        summary="Read events from a cursor on, oldest first",
        description=(
            "Keep `next` and give it as `after` the next time: no event is skipped or told twice. "
            "Without `after` it begins with the oldest event that is kept."
        ),
        parameters=[
            OpenApiParameter("after", str, description="`next` of the answer before."),
            cursor.LIMIT,
            OpenApiParameter(
                "kind", str, enum=Kind.values, many=True, description="Only these kinds."
            ),
        ],
        responses=shapes.EventPageShape,
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit", "kind")
        kinds = query.getlist("kind")
        for kind in kinds:
            if kind not in Kind.values:
                raise invalid("kind", f"Must be one of {', '.join(Kind.values)}.")
        found = stream.events(
            caller_of(request).tenant_id, cursor.after(query), cursor.limit(query), kinds
        )
        return Response(found)
