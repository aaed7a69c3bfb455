"""A tenant cancels, suspends and resumes its own campaigns."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from mta.api import fields, orders
from mta.api.orders import DRY_RUN, OrderRequest, OrderShape
from mta.api.problems import Problem, not_found
from mta.api.tenant_view import TenantView, caller_of
from mta.control import campaigns, suspensions
from mta.control.changes import TAKES, Done
from mta.control.names import Named
from mta.control.preview import preview
from mta.control.refusal import Refused
from mta.control.selection import Selection
from mta.egress.models import Suspension, SuspensionScope
from mta.policy.lifecycle import WAITING, State
from mta.spool.campaigns import key_of

WHY = OpenApiExample("reason", {"reason": "wrong price"}, request_only=True)


class CancelRequest(OrderRequest):
    dsn = fields.Flag(default=False, help_text="Tell the senders, as after a refusal (RFC 3464).")


class SuspendRequest(OrderRequest):
    ends_at = fields.Instant(required=False, help_text="Omitted: until it is resumed.")


def mail_of(request: Request, campaign: str) -> Selection:
    """The campaign's recipients, if it is the caller's; else it is not there."""
    try:
        return campaigns.named(caller_of(request).tenant_name, orders.campaign_of(campaign))
    except Refused:
        raise not_found() from None


def suspension_of(request: Request, campaign: str) -> Suspension | None:
    """The suspension in force; Problem when it is the operator's, who alone ends or changes it."""
    caller = caller_of(request)
    found = Suspension.objects.filter(
        scope=SuspensionScope.CAMPAIGN, key=key_of(caller.tenant_name, campaign)
    ).first()
    ours = found is None or found.created_by.startswith(orders.mark_of(caller))
    if not ours and not orders.is_operator(caller):
        raise Problem(
            "scope-missing", "The operator has suspended this campaign: ask the operator."
        )
    return found


class CancelCampaign(TenantView):
    """End what waits of a campaign."""

    scopes = {"POST": "manage"}

    @extend_schema(
        operation_id="cancel_campaign",
        tags=["control"],
        summary="Cancel a campaign: waiting and held recipients end now",
        description="What is in flight finishes, and is not tried again. Ended recipients become "
        "`admin_bounced`, each with an event.",
        parameters=[DRY_RUN],
        request=CancelRequest,
        responses=OrderShape,
        examples=[WHY],
    )
    def post(self, request: Request, campaign: str) -> Response:
        only_count = orders.dry_run(request)
        chosen = mail_of(request, campaign)
        body = CancelRequest(data=request.data)
        body.is_valid(raise_exception=True)
        seen, done = preview(chosen, TAKES["bounce"]), None
        if not only_count:
            values: dict[str, Any] = body.validated_data
            done = campaigns.cancel(
                chosen, by=orders.actor(request), reason=values["reason"], dsn=values["dsn"]
            )
        return Response(orders.as_dict(seen, done))


class SuspendCampaign(TenantView):
    """Hold a campaign."""

    scopes = {"POST": "manage"}

    @extend_schema(
        operation_id="suspend_campaign",
        tags=["control"],
        summary="Suspend a campaign: its mail is held until it is resumed",
        description="Mail of the campaign that comes in meanwhile is held too. Time goes on: held "
        "mail expires when its life is over.",
        parameters=[DRY_RUN],
        request=SuspendRequest,
        responses=OrderShape,
        examples=[WHY],
    )
    def post(self, request: Request, campaign: str) -> Response:
        only_count = orders.dry_run(request)
        chosen = mail_of(request, campaign)
        suspension_of(request, campaign)
        body = SuspendRequest(data=request.data)
        body.is_valid(raise_exception=True)
        seen, done = preview(chosen, WAITING), None
        if not only_count:
            key = key_of(caller_of(request).tenant_name, campaign)
            made = suspensions.impose(
                Named(SuspensionScope.CAMPAIGN.value, key),
                ends_at=body.validated_data.get("ends_at"),
                reason=body.validated_data["reason"],
                by=orders.actor(request),
            )
            done = Done(made.held)
        return Response(orders.as_dict(seen, done))


class ResumeCampaign(TenantView):
    """Let a suspended campaign go on."""

    scopes = {"POST": "manage"}

    @extend_schema(
        operation_id="resume_campaign",
        tags=["control"],
        summary="Resume a campaign: what its suspension held goes on",
        parameters=[DRY_RUN],
        request=OrderRequest,
        responses=OrderShape,
        examples=[WHY],
    )
    def post(self, request: Request, campaign: str) -> Response:
        only_count = orders.dry_run(request)
        found = suspension_of(request, orders.campaign_of(campaign))
        if found is None:
            raise not_found()
        body = OrderRequest(data=request.data)
        body.is_valid(raise_exception=True)
        seen, done = preview(suspensions.held_by(found.key), frozenset({State.HELD})), None
        if not only_count:
            _, released = suspensions.lift(
                found, by=orders.actor(request), reason=body.validated_data["reason"]
            )
            done = Done(released)
        return Response(orders.as_dict(seen, done))
