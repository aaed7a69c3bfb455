"""How the tenant's mail leaves: its pools, and the queues that wait."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor
from mta.api.history import iso
from mta.api.shapes import Shape, page_of
from mta.api.tenant_view import TenantView, caller_of
from mta.egress.models import Pool, SourceStatus
from mta.mail.ids import encode
from mta.spool.ids import EPOCH_MS, RANDOM_BITS
from mta.spool.lanes import URGENCY
from mta.spool.models import WAITING, Lane, Recipient
from mta.storage.fields import from_ms


class SourceShape(Shape):
    name = serializers.CharField()
    address = serializers.CharField(allow_null=True, help_text="null: whatever the system takes.")
    ehlo_name = serializers.CharField()
    status = serializers.ChoiceField(SourceStatus.values)
    weight = serializers.IntegerField()


class PoolShape(Shape):
    name = serializers.CharField()
    shared = serializers.BooleanField(help_text="Other tenants send through it too.")
    overflow = serializers.CharField(allow_null=True)
    streams = serializers.ListField(child=serializers.CharField(), help_text="Your streams on it.")
    sources = SourceShape(many=True)


class QueueShape(Shape):
    id = serializers.CharField()
    stream = serializers.CharField()
    domain = serializers.CharField()
    urgency = serializers.ChoiceField(list(URGENCY.values()))
    pool = serializers.CharField(allow_null=True, help_text="Moved there; null: the stream's.")
    site = serializers.CharField(help_text="Rollup of its MX hosts; empty before the first look.")
    waiting = serializers.IntegerField(help_text="Recipients that are not tried right now.")
    oldest_at = serializers.DateTimeField(help_text="When the oldest came in.", allow_null=True)
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    last_reply = serializers.CharField()
    hold_reason = serializers.CharField(help_text="Why it waits although mail is due.")


def pool_dict(pool: Pool, tenant_id: int) -> dict[str, Any]:
    return {
        "name": pool.name,
        "shared": pool.tenant_id is None,
        "overflow": pool.overflow.name if pool.overflow else None,
        "streams": sorted(s.name for s in pool.streams.all() if s.tenant_id == tenant_id),
        "sources": [
            {
                "name": member.source.name,
                "address": member.source.address,
                "ehlo_name": member.source.ehlo_name,
                "status": member.source.status,
                "weight": member.weight,
            }
            for member in pool.members.all()
        ],
    }


def pools_of(tenant_id: int) -> QuerySet[Pool]:
    """The tenant's pools, and the shared ones that a stream of it leaves through."""
    mine = Q(tenant_id=tenant_id) | Q(tenant__isnull=True, streams__tenant_id=tenant_id)
    return Pool.objects.filter(mine).distinct()


class Pools(TenantView):
    """Pools that the tenant's streams can leave through."""

    @extend_schema(
        operation_id="list_pools",
        tags=["egress"],
        summary="List pools with their sources",
        parameters=[cursor.AFTER, cursor.LIMIT],
        responses=page_of(PoolShape),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit")
        size, tenant_id = cursor.limit(query), caller_of(request).tenant_id
        rows = pools_of(tenant_id).filter(pk__gt=cursor.after(query)).order_by("pk")
        rows = rows.select_related("overflow").prefetch_related("members__source", "streams")
        return Response(
            cursor.page(
                rows[: size + 1], size, lambda row: row.pk, lambda row: pool_dict(row, tenant_id)
            )
        )


def queues(tenant_id: int, after: int, size: int) -> dict[str, Any]:
    """Lanes where something waits: two statements, however many rows there are."""
    rows = list(
        Lane.objects.filter(tenant_id=tenant_id, due_at__isnull=False, pk__gt=after)
        .select_related("stream")
        .order_by("pk")[: size + 1]
    )
    counted = {
        lane: (number, oldest)
        for lane, number, oldest in Recipient.objects.filter(lane__in=rows, state__in=WAITING)
        .order_by()
        .values_list("lane_id")
        .annotate(number=Count("id"), oldest=Min("id"))
    }

    moved = {lane.pool_id for lane in rows} - {0}
    pools = dict(Pool.objects.filter(pk__in=moved).values_list("pk", "name")) if moved else {}

    def shape(lane: Lane) -> dict[str, Any]:
        number, oldest = counted.get(lane.pk, (0, None))
        return {
            "id": encode(lane.pk),
            "stream": lane.stream.name,
            "domain": lane.domain,
            "urgency": URGENCY[lane.priority],
            "pool": pools.get(lane.pool_id),
            "site": lane.site,
            "waiting": number,
            "oldest_at": None if oldest is None else iso(made_at(oldest)),
            "next_attempt_at": iso(lane.due_at),
            "last_reply": lane.last_reply,
            "hold_reason": lane.hold_reason,
        }

    return cursor.page(rows, size, lambda lane: lane.pk, shape)


def made_at(number: int) -> datetime:
    """When an id was made: it begins with its millisecond."""
    return from_ms((number >> RANDOM_BITS) + EPOCH_MS)


class Queues(TenantView):
    """What waits, by stream and domain."""

    @extend_schema(
        operation_id="list_queues",
        tags=["egress"],
        summary="List queues: what waits for which domain, and why",
        parameters=[cursor.AFTER, cursor.LIMIT],
        responses=page_of(QueueShape),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        cursor.known_parameters(query, "after", "limit")
        caller = caller_of(request)
        return Response(queues(caller.tenant_id, cursor.after(query), cursor.limit(query)))
