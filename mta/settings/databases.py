"""Turns MAILMILL_DATABASE_URL into Django's DATABASES."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# synchronous=FULL: a commit is on disk before 250 is said; WAL lets readers run beside the writer.
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
    "PRAGMA mmap_size=268435456; PRAGMA cache_size=-4096; PRAGMA wal_autocheckpoint=4000;"
)


def databases(url: str, data_dir: Path) -> dict[str, dict[str, Any]]:
    """DATABASES for the URL; empty means SQLite in the data folder.

    Raises ImproperlyConfigured for any other scheme.
    """
    if not url:
        data_dir.mkdir(parents=True, exist_ok=True)
        return {"default": sqlite(data_dir / "mailmill.sqlite3")}
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"default": sqlite(Path(unquote(parts.path)))}
    if parts.scheme in {"postgresql", "postgres"}:
        return {"default": postgresql(url)}
    raise ImproperlyConfigured(
        f"MAILMILL_DATABASE_URL: scheme {parts.scheme!r} is not supported; "
        "give sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME."
    )


def sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        # Each of a worker's threads keeps its connection: small caches, the file is mapped.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # IMMEDIATE: a writer queues at BEGIN instead of failing in the middle.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": SQLITE_PRAGMAS,
        },
    }


def postgresql(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": options.pop("port", "") or str(parts.port or ""),
        # Hundreds of threads share a few connections: each is given back when its work is done.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**options, "pool": {"min_size": 1, "max_size": 20, "timeout": 30}},
    }
