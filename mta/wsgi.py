"""The web process: /api/ on a slim handler, the pages for people on the full stack."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mta.settings")
pages = get_wsgi_application()

from mta import wiring  # noqa: E402  # needs the settings that the line above loads
from mta.api.handler import ApiHandler  # noqa: E402
from mta.observe import maillog  # noqa: E402

maillog.open_file(wiring.config().data_dir / "log" / "mail.log")

api = ApiHandler()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """One WSGI application for granian."""
    inner = api if environ.get("PATH_INFO", "").startswith("/api/") else pages
    return inner(environ, start_response)
