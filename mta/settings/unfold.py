"""Settings of the admin's look."""

from typing import Any

UNFOLD: dict[str, Any] = {"SITE_TITLE": "Mailmill", "SITE_HEADER": "Mailmill"}
