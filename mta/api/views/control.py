"""Move own mail to another pool; with scope operate: suspend, resume and drain anything."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor, fields, orders
from mta.api.history import iso
from mta.api.orders import DRY_RUN, OrderRequest, OrderShape
from mta.api.problems import invalid, not_found
from mta.api.shapes import Shape, page_of
from mta.api.tenant_view import TenantView, caller_of
from mta.api.views.egress import pools_of
from mta.control import draining, moving, names, selection, suspensions
from mta.control.changes import TAKES
from mta.control.draining import Load
from mta.control.preview import preview
from mta.control.reach import reach
from mta.control.refusal import Refused
from mta.egress.models import Source, SourceStatus, Suspension, SuspensionScope
from mta.mail.ids import encode
from mta.policy.lifecycle import WAITING
from mta.tenants.credentials import OPERATE, Caller


class MoveFilter(fields.Body):
    """At least one member; all that are given must hold."""

    stream = fields.Text(required=False, max_length=63)
    campaign = fields.Text(required=False, max_length=128)
    domain = fields.Text(required=False, max_length=253)
    site = fields.Text(required=False, max_length=253)
    address = fields.Text(required=False, max_length=320)
    state = fields.Choice(sorted(state.value for state in TAKES["move"]), required=False)
    older_than = fields.Text(required=False, max_length=20, help_text="Such as 2h.")


class MoveRequest(OrderRequest):
    pool = fields.Text(max_length=63, help_text="One of GET pools; the stream's own brings back.")
    filter = MoveFilter()


class Move(TenantView):
    """Waiting mail changes its pool."""

    scopes = {"POST": "manage"}

    @extend_schema(
        operation_id="move_mail",
        tags=["control"],
        summary="Move waiting and held mail to another pool",
        parameters=[DRY_RUN],
        request=MoveRequest,
        responses=OrderShape,
        examples=[
            OpenApiExample(
                "move",
                {"pool": "slow", "filter": {"campaign": "spring", "domain": "customer.example"}},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        only_count = orders.dry_run(request)
        body = MoveRequest(data=request.data)
        body.is_valid(raise_exception=True)
        values: dict[str, Any] = body.validated_data
        caller = caller_of(request)
        pool = pools_of(caller.tenant_id).filter(name=values["pool"]).first()
        if pool is None:
            raise invalid("pool", "None of your pools has that name; GET pools lists them.")
        if not values["filter"]:
            raise invalid("filter", "Say which mail is meant, such as its campaign.")
        words = [f"{key}={value}" for key, value in values["filter"].items()]
        try:
            chosen = selection.read([f"tenant={caller.tenant_name}", *words], TAKES["move"])
        except Refused as refused:
            raise orders.refused("filter", refused) from None
        seen, done = preview(chosen, TAKES["move"]), None
        if not only_count:
            done = moving.move(chosen, pool, by=orders.actor(request), reason=values["reason"])
        return Response(orders.as_dict(seen, done))


class SuspensionShape(Shape):
    id = serializers.CharField()
    scope = serializers.ChoiceField(SuspensionScope.values)
    name = serializers.CharField(help_text="A campaign is TENANT/CAMPAIGN.")
    reason = serializers.CharField()
    created_by = serializers.CharField(help_text="A person, or TENANT/first characters of a key.")
    created_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="null: when it is resumed.")


class SuspensionRequest(OrderRequest):
    name = fields.Text(max_length=253, help_text="Tenant, TENANT/CAMPAIGN, site, provider, source.")
    scope = fields.Choice(
        SuspensionScope.values, required=False, help_text="Needed when the name means several."
    )
    ends_at = fields.Instant(required=False, help_text="Omitted: until it is resumed.")


class SuspendedShape(Shape):
    suspension = SuspensionShape(allow_null=True, help_text="null: it was only counted.")
    waiting = serializers.IntegerField(help_text="Recipients that wait and are reached.")


def suspension_dict(row: Suspension) -> dict[str, Any]:
    return {
        "id": encode(row.pk),
        "scope": row.scope,
        "name": row.key,
        "reason": row.reason,
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
        "ends_at": iso(row.ends_at),
    }


def suspensions_of(caller: Caller) -> QuerySet[Suspension]:
    """What the caller may see: of its tenant and campaigns; everything for an operator."""
    if orders.is_operator(caller):
        return Suspension.objects.order_by("pk")
    mine = Q(scope=SuspensionScope.TENANT, key=caller.tenant_name) | Q(
        scope=SuspensionScope.CAMPAIGN, key__startswith=f"{caller.tenant_name}/"
    )
    return Suspension.objects.filter(mine).order_by("pk")


class Suspensions(TenantView):
    """What is suspended."""

    scopes = {"GET": "read", "POST": OPERATE}

    @extend_schema(
        operation_id="list_suspensions",
        tags=["control"],
        summary="List suspensions of your tenant and campaigns; with scope operate: all",
        parameters=[cursor.AFTER, cursor.LIMIT],
        responses=page_of(SuspensionShape),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit")
        size = cursor.limit(query)
        rows = suspensions_of(caller_of(request)).filter(pk__gt=cursor.after(query))
        return Response(cursor.page(rows[: size + 1], size, lambda row: row.pk, suspension_dict))

    @extend_schema(
        operation_id="suspend",
        tags=["control"],
        summary="Suspend a tenant, campaign, site, provider or source",
        parameters=[DRY_RUN],
        request=SuspensionRequest,
        responses={200: SuspendedShape},
        examples=[
            OpenApiExample("site", {"name": "customer.example", "reason": "they asked"},
                           request_only=True)
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        only_count = orders.dry_run(request)
        body = SuspensionRequest(data=request.data)
        body.is_valid(raise_exception=True)
        values: dict[str, Any] = body.validated_data
        try:
            named = names.find(values["name"], values.get("scope", ""), "name")
        except Refused as refused:
            raise orders.refused("name", refused) from None
        found: dict[str, Any] = {"suspension": None}
        found["waiting"] = preview(reach(named), WAITING).total
        if not only_count:
            made = suspensions.impose(
                named, ends_at=values.get("ends_at"), reason=values["reason"],
                by=orders.actor(request),
            )  # fmt: skip
            found["suspension"] = suspension_dict(made.row)
        return Response(found)


class SuspensionDetail(TenantView):
    """One suspension."""

    scopes = {"DELETE": OPERATE}

    @extend_schema(
        operation_id="resume",
        tags=["control"],
        summary="End a suspension: what it put off goes on",
        responses={204: OpenApiResponse(description="It is resumed.")},
    )
    def delete(self, request: Request, suspension_id: str) -> Response:
        cursor.known_parameters(request.query_params)
        row = Suspension.objects.filter(pk=cursor.id_of(suspension_id)).first()
        if row is None:
            raise not_found()
        suspensions.lift(row, by=orders.actor(request))
        return Response(status=204)


class SourceLoadShape(Shape):
    source = serializers.CharField()  # type: ignore[assignment]  # not Field.source
    status = serializers.ChoiceField(SourceStatus.values)
    bound = serializers.IntegerField(help_text="Waiting recipients that were tried from it.")
    in_flight = serializers.IntegerField(help_text="Under way, and tried from it before.")
    connections = serializers.IntegerField(
        allow_null=True, help_text="Open from it now; null: not known."
    )
    alone_in = serializers.ListField(
        child=serializers.CharField(), help_text="Pools without another active source."
    )


def load_dict(found: Load) -> dict[str, Any]:
    return {
        "source": found.source,
        "status": found.status,
        "bound": found.bound,
        "in_flight": found.in_flight,
        "connections": found.connections,
        "alone_in": list(found.alone_in),
    }


class Drain(TenantView):
    """Begin nothing new on a source."""

    scopes = {"POST": OPERATE}

    @extend_schema(
        operation_id="drain_source",
        tags=["control"],
        summary="Drain a source: begin nothing new, finish what is in flight",
        parameters=[DRY_RUN],
        request=OrderRequest,
        responses=SourceLoadShape,
        examples=[OpenApiExample("reason", {"reason": "new address"}, request_only=True)],
    )
    def post(self, request: Request, source: str) -> Response:
        return ordered(request, source, drain=True)


class Undrain(TenantView):
    """Let a drained source send again."""

    scopes = {"POST": OPERATE}

    @extend_schema(
        operation_id="undrain_source",
        tags=["control"],
        summary="Let a draining source send again",
        parameters=[DRY_RUN],
        request=OrderRequest,
        responses=SourceLoadShape,
        examples=[OpenApiExample("reason", {"reason": "it is well"}, request_only=True)],
    )
    def post(self, request: Request, source: str) -> Response:
        return ordered(request, source, drain=False)


def ordered(request: Request, name: str, *, drain: bool) -> Response:
    """Drain or undrain as the request asks."""
    only_count = orders.dry_run(request)
    body = OrderRequest(data=request.data)
    body.is_valid(raise_exception=True)
    row = None if fields.CONTROLS.search(name) else Source.objects.filter(name=name).first()
    if row is None:
        raise not_found()
    order = draining.drain if drain else draining.undrain
    try:
        found = draining.load(row) if only_count else order(
            row, by=orders.actor(request), reason=body.validated_data["reason"]
        )  # fmt: skip
    except Refused as refused:
        raise orders.refused("source", refused) from None
    return Response(load_dict(found))
