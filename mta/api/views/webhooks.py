"""Webhook endpoints are kept here; events are read from /events until deliveries exist."""

from __future__ import annotations

import base64
import secrets
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor, fields
from mta.api.history import iso
from mta.api.problems import Problem, not_found
from mta.api.shapes import Shape, page_of
from mta.api.tenant_view import TenantView, caller_of
from mta.events.models import Kind, WebhookEndpoint
from mta.mail.ids import encode

NOTE = "Kept for later: Mailmill does not send events to webhooks yet. Read them from /events."


class WebhookShape(Shape):
    id = serializers.CharField()
    url = serializers.CharField()
    kinds = serializers.ListField(child=serializers.ChoiceField(Kind.values))
    enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class WebhookCreatedShape(WebhookShape):
    secret = serializers.CharField(help_text="Shown only now; it will sign deliveries.")


class WebhookRequest(fields.Body):
    url = fields.Text(max_length=500, help_text="An https:// or http:// address.")
    kinds = serializers.ListField(
        child=fields.Choice(Kind.values), required=False, help_text="Omitted or empty: all kinds."
    )
    enabled = fields.Flag(required=False)

    def validate_url(self, value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or " " in value or not value.isascii() or parts.username is not None:
            raise serializers.ValidationError(
                "Give an address such as https://shop.example/mail-events, without user name."
            )
        return value

    def validate_kinds(self, value: list[str]) -> list[str]:
        return sorted(set(value))


def as_dict(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": encode(row.pk),
        "url": row.url,
        "kinds": row.kinds,
        "enabled": row.enabled,
        "created_at": iso(row.created_at),
    }


def save(row: WebhookEndpoint) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Problem(
            "conflict", "There is a webhook with this url: change that one, or give another url."
        ) from None


class Webhooks(TenantView):
    """All webhook endpoints of the tenant."""

    scopes = {"GET": "read", "POST": "manage"}

    @extend_schema(
        operation_id="list_webhooks",
        tags=["webhooks"],
        summary="List webhook endpoints",
        description=NOTE,
        parameters=[cursor.AFTER, cursor.LIMIT],
        responses=page_of(WebhookShape),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit")
        size = cursor.limit(query)
        rows = WebhookEndpoint.objects.filter(
            tenant_id=caller_of(request).tenant_id, pk__gt=cursor.after(query)
        ).order_by("pk")
        return Response(cursor.page(rows[: size + 1], size, lambda row: row.pk, as_dict))

    @extend_schema(
        operation_id="add_webhook",
        tags=["webhooks"],
        summary="Add a webhook endpoint",
        description=NOTE,
        request=WebhookRequest,
        examples=[
            OpenApiExample(
                "outcomes",
                {"url": "https://shop.example/mail-events", "kinds": ["delivery", "bounce"]},
                request_only=True,
            )
        ],
        responses={201: WebhookCreatedShape},
    )
    def post(self, request: Request) -> Response:
        body = WebhookRequest(data=request.data)
        body.is_valid(raise_exception=True)
        # The form of Standard Webhooks: whsec_ and base64 of 24 to 64 random bytes.
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        row = WebhookEndpoint(
            tenant_id=caller_of(request).tenant_id, secret=secret.encode(), **body.validated_data
        )
        save(row)
        return Response({**as_dict(row), "secret": secret}, 201)


class WebhookDetail(TenantView):
    """One webhook endpoint."""

    scopes = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}

    def row(self, request: Request, webhook_id: str) -> WebhookEndpoint:
        found = WebhookEndpoint.objects.filter(
            tenant_id=caller_of(request).tenant_id, pk=cursor.id_of(webhook_id)
        ).first()
        if found is None:
            raise not_found()
        return found

    @extend_schema(
        operation_id="get_webhook",
        tags=["webhooks"],
        summary="See a webhook endpoint",
        description=NOTE,
        responses=WebhookShape,
    )
    def get(self, request: Request, webhook_id: str) -> Response:
        return Response(as_dict(self.row(request, webhook_id)))

    @extend_schema(
        operation_id="change_webhook",
        tags=["webhooks"],
        summary="Change a webhook endpoint",
        description=NOTE,
        request=WebhookRequest,
        examples=[OpenApiExample("off", {"enabled": False}, request_only=True)],
        responses=WebhookShape,
    )
    def patch(self, request: Request, webhook_id: str) -> Response:
        row = self.row(request, webhook_id)
        body = WebhookRequest(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        for name, value in body.validated_data.items():
            setattr(row, name, value)
        save(row)
        return Response(as_dict(row))

    @extend_schema(
        operation_id="delete_webhook",
        tags=["webhooks"],
        summary="Delete a webhook endpoint",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, webhook_id: str) -> Response:
        self.row(request, webhook_id).delete()
        return Response(status=204)
