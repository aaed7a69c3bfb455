"""Who sees which rows.

Rule 1: operators (and superusers) see and change everything the admin offers.
Rule 2: marketers see rows that lead to one of their tenants, by the paths in SCOPES, and rows that
        are shared (no tenant) where SCOPES says so; they change only the former.
Rule 3: a model that SCOPES does not name belongs to operators alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from mta.egress.models import Pool, PoolMember, Source, WarmupSchedule, WarmupStage
from mta.events.models import Decision, Event, WebhookEndpoint
from mta.spool.models import Attempt, Lane, Message, Recipient
from mta.suppression.models import Suppression
from mta.tenants.models import (
    ApiKey,
    DkimKey,
    Role,
    SendingDomain,
    SmtpCredential,
    Stream,
    Tenant,
    User,
)

Person = User | AnonymousUser
ALL = frozenset({"view", "add", "change", "delete"})
VIEW = frozenset({"view"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What marketers may do with the rows of one model."""

    #: Look-up from the row to its tenant's id; empty: the rows belong to nobody and all may look.
    path: str
    #: Rows without a tenant can be seen too.
    shared: bool = False
    may: frozenset[str] = ALL


SCOPES: Mapping[type[Model], Scope] = MappingProxyType(
    {
        Tenant: Scope("pk", may=VIEW),
        ApiKey: Scope("tenant_id"),
        SmtpCredential: Scope("tenant_id"),
        # Which names a tenant may send as is for operators to grant.
        SendingDomain: Scope("tenant_id", may=VIEW),
        DkimKey: Scope("sending_domain__tenant_id"),
        Stream: Scope("tenant_id"),
        Pool: Scope("tenant_id", shared=True),
        PoolMember: Scope("pool__tenant_id", shared=True),
        # A source is seen through the pools it serves.
        Source: Scope("pools__tenant_id", shared=True, may=VIEW),
        WarmupSchedule: Scope("", may=VIEW),
        WarmupStage: Scope("", may=VIEW),
        Suppression: Scope("tenant_id"),
        WebhookEndpoint: Scope("tenant_id"),
        Event: Scope("tenant_id", may=VIEW),
        # Those about no tenant are for operators.
        Decision: Scope("tenant_id", may=VIEW),
        Message: Scope("tenant_id", may=VIEW),
        Lane: Scope("tenant_id", may=VIEW),
        Recipient: Scope("message__tenant_id", may=VIEW),
        Attempt: Scope("recipient__message__tenant_id", may=VIEW),
    }
)


def is_operator(user: Person) -> bool:
    """Whether the person sees every tenant."""
    if not user.is_active or not isinstance(user, User):
        return False
    return bool(user.is_superuser or user.role == Role.OPERATOR)


def is_staff(user: Person) -> bool:
    """Whether the person may see the dashboard at all."""
    return bool(user.is_active and user.is_staff)


def for_operators(request: HttpRequest) -> bool:
    """For the sidebar: whether the person who asks is an operator."""
    return is_operator(request.user)


def tenant_ids(user: Person) -> list[int]:
    """Ids of a marketer's tenants, read once per request; not meant for operators."""
    if not isinstance(user, User) or not user.is_active:
        return []
    kept: list[int] | None = getattr(user, "_tenant_ids", None)
    if kept is None:
        kept = sorted(user.tenants.values_list("pk", flat=True))
        user._tenant_ids = kept  # type: ignore[attr-defined]  # lives as long as the request's user
    return kept


def reach(user: Person) -> list[int] | None:
    """None for an operator (every tenant), else the ids of the tenants the person may see."""
    return None if is_operator(user) else tenant_ids(user)


def may(user: Person, model: type[Model], action: str) -> bool:
    """Whether the person may do `action` (view, add, change, delete) with some row of the model."""
    if not is_staff(user):
        return False
    if is_operator(user):
        return True
    scope = SCOPES.get(model)
    return scope is not None and action in scope.may


def seen(user: Person, rows: QuerySet[Any], *, owned: bool = False) -> QuerySet[Any]:
    """The rows that the person may see; with `owned`, those that may be changed."""
    if is_operator(user):
        return rows
    scope = SCOPES.get(rows.model)
    if scope is None:
        return rows.none()
    if not scope.path:
        return rows
    mine = Q(**{f"{scope.path}__in": tenant_ids(user)})
    if scope.shared and not owned:
        mine |= Q(**{f"{scope.path}__isnull": True}) & shared_exists(scope)
    if scope.path.startswith("pools__"):  # many pools, one row
        return rows.filter(pk__in=rows.model._default_manager.filter(mine).values("pk"))
    return rows.filter(mine)


def shared_exists(scope: Scope) -> Q:
    """Guards the outer join: a row without any pool is not a row of a shared pool."""
    return Q(pools__isnull=False) if scope.path.startswith("pools__") else Q()


def owns(user: Person, row: Model) -> bool:
    """Whether the person may change this row, by the row alone (one query for a marketer)."""
    if is_operator(user):
        return True
    rows = type(row)._default_manager.filter(pk=row.pk)
    return seen(user, rows, owned=True).exists()
