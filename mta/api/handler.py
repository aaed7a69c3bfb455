"""The WSGI application of /api/: Django and DRF without the middleware of the pages for people.

Sessions, CSRF, messages and static files cost two to three times what DRF itself does, and no
program that hands in mail needs them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_urlconf

URLCONF = "mta.api.urls"


class ApiHandler(WSGIHandler):
    """Django's handler with its own addresses and no middleware."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        inner = self._get_response  # type: ignore[attr-defined]  # BaseHandler's own name, not in the stubs
        self._answered: Any = convert_exception_to_response(inner)
        self._middleware_chain = self.respond

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> HttpResponseBase:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            measure(environ)
        return super().__call__(environ, start_response)

    def respond(self, request: HttpRequest) -> HttpResponseBase:
        """The answer of the view or of what went wrong, with the headers that all answers have."""
        request.urlconf = URLCONF
        try:
            response: HttpResponseBase = self._answered(request)
        finally:
            # Django leaves it on the thread, where the next to reverse a name may be a page.
            set_urlconf(None)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if not response.streaming:
            response.headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]  # every answer that is not streamed has it
        if response.status_code < 500:
            # Django logs a line for each 4xx: whoever sends nonsense must not fill our log.
            response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark
        return response


def measure(environ: dict[str, Any]) -> None:
    """Give a chunked body a length: Django reads no more than CONTENT_LENGTH says."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = environ["wsgi.input"].read(most + 1)
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
