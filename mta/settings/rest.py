"""Settings of Django REST framework and of the schema."""

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {}
SPECTACULAR_SETTINGS: dict[str, Any] = {}
