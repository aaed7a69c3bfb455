"""What waits of a campaign, and when it will be gone."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import cursor
from mta.api.history import iso
from mta.api.problems import not_found
from mta.api.shapes import Shape, instant
from mta.api.tenant_view import TenantView, caller_of
from mta.delivery.forecast import Forecast, ForecastLine, forecast, is_campaign
from mta.tenants.models import Tenant

LIMITED = "Name of the limit that ends last, `warmup`, `retries`, or who is suspended."


class ForecastLineShape(Shape):
    reach = serializers.CharField(help_text="Provider, or site where no provider is known.")
    stream = serializers.CharField()
    waiting = serializers.IntegerField()
    known = serializers.BooleanField(help_text="false: its MX hosts were not looked up yet.")
    done_at = instant("null: no end in sight.", null=True)
    latest_at = instant("The same when warmup stages stay what they are.", null=True)
    limited_by = serializers.CharField(help_text=LIMITED)


class ForecastShape(Shape):
    campaign = serializers.CharField()
    at = instant("When this was worked out.")
    waiting = serializers.IntegerField(help_text="Recipients that wait or are tried right now.")
    held = serializers.IntegerField(help_text="Recipients that wait for a person.")
    done_at = instant("When the last waiting one will have gone; null: no end in sight.", null=True)
    latest_at = instant("The same when warmup stages stay what they are.", null=True)
    limited_by = serializers.CharField(help_text=LIMITED)
    lines = ForecastLineShape(many=True, help_text="By provider or site; what ends last is first.")
    more_lines = serializers.IntegerField(help_text="Lines left out; they end earlier.")
    assumptions = serializers.ListField(child=serializers.CharField())


class CampaignForecast(TenantView):
    """When a campaign will be done."""

    @extend_schema(
        operation_id="get_forecast",
        tags=["campaigns"],
        summary="See when a waiting campaign will be done under the present limits",
        description=(
            "Counts what waits and applies the limits in force: rates, connections, warmup, "
            "quotas. What is assumed is in `assumptions`. A campaign that is done has `waiting` 0."
        ),
        parameters=[
            OpenApiParameter(
                "campaign", {"type": "string", "minLength": 1, "maxLength": 128},
                OpenApiParameter.PATH, description="Its name, as it was injected.",
            )
        ],
        responses=ForecastShape,
    )  # fmt: skip
    def get(self, request: Request, campaign: str) -> Response:
        cursor.known_parameters(request.query_params)
        tenant = Tenant.objects.get(pk=caller_of(request).tenant_id)
        if "\0" in campaign or not is_campaign(tenant, campaign):
            raise not_found()
        found = forecast(tenant, campaign, timezone.now())
        return Response(as_dict(found or done(tenant, campaign)))


def done(tenant: Tenant, campaign: str) -> Forecast:
    """The forecast of a campaign of which nothing waits."""
    now = timezone.now()
    return Forecast(tenant.name, campaign, now, 0, 0, now, now, "", (), 0, ())


def as_dict(found: Forecast) -> dict[str, object]:
    return {
        "campaign": found.campaign,
        "at": iso(found.at),
        "waiting": found.waiting,
        "held": found.held,
        "done_at": iso(found.done_at),
        "latest_at": iso(found.latest_at),
        "limited_by": found.limited_by,
        "lines": [line_dict(line) for line in found.lines],
        "more_lines": found.more_lines,
        "assumptions": list(found.assumptions),
    }


def line_dict(line: ForecastLine) -> dict[str, object]:
    return {
        "reach": line.reach,
        "stream": line.stream,
        "waiting": line.waiting,
        "known": line.known,
        "done_at": iso(line.done_at),
        "latest_at": iso(line.latest_at),
        "limited_by": line.limited_by,
    }
