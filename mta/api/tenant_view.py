"""What every view on a tenant's things begins with: its scopes and its caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.views import APIView

from mta.tenants.credentials import Caller


class TenantView(APIView):
    """A view on what belongs to the caller's tenant."""

    # DRF would name OPTIONS in Allow and then answer 405.
    http_method_names = ["get", "head", "post", "patch", "delete"]

    #: Scope per method.
    scopes: ClassVar[Mapping[str, str]] = {"GET": "read"}


def caller_of(request: Request) -> Caller:
    """The authenticated caller; views behind HasScope always have one."""
    caller: Caller = request.auth  # type: ignore[assignment]  # what BearerAuthentication gave
    return caller
