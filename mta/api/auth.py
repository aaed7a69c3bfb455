"""Who calls: a bearer token, and what its scopes allow.

Rule 1: every view says which scope each method needs; a method without one needs none (it is 405).
Rule 2: the tenant comes from the key alone; no request can name another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mta.tenants.credentials import Caller, caller_by_api_key

if TYPE_CHECKING:  # rest_framework.views imports this module through the settings
    from rest_framework.views import APIView

HOW = "Send the header Authorization: Bearer KEY"


class BearerAuthentication(BaseAuthentication):
    """Authorization: Bearer KEY (RFC 6750 2.1); the user of the request is its Caller."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller]:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, token = header.partition(" ")
        if not header:
            raise NotAuthenticated(f"{HOW}.")
        if scheme.lower() != "bearer" or not token:
            raise AuthenticationFailed(f"The Authorization header is no bearer token. {HOW}.")
        caller = caller_by_api_key(token.strip())
        if caller is None:
            raise AuthenticationFailed(
                "The API key is unknown, revoked or expired: make a new one in the admin."
            )
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """The key's scopes include the one that the view asks for."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        method = "GET" if request.method == "HEAD" else str(request.method)
        needed = getattr(view, "scopes", {}).get(method, "")
        caller = request.auth
        if needed and not (isinstance(caller, Caller) and needed in caller.scopes):
            raise PermissionDenied(
                f"This needs the scope {needed!r}: use a key that has it, or add it in the admin."
            )
        return True
