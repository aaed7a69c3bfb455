"""The tenant's own suppressions; the instance's global ones are not shown."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor, fields
from mta.api.history import iso
from mta.api.problems import invalid, not_found
from mta.api.shapes import Shape, page_of
from mta.api.tenant_view import TenantView, caller_of
from mta.mail.ids import encode
from mta.suppression.lookup import normalise
from mta.suppression.models import Reason, Suppression
from mta.tenants.credentials import Caller
from mta.tenants.senders import StreamUnknown, stream_for


class SuppressionShape(Shape):
    id = serializers.CharField()
    address = serializers.CharField()
    stream = serializers.CharField(allow_null=True, help_text="null: all streams.")
    reason = serializers.ChoiceField(Reason.values)
    origin = serializers.CharField(help_text="What led to it: a reply, a person, a file.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class SuppressionRequest(fields.Body):
    address = fields.AddressText(max_length=320)
    stream = fields.Text(required=False, max_length=63, help_text="Omitted: all streams.")
    reason = fields.Choice(
        [Reason.MANUAL.value, Reason.IMPORT.value, Reason.UNSUBSCRIBE.value,
         Reason.COMPLAINT.value], default=Reason.MANUAL.value,
    )  # fmt: skip
    origin = fields.Text(required=False, max_length=200, allow_blank=True, default="")
    expires_at = fields.Instant(required=False)


def as_dict(row: Suppression) -> dict[str, Any]:
    return {
        "id": encode(row.pk),
        "address": row.address,
        "stream": row.stream.name if row.stream else None,
        "reason": row.reason,
        "origin": row.origin,
        "created_at": iso(row.created_at),
        "expires_at": iso(row.expires_at),
    }


def add(caller: Caller, values: dict[str, Any]) -> tuple[Suppression, bool]:
    """The suppression and whether it is new; one that exists stays as it is."""
    stream = None
    if "stream" in values:
        try:
            stream = stream_for(caller.tenant_id, values["stream"] or "-")
        except StreamUnknown as error:
            raise invalid("stream", str(error)) from None
    key = {
        "tenant_id": caller.tenant_id,
        "stream": stream,
        "address": normalise(str(values["address"])),
    }
    found = Suppression.objects.filter(**key).first()
    if found is not None:
        return found, False
    rest = {name: values[name] for name in ("reason", "origin", "expires_at") if name in values}
    try:
        with transaction.atomic():
            return Suppression.objects.create(**key, **rest), True
    except IntegrityError:  # the same was added a moment ago
        return Suppression.objects.get(**key), False


class Suppressions(TenantView):
    """All suppressions of the tenant."""

    scopes = {"GET": "read", "POST": "manage"}

    @extend_schema(
        operation_id="list_suppressions",
        tags=["suppressions"],
        summary="List suppressions",
        parameters=[
            cursor.AFTER,
            cursor.LIMIT,
            OpenApiParameter("address", str, description="Only this address."),
        ],
        responses=page_of(SuppressionShape),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit", "address")
        size = cursor.limit(query)
        rows = Suppression.objects.filter(
            tenant_id=caller_of(request).tenant_id, pk__gt=cursor.after(query)
        )
        if "address" in query:
            rows = rows.filter(address=normalise(query["address"].replace("\0", "")))
        rows = rows.select_related("stream").order_by("pk")
        return Response(cursor.page(rows[: size + 1], size, lambda row: row.pk, as_dict))

    @extend_schema(
        operation_id="add_suppression",
        tags=["suppressions"],
        summary="Suppress an address",
        request=SuppressionRequest,
        examples=[
            OpenApiExample(
                "manual",
                {"address": "ann@customer.example", "origin": "asked by phone"},
                request_only=True,
            )
        ],
        responses={
            201: SuppressionShape,
            200: OpenApiResponse(SuppressionShape, "It was there already and stays as it is."),
        },
    )
    def post(self, request: Request) -> Response:
        body = SuppressionRequest(data=request.data)
        body.is_valid(raise_exception=True)
        row, new = add(caller_of(request), body.validated_data)
        return Response(as_dict(row), 201 if new else 200)


class SuppressionDetail(TenantView):
    """One suppression."""

    scopes = {"GET": "read", "DELETE": "manage"}

    def row(self, request: Request, suppression_id: str) -> Suppression:
        rows = Suppression.objects.filter(
            tenant_id=caller_of(request).tenant_id, pk=cursor.id_of(suppression_id)
        )
        found = rows.select_related("stream").first()
        if found is None:
            raise not_found()
        return found

    @extend_schema(
        operation_id="get_suppression",
        tags=["suppressions"],
        summary="See a suppression",
        responses=SuppressionShape,
    )
    def get(self, request: Request, suppression_id: str) -> Response:
        return Response(as_dict(self.row(request, suppression_id)))

    @extend_schema(
        operation_id="delete_suppression",
        tags=["suppressions"],
        summary="Write to the address again",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, suppression_id: str) -> Response:
        self.row(request, suppression_id).delete()
        return Response(status=204)
