"""The schema, and the same as a page for people: rendered here, without script or CDN."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mta.api import reference
from mta.api.problems import Problem, plain
from mta.api.schema import document

#: The page holds its own style and no script.
CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


class Schema(APIView):
    """The OpenAPI document; open to all, as it tells nothing of any tenant."""

    authentication_classes = ()
    permission_classes = ()
    http_method_names = ["get", "head"]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(document(), content_type="application/vnd.oai.openapi+json")


def docs(request: HttpRequest) -> HttpResponse:
    """The reference of the API."""
    if request.method not in {"GET", "HEAD"}:
        problem = Problem(
            "method-not-allowed", "Read this page with GET.", headers={"Allow": "GET"}
        )
        return plain(problem)
    base = f"{request.scheme}://{reference.shown_host(request.META.get('HTTP_HOST', ''))}"
    page = render_to_string("api/docs.html", reference.context(document(), base))
    return HttpResponse(page, headers={"Content-Security-Policy": CONTENT_POLICY})
