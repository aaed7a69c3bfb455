"""What addresses that order something share: who orders, whether it is only counted, answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from mta.api import cursor, fields
from mta.api.history import iso
from mta.api.problems import Problem, invalid, not_found
from mta.api.shapes import STATES, Shape
from mta.api.tenant_view import caller_of
from mta.control.changes import Done
from mta.control.preview import Preview
from mta.control.refusal import Refused
from mta.tenants.credentials import OPERATE, Caller
from mta.tenants.models import ApiKey

DRY_RUN = OpenApiParameter(
    "dry_run", bool, description="true: count what would change, and change nothing."
)


class OrderRequest(fields.Body):
    reason = fields.Text(
        required=False, allow_blank=True, max_length=200, default="",
        help_text="Kept with the decision, shown where the mail is seen waiting.",
    )  # fmt: skip


class OrderShape(Shape):
    """What an order means, and what it did."""

    total = serializers.IntegerField(help_text="Recipients that it means.")
    by_state = serializers.DictField(child=serializers.IntegerField(), help_text="By state.")
    in_flight = serializers.IntegerField(help_text="Meant too, but under way: left alone.")
    oldest_at = serializers.DateTimeField(allow_null=True)
    done = serializers.BooleanField(help_text="false: it was only counted.")
    changed = serializers.IntegerField(help_text="Recipients that changed.")


def as_dict(seen: Preview, done: Done | None) -> dict[str, Any]:
    return {
        "total": seen.total,
        "by_state": {state: seen.by_state[state] for state in STATES if state in seen.by_state},
        "in_flight": seen.in_flight,
        "oldest_at": iso(seen.oldest_at),
        "done": done is not None,
        "changed": done.changed if done else 0,
    }


def dry_run(request: Request) -> bool:
    """Whether the caller only wants the count."""
    cursor.known_parameters(request.query_params, "dry_run")
    text = request.query_params.get("dry_run", "false")
    if text not in {"true", "false"}:
        raise invalid("dry_run", "Must be true or false.")
    return text == "true"


def actor(request: Request) -> str:
    """Who orders, as decisions and suspensions name it: TENANT/first characters of the key."""
    caller = caller_of(request)
    prefix = ApiKey.objects.values_list("prefix", flat=True).get(pk=caller.credential_id)
    return f"{mark_of(caller)}{prefix}"


def mark_of(caller: Caller) -> str:
    """How actors begin that act for the caller's tenant; no user name has a slash."""
    return f"{caller.tenant_name}/"


def is_operator(caller: Caller) -> bool:
    """Whether the key reaches beyond its tenant."""
    return OPERATE in caller.scopes


def campaign_of(text: str) -> str:
    """The campaign in an address; one that cannot be stored is as unknown as a missing one."""
    if fields.CONTROLS.search(text) or len(text) > 128:
        raise not_found()
    return text


def refused(field: str, error: Refused) -> Problem:
    return invalid(field, error.reason[:1].upper() + error.reason[1:])
