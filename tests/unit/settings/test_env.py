"""Settings: a wrong value stops the start with the variable's name and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from mta.settings.config import Config, load
from mta.settings.databases import databases
from mta.settings.env import Env, host_port


def config_of(tmp_path: Path, **values: str) -> Config:
    names = {f"MAILMILL_{name}": value for name, value in values.items()}
    return load(Env({"MAILMILL_DATA_DIR": str(tmp_path), **names}))


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("HTTP_BIND", "localhost:8000", "give address:port"),
        ("HTTP_BIND", "127.0.0.1", "give address:port"),
        ("RELAY_BIND", "127.0.0.1:0", "give address:port"),
        ("RELAY_BIND", "127.0.0.1:65536", "give address:port"),
        ("HTTPS", "maybe", "give 1 or 0"),
        ("RELAY_NETWORKS", "10.0.0.1/8", "give networks such as"),
        ("DNS", "ns.example", "give addresses as host"),
        ("REMOTE_SMTP_PORT", "smtp", "give a whole number from 1 to 65535"),
        ("CLAIM_SECONDS", "2", "give a whole number from 3"),
        ("PROFILE", "fast", "give one of production, demo"),
        ("LOG_LEVEL", "loud", "give one of DEBUG"),
        ("RELAY_BIN", "127.0.0.1:25", "is not a setting of Mailmill"),
    ],
)
def test_nonsense_is_refused_by_name(tmp_path: Path, name: str, value: str, fix: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"MAILMILL_{name}.*{fix}"):
        config_of(tmp_path, **{name: value})


def test_values_are_typed(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, HTTP_BIND="[::1]:8000", DNS="192.0.2.1, [2001:db8::1]:5353,2001:db8::2:53",
        RELAY_NETWORKS="10.0.0.0/8,2001:db8::/32", HTTPS="yes", ENCRYPT_BODIES="",
    )  # fmt: skip
    assert config.http_bind == ("::1", 8000)
    assert config.dns[:2] == (("192.0.2.1", 53), ("2001:db8::1", 5353))
    assert [str(network) for network in config.relay_networks] == ["10.0.0.0/8", "2001:db8::/32"]
    assert (config.https, config.encrypt_bodies) == (True, False)
    assert config.embedded_redis
    assert config.redis_address == f"unix://{tmp_path}/valkey.sock"
    assert config.profile_values()["retry_ceiling"] == "4h"


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(" hidden\n")
    assert config_of(tmp_path, SECRET_KEY_FILE=str(tmp_path / "s")).secret_key == "hidden"
    with pytest.raises(ImproperlyConfigured, match="Both MAILMILL_SECRET_KEY and"):
        config_of(tmp_path, SECRET_KEY="x", SECRET_KEY_FILE=str(tmp_path / "s"))
    with pytest.raises(ImproperlyConfigured, match="MAILMILL_SECRET_KEY_FILE: cannot read"):
        config_of(tmp_path, SECRET_KEY_FILE=str(tmp_path / "missing"))


def test_the_secret_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = config_of(tmp_path / "data").secret_key
    assert len(first) > 40
    assert config_of(tmp_path / "data").secret_key == first
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o077 == 0
    other = config_of(tmp_path / "other").secret_key
    assert other != first


def test_databases(tmp_path: Path) -> None:
    default = databases("", tmp_path / "new")["default"]
    assert default["NAME"] == str(tmp_path / "new" / "mailmill.sqlite3")
    assert "synchronous=FULL" in default["OPTIONS"]["init_command"]
    assert databases("sqlite:////srv/a%20b.db", tmp_path)["default"]["NAME"] == "//srv/a b.db"
    url = "postgresql://us%40er:p%2Fw@db.example:5433/mill?sslmode=require"
    found = databases(url, tmp_path)["default"]
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == (
        "us@er", "p/w", "db.example", "5433", "mill",
    )  # fmt: skip
    assert found["OPTIONS"]["sslmode"] == "require"
    assert databases("postgres:///m?host=/run/pg", tmp_path)["default"]["HOST"] == "/run/pg"
    with pytest.raises(ImproperlyConfigured, match="MAILMILL_DATABASE_URL: scheme 'mysql'"):
        databases("mysql://x/y", tmp_path)


@pytest.mark.parametrize("text", ["", ":25", "127.0.0.1:", "a:b:c", "127.0.0.1:-1"])
def test_what_is_no_address_with_a_port(text: str) -> None:
    with pytest.raises(ValueError):
        host_port(text)
