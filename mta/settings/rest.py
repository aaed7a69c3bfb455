"""Settings of Django REST framework and of the schema."""

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["mta.api.auth.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["mta.api.auth.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["mta.api.codec.JsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["mta.api.codec.JsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "mta.api.codec.OnlyJson",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "mta.api.problems.answer",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Mailmill API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": "Hand in mail and see what became of it.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "POSTPROCESSING_HOOKS": ["mta.api.schema.add_problems"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "COMPONENT_SPLIT_REQUEST": False,
    # In the order of mta/api/urls.py: what is used most comes first.
    "SORT_OPERATIONS": False,
}
