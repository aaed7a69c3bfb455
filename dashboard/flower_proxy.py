"""/flower/: Celery's monitor behind the dashboard's own login.

Rule 1: staff may look; only operators may change something (any method but GET and HEAD).
Rule 2: a change must come from our own pages: the browser says so in Sec-Fetch-Site or Origin.
        Flower's pages know nothing of Django's CSRF token.
Rule 3: no cookie and no credential of a person passes through, in either direction.
"""

from __future__ import annotations

import http.client
from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseForbidden,
    StreamingHttpResponse,
)
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dashboard import flower as config
from dashboard.roles import is_operator, is_staff

TIMEOUT_SECONDS = 15.0
CHUNK = 65_536
LARGEST_BODY = 1_000_000
LOOKS = ("GET", "HEAD")
#: What Flower needs to know of a request, and what the browser needs to know of the answer.
REQUEST_HEADERS = ("Accept", "Accept-Language", "Content-Type", "If-None-Match",
                   "If-Modified-Since", "X-Requested-With")  # fmt: skip
RESPONSE_HEADERS = ("Content-Type", "Content-Length", "Content-Disposition", "Cache-Control",
                    "ETag", "Last-Modified", "Location", "Vary")  # fmt: skip


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def flower(request: HttpRequest) -> HttpResponseBase:
    """Pass the request on to Flower and stream its answer."""
    if not is_staff(request.user):
        if request.user.is_authenticated:
            return HttpResponseForbidden("Flower is for staff.", content_type="text/plain")
        return redirect_to_login(request.get_full_path())
    if request.method not in LOOKS:
        refusal = why_not_change(request)
        if refusal:
            return HttpResponseForbidden(refusal, content_type="text/plain")
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST_BODY:
        return HttpResponse("Too large for Flower.", status=413, content_type="text/plain")
    try:
        return forward(request)
    except (OSError, http.client.HTTPException) as error:
        return HttpResponse(
            f"Flower does not answer at {config.address}:{config.port} ({error}).\n"
            "It starts with the stack; its lines in the terminal or in `docker compose logs "
            "flower` say why it is not there.\n",
            status=502,
            content_type="text/plain; charset=utf-8",
        )


def why_not_change(request: HttpRequest) -> str:
    """Why this request may not change anything; empty when it may."""
    if not is_operator(request.user):
        return "Only operators may change something in Flower."
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin", "")
    ours = site == "same-origin" if site else urlsplit(origin).netloc == request.get_host()
    return "" if ours else "This request does not come from the dashboard's own pages."


def forward(request: HttpRequest) -> StreamingHttpResponse:
    """OSError or HTTPException when Flower is not there or does not speak HTTP."""
    connection = http.client.HTTPConnection(config.address, config.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(
            request.method or "GET",
            request.get_full_path(),
            body=request.body or None,
            headers=headers_for_flower(request.headers),
        )
        reply = connection.getresponse()
    except BaseException:
        connection.close()
        raise
    response = StreamingHttpResponse(Body(connection, reply), status=reply.status)
    del response["Content-Type"]
    for name in RESPONSE_HEADERS:
        value = reply.headers.get(name)
        if value is not None:
            response[name] = value
    return response


def headers_for_flower(headers: Mapping[str, str]) -> dict[str, str]:
    passed = {name: headers[name] for name in REQUEST_HEADERS if name in headers}
    password = b64encode(config.basic_auth[0].encode()).decode()
    return {**passed, "Authorization": f"Basic {password}"}


class Body:
    """What Flower answers, in pieces; Django calls `close` however the response ends."""

    def __init__(
        self, connection: http.client.HTTPConnection, reply: http.client.HTTPResponse
    ) -> None:
        self.connection = connection
        self.reply = reply

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.reply.read(CHUNK):
            yield chunk

    def close(self) -> None:
        self.reply.close()
        self.connection.close()
