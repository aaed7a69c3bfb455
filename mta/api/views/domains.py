"""Sending domains with the DNS records to publish."""

from __future__ import annotations

import dataclasses
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor, fields
from mta.api.history import iso
from mta.api.problems import Problem, invalid, not_found
from mta.api.shapes import DnsRecordShape, Shape, page_of
from mta.api.tenant_view import TenantView, caller_of
from mta.egress.provision import DomainTaken, ProvisionError, add_domain, dns_records
from mta.mail.address import AddressError, normalise_domain
from mta.tenants.models import DkimAlgorithm, DkimKey, SendingDomain, Tenant


class DkimKeyShape(Shape):
    selector = serializers.CharField()
    algorithm = serializers.ChoiceField(DkimAlgorithm.values)
    active_from = serializers.DateTimeField(allow_null=True)
    active_until = serializers.DateTimeField(allow_null=True)


class DomainShape(Shape):
    domain = serializers.CharField(help_text="A-label, lower case.")
    created_at = serializers.DateTimeField()
    dkim_keys = DkimKeyShape(many=True)
    dns_records = DnsRecordShape(many=True, help_text="What to publish.")


class DomainRequest(fields.Body):
    domain = fields.Text(max_length=253, help_text="Such as shop.example.")


def as_dict(row: SendingDomain) -> dict[str, Any]:
    return {
        "domain": row.domain,
        "created_at": iso(row.created_at),
        "dkim_keys": [key_dict(key) for key in row.dkim_keys.all()],
        "dns_records": [dataclasses.asdict(record) for record in dns_records(row)],
    }


def key_dict(key: DkimKey) -> dict[str, Any]:
    return {
        "selector": key.selector,
        "algorithm": key.algorithm,
        "active_from": iso(key.active_from),
        "active_until": iso(key.active_until),
    }


class Domains(TenantView):
    """All sending domains of the tenant."""

    scopes = {"GET": "read", "POST": "manage"}

    @extend_schema(
        operation_id="list_domains",
        tags=["domains"],
        summary="List sending domains",
        parameters=[cursor.AFTER, cursor.LIMIT],
        responses=page_of(DomainShape),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit")
        size = cursor.limit(query)
        rows = SendingDomain.objects.filter(
            tenant_id=caller_of(request).tenant_id, pk__gt=cursor.after(query)
        )
        rows = rows.select_related("tenant").prefetch_related("dkim_keys").order_by("pk")
        return Response(cursor.page(rows[: size + 1], size, lambda row: row.pk, as_dict))

    @extend_schema(
        operation_id="add_domain",
        tags=["domains"],
        summary="Add a sending domain with an RSA-2048 and an Ed25519 key",
        request=DomainRequest,
        examples=[OpenApiExample("domain", {"domain": "shop.example"}, request_only=True)],
        responses={201: DomainShape},
    )
    def post(self, request: Request) -> Response:
        body = DomainRequest(data=request.data)
        body.is_valid(raise_exception=True)
        tenant = Tenant.objects.get(pk=caller_of(request).tenant_id)
        try:
            row, _ = add_domain(tenant, body.validated_data["domain"])
        except DomainTaken as error:
            raise Problem("conflict", error.reason) from None
        except ProvisionError as error:
            raise invalid(error.field, error.reason) from None
        return Response(as_dict(row), 201)


class DomainDetail(TenantView):
    """One sending domain."""

    @extend_schema(
        operation_id="get_domain",
        tags=["domains"],
        summary="See a sending domain and its DNS records",
        responses=DomainShape,
    )
    def get(self, request: Request, domain: str) -> Response:
        try:
            name = normalise_domain(domain)
        except AddressError:
            raise not_found() from None
        rows = SendingDomain.objects.filter(tenant_id=caller_of(request).tenant_id, domain=name)
        row = rows.select_related("tenant").prefetch_related("dkim_keys").first()
        if row is None:
            raise not_found()
        return Response(as_dict(row))
