"""Every error of the API is one of these problems (RFC 9457), and says what to change.

Rule 1: a problem has a kind from the table; the kind fixes status and title.
Rule 2: `errors` names each wrong field and the fix.
Rule 3: nothing of our inside (exception texts, SQL, paths) gets out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

#: kind -> (status, title); the docs page explains each under its name.
KINDS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "No valid API key"),
    "scope-missing": (403, "The API key may not do this"),
    "tenant-suspended": (403, "The tenant is suspended"),
    "sender-not-allowed": (403, "The tenant may not send as this domain"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "The address does not take this method"),
    "conflict": (409, "It exists already"),
    "idempotency-conflict": (409, "The Idempotency-Key was used for another request"),
    "too-large": (413, "The request or the message is too large"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "invalid": (422, "Some fields do not fit"),
    "all-rejected": (422, "No recipient was accepted"),
    "policy-rejected": (422, "The local policy refuses the message"),
    "quota-exceeded": (429, "The tenant's quota is used up"),
    "internal": (500, "Something broke on our side"),
    "unavailable": (503, "The store is busy"),
}


class Problem(Exception):
    """Raised anywhere in a request; answered as it says."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.members = members

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        found: dict[str, Any] = {
            "type": f"/api/docs#{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            found["errors"] = self.errors
        return found | self.members


def invalid(field: str, detail: str, **members: Any) -> Problem:
    """One field that does not fit; the detail says what would."""
    return Problem(
        "invalid", f"{field}: {detail}", errors=[{"field": field, "detail": detail, **members}]
    )


def answer(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler; None lets Django answer 500 and log the trace."""
    problem = of(error)
    if problem is None:
        return None
    return Response(
        problem.body(), problem.status, headers=problem.headers, content_type=CONTENT_TYPE
    )


def of(error: Exception) -> Problem | None:
    """The problem that an exception stands for; None when it is a bug."""
    match error:
        case Problem():
            return error
        case exceptions.ValidationError():
            errors = list(flat(error.detail))
            first = f"{errors[0]['field']}: {errors[0]['detail']}" if errors else "wrong input"
            return Problem("invalid", first, errors=errors)
        case RequestDataTooBig():
            return too_large()
        case exceptions.ParseError() | SuspiciousOperation():
            return Problem("malformed", str(error) or "The request cannot be read.")
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Problem("unauthorized", str(error), headers={"WWW-Authenticate": "Bearer"})
        case exceptions.PermissionDenied():
            return Problem("scope-missing", str(error))
        case Http404() | exceptions.NotFound():
            return not_found()
        case exceptions.MethodNotAllowed():
            return Problem("method-not-allowed", f"{error} See the Allow header.")
        case exceptions.UnsupportedMediaType():
            return Problem(
                "unsupported-media-type",
                "Send the body as JSON with the header Content-Type: application/json.",
            )
        case OperationalError():
            log.exception("the database did not answer in time")
            return Problem(
                "unavailable",
                "Nothing was stored; send the request again.",
                headers={"Retry-After": "1"},
            )
    return None


def flat(detail: Any, field: str = "") -> Iterator[dict[str, str]]:
    """DRF's nested errors as {field, detail}, fields written as in `recipients[3].to`."""
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            if key == "non_field_errors":
                yield from flat(value, field)
            elif isinstance(key, int):
                yield from flat(value, f"{field}[{key}]")
            else:
                yield from flat(value, f"{field}.{key}" if field else str(key))
    elif isinstance(detail, list):
        for value in detail:
            yield from flat(value, field)
    else:
        yield {"field": field or "body", "detail": str(detail)}


def not_found() -> Problem:
    return Problem(
        "not-found", "No such resource belongs to your tenant; check the address and the id."
    )


def too_large() -> Problem:
    return Problem(
        "too-large", "The request body is too large: send fewer recipients or smaller attachments."
    )


def plain(problem: Problem) -> HttpResponse:
    """The answer outside DRF."""
    return HttpResponse(
        orjson.dumps(problem.body()),
        status=problem.status,
        headers=problem.headers,
        content_type=CONTENT_TYPE,
    )


def handle_400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain(of(exception) or Problem("malformed", "The request cannot be read."))


def handle_403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain(Problem("scope-missing", "This is not allowed."))


def handle_404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain(not_found())


def handle_500(request: HttpRequest) -> HttpResponse:
    detail = "The request was not carried out; send it again, and tell the operator if it stays."
    return plain(Problem("internal", detail))


def status_name(status: int) -> str:
    return HTTPStatus(status).phrase
