"""The WSGI application of /api/: Django and DRF without the middleware of the pages for people.

Sessions, CSRF, messages and static files cost two to three times what DRF itself does, and no
program that hands in mail needs them.
"""

from __future__ import annotations

from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

URLCONF = "mta.api.urls"


class ApiHandler(WSGIHandler):
    """Django's handler with its own addresses and no middleware."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(self.respond)

    def respond(self, request: HttpRequest) -> HttpResponseBase:
        request.urlconf = URLCONF
        response: HttpResponseBase = self._get_response(request)  # type: ignore[attr-defined]  # BaseHandler's own name, not in the stubs
        response.headers["X-Content-Type-Options"] = "nosniff"
        if response.status_code < 500:
            # Django logs a line for each 4xx: whoever sends nonsense must not fill our log.
            response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark
        if not response.streaming:
            response.headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]  # every answer that is not streamed has it
        return response
