"""What keeps our data: database, Redis, the secret key; and the clocks they share."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import redis
from django.conf import settings
from django.db import connection

from dashboard import health
from dashboard.setup_check_finding import Finding, doubtful, failed, fine
from mta import wiring
from mta.storage.secrets import WrongKey
from mta.tenants.models import DkimKey

#: Seconds that a server may take to answer.
TIMEOUT = 3.0
OLDEST_POSTGRESQL, OLDEST_SQLITE, OLDEST_REDIS = 140_000, (3, 35), (6, 2)
#: Seconds between our clock and that of Redis.
CLOCKS_DIFFER, CLOCKS_FAR_APART = 2.0, 30.0
KEY_DAYS, KEY_LENGTH = 730, 32


def database() -> list[Finding]:
    """It answers, its version knows what we use, and a commit is on disk when it returns."""
    if connection.vendor == "postgresql":
        return postgresql()
    with connection.cursor() as cursor:
        cursor.execute("SELECT sqlite_version()")
        version = str(cursor.fetchone()[0])
        cursor.execute("PRAGMA synchronous")
        synchronous = int(cursor.fetchone()[0])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SQLITE:
        return [failed("database", f"SQLite {version} is too old", "install 3.35 or newer.")]
    if synchronous < 2:
        return [
            failed(
                "database",
                "SQLite does not wait for the disk",
                "remove what overrides PRAGMA synchronous=FULL.",
            )
        ]
    return [fine("database", f"SQLite {version}, commits are on disk")]


def postgresql() -> list[Finding]:
    unreachable = no_answer()
    if unreachable:
        return [failed("database", unreachable, "start it, or correct MAILMILL_DATABASE_URL.")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'), "
            "current_setting('fsync'), current_setting('synchronous_commit')"
        )
        number, version, fsync, commit = cursor.fetchone()
    if number < OLDEST_POSTGRESQL:
        return [failed("database", f"PostgreSQL {version} is too old", "install 14 or newer.")]
    if fsync == "off" or commit == "off":
        return [
            failed(
                "database",
                f"PostgreSQL {version} answers before a commit is on disk "
                f"(fsync {fsync}, synchronous_commit {commit})",
                "set both to on: accepted mail is lost with the power otherwise.",
            )
        ]
    return [fine("database", f"PostgreSQL {version}, commits are on disk")]


def no_answer() -> str:
    """Why nobody listens at the server's port; "" when somebody does, or for a local socket."""
    place = settings.DATABASES["default"]
    host, port = str(place["HOST"]), int(place["PORT"] or 5432)
    if not host or host.startswith("/"):
        return ""
    try:
        socket.create_connection((host, port), TIMEOUT).close()
    except OSError as error:
        return f"PostgreSQL at {host}:{port} does not answer ({error.strerror or 'time-out'})"
    return ""


def migrations() -> list[Finding]:
    said = health.migrations()
    if said:
        return [failed("migrations", said, "run manage.py migrate.")]
    return [fine("migrations", "all applied")]


def client() -> redis.Redis:
    """A client of its own, for the shared one is patient."""
    return redis.Redis.from_url(
        wiring.config().redis_address, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
    )


def redis_server() -> list[Finding]:
    """It answers, keeps the broker's queues, and its version knows what we use."""
    try:
        with client() as server:
            info: dict[str, Any] = server.info()
    except redis.RedisError as error:
        return [silent("redis", error)]
    number = str(info.get("valkey_version") or info.get("redis_version", "0.0"))
    name = f"{'Valkey' if 'valkey_version' in info else 'Redis'} {number}"
    findings = [fine("redis", f"{name} answers")]
    if tuple(int(part) for part in str(info["redis_version"]).split(".")[:2]) < OLDEST_REDIS:
        findings = [failed("redis", f"{name} is too old", "install Redis 6.2, Valkey 7 or newer.")]
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        findings.append(
            failed(
                "redis",
                f"it throws keys away when memory is full ({policy})",
                "set maxmemory-policy noeviction.",
            )
        )
    if not info.get("aof_enabled"):
        findings.append(
            doubtful(
                "redis",
                "it forgets what it knows when it is restarted",
                "set appendonly yes: warmup counts start anew otherwise; mail is "
                "safe in the database.",
            )
        )
    return findings


def silent(check: str, error: redis.RedisError) -> Finding:
    """Redis does not answer; the embedded one only runs with the stack."""
    said = f"Redis does not answer ({type(error).__name__})"
    if wiring.config().embedded_redis:
        return doubtful(check, said, "the embedded Valkey runs while manage.py up does.")
    return failed(check, said, "start it, or correct MAILMILL_REDIS_URL.")


def clock() -> list[Finding]:
    """Limits run on Redis's clock, retry times on ours."""
    try:
        with client() as server:
            before = time.time()
            seconds, micros = server.time()
            after = time.time()
    except redis.RedisError as error:
        return [silent("clock", error)]
    # The answer was made at some time between the two looks.
    there = seconds + micros / 1e6
    apart = max(before - there, there - after, 0.0)
    said = f"our clock and that of Redis are {apart:.1f} s apart"
    fix = "let NTP set the clocks of both hosts."
    if apart > CLOCKS_FAR_APART:
        return [failed("clock", said, fix)]
    return [doubtful("clock", said, fix) if apart > CLOCKS_DIFFER else fine("clock", said)]


def secret_key() -> list[Finding]:
    """Long enough, not readable by others, not too old, and the one that the data was stored by."""
    try:
        DkimKey.objects.order_by("pk").first()
    except WrongKey as error:
        return [failed("secret key", "the stored keys were encrypted under another", str(error))]
    if len(settings.SECRET_KEY) < KEY_LENGTH:
        return [
            failed(
                "secret key",
                f"it has only {len(settings.SECRET_KEY)} characters",
                f"give at least {KEY_LENGTH} random ones in MAILMILL_SECRET_KEY.",
            )
        ]
    path = wiring.config().data_dir / "secret_key"
    if not path.exists() or path.read_text().strip() != settings.SECRET_KEY:
        return [fine("secret key", "set from outside; its age is not known here")]
    facts = path.stat()
    if facts.st_mode & 0o077:
        return [failed("secret key", f"{path} can be read by others", f"chmod 600 {path}")]
    days = int((time.time() - facts.st_mtime) / 86_400)
    said = f"{os.fspath(path)} is {days} days old"
    if days > KEY_DAYS:
        return [
            doubtful(
                "secret key",
                said,
                "plan a new one; DKIM keys and webhook secrets are "
                "encrypted under it and have to be made anew with it.",
            )
        ]
    return [fine("secret key", said)]


def profile() -> list[Finding]:
    """The retry times in force where a stream names none."""
    config = wiring.config()
    values = ", ".join(f"{name} {value}" for name, value in config.profile_values().items())
    said = f"{config.profile}: {values}"
    if config.profile != "production":
        return [doubtful("profile", said, "unset MAILMILL_PROFILE for real mail.")]
    return [fine("profile", said)]
