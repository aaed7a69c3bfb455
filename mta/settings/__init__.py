"""Django's settings: composition only; what an operator sets is read by mta.settings.config."""

from __future__ import annotations

from typing import Any

from mta.settings.config import Config, load
from mta.settings.databases import databases
from mta.settings.env import Env
from mta.settings.rest import REST_FRAMEWORK, SPECTACULAR_SETTINGS
from mta.settings.unfold import UNFOLD

__all__ = ["REST_FRAMEWORK", "SPECTACULAR_SETTINGS", "UNFOLD"]

MAILMILL: Config = load(Env())

SECRET_KEY = MAILMILL.secret_key
DEBUG = False
ALLOWED_HOSTS = [
    "localhost", "127.0.0.1", "[::1]", MAILMILL.hostname, MAILMILL.http_bind[0],
    *MAILMILL.http_hosts,
]  # fmt: skip
ROOT_URLCONF = "mta.urls"
WSGI_APPLICATION = "mta.wsgi.application"
DATABASES = databases(MAILMILL.database_url, MAILMILL.data_dir)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "tenants.User"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.inlines",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "mta",
    "mta.tenants",
    "mta.egress",
    "mta.suppression",
    "mta.events",
    "mta.spool",
    "mta.api",
    "dashboard",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
# The largest request: a full message as base64 in JSON, plus 10,000 recipients.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAILMILL.max_message_bytes * 2
LOGIN_URL = "admin:login"

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = MAILMILL.https
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
if MAILMILL.https:
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Subdomains and preload lists are for the owner of the domain to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # One line a task is noise: the mail log tells what happened to whom.
    "loggers": {
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
    "root": {"handlers": ["stderr"], "level": MAILMILL.log_level},
}
