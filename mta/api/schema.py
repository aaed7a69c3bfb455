"""The OpenAPI 3.1 document: what drf-spectacular finds, and the problems that can be answered."""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator

from mta.api.problems import CONTENT_TYPE, status_name

METHODS = ("get", "post", "put", "patch", "delete")
WITH_BODY = ("post", "put", "patch")
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `errors` names each wrong field and the fix.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Leads to its paragraph on the docs page."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to change."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {"type": "string", "description": "Such as recipients[3].to."},
                    "detail": {"type": "string"},
                    "index": {"type": "integer", "description": "Which recipient."},
                    "to": {"type": "string", "description": "Its address."},
                    "variable": {
                        "type": ["string", "null"],
                        "description": "The template variable.",
                    },
                },
            },
        },
        "rejected": {"type": "array", "items": {"$ref": "#/components/schemas/Rejected"}},
    },
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped library
    target_class = "mta.api.auth.BearerAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key: `manage.py create_tenant`, or the admin, makes one.",
        }


@cache
def document() -> dict[str, Any]:
    """The schema as a dict; made once a process."""
    found: dict[str, Any] = SchemaGenerator(urlconf="mta.api.urls").get_schema(  # type: ignore[no-untyped-call]  # untyped library
        request=None, public=True
    )
    return found


def add_problems(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """Postprocessing hook of drf-spectacular."""
    schemas = result["components"]["schemas"]
    for name, schema in schemas.items():
        if "Request" in name:
            schema["additionalProperties"] = False
    schemas["Problem"] = PROBLEM
    for path, operations in result["paths"].items():
        for method in METHODS:
            if method in operations:
                document_problems(path, method, operations[method])
    return result


def document_problems(path: str, method: str, operation: dict[str, Any]) -> None:
    statuses = {401, 403, 422, 500, 503}
    if "{" in path:
        statuses.add(404)
    if method in WITH_BODY:
        statuses |= {400, 409, 413, 415}
    if path.endswith("/messages"):
        statuses.add(429)
    for status in sorted(statuses):
        operation["responses"][str(status)] = {
            "description": f"{status_name(status)}.",
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    operation["responses"] = dict(sorted(operation["responses"].items()))
