"""check_setup: each thing is told apart, with its fix; nothing but what is configured is asked."""

from __future__ import annotations

import json
import os
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from dashboard import setup_check_host, setup_check_names, setup_check_stores
from dashboard.setup_check import CHECKS, check_setup
from dashboard.setup_check_finding import Finding
from mta.egress.models import Source
from mta.egress.provision import provision
from mta.settings.config import kept_secret
from mta.supervise.folder_lock import FolderLock
from tests.effects.net.names import Names
from tests.services.redis import start_valkey
from tests.state.commands.run import answer, failing, text

NAME = "mill.example.net"
LOOPBACK = "127.0.0.66"
#: TEST-NET-3 counts as reserved; this one is public and is never connected to.
PUBLIC = "192.88.98.1"


@pytest.fixture(autouse=True)
def ready(db: None, names: Names, settings: Any, tmp_path: Path) -> Iterator[None]:
    """An instance on which everything is well: own folder, free ports, names there and back."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        free = [one.getsockname(), other.getsockname()]
    settings.MAILMILL = replace(
        settings.MAILMILL, data_dir=tmp_path, http_bind=free[0], relay_bind=free[1],
        submission_bind=("127.0.0.2", free[0][1]), smtps_bind=("127.0.0.3", free[0][1]),
        flower_bind=("127.0.0.4", free[0][1]),
    )  # fmt: skip
    names.records |= {
        f"{NAME} A": [LOOPBACK],
        "66.0.0.127.in-addr.arpa PTR": [f"{NAME}."],
    }
    Source.objects.create(name="main", address=LOOPBACK, ehlo_name=NAME)
    cache.clear()
    yield
    cache.clear()


def of(check: str, findings: list[Finding] | None = None) -> list[Finding]:
    return [one for one in findings or CHECKS[check]() if one.check == check]


def one(check: str) -> Finding:
    (finding,) = of(check)
    return finding


def test_everything_is_looked_at() -> None:
    findings = list(check_setup())
    assert [name for name in CHECKS if of(name, findings)] == list(CHECKS)
    assert all(bool(finding.fix) == (finding.state != "ok") for finding in findings)
    bad = {finding.check for finding in findings if finding.state == "fail"}
    # The PostgreSQL of the tests does not wait for the disk, and is told so.
    assert bad == ({"database"} if connection.vendor == "postgresql" else set())


@pytest.mark.skipif(connection.vendor == "postgresql", reason="its fsync is off in tests")
def test_exit_code_0_without_failures() -> None:
    assert answer("check_setup")["passed"] is True
    assert "fail" not in text("check_setup").split()


def test_exit_code_1_with_a_failure(settings: Any, names: Names) -> None:
    names.failing[NAME] = 5  # type: ignore[assignment]  # REFUSED
    code, said = failing("check_setup", "--json")
    assert (code, json.loads(said)["passed"]) == (1, False)
    code, said = failing("check_setup")
    assert code == 1
    assert "answers REFUSED" in said
    assert "fix: name resolvers that answer in MAILMILL_DNS." in said


def test_a_check_that_breaks_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> list[Finding]:
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(CHECKS, "ports", breaks)
    findings = {finding.check: finding for finding in check_setup()}
    assert findings["ports"].state == "fail"
    assert "Input/output error" in findings["ports"].said
    assert findings["profile"].state == "ok"


def test_a_silent_resolver_costs_its_time_out_and_a_second_one_saves(
    settings: Any, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_check_names, "TIMEOUT", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        settings.MAILMILL = replace(settings.MAILMILL, dns=(silent.getsockname(),))
        assert one("dns").state == "fail"
        assert "does not answer within 0.2 s" in one("dns").said
        settings.MAILMILL = replace(settings.MAILMILL, dns=(silent.getsockname(), names.server))
        assert [finding.state for finding in of("dns")] == ["warn", "ok"]


@pytest.mark.parametrize(
    ("records", "address", "state", "says"),
    [
        ({}, LOOPBACK, "ok", "there and back"),
        ({"66.0.0.127.in-addr.arpa PTR": ["other.test."]}, LOOPBACK, "warn", "has PTR other.test"),
        ({f"{NAME} A": ["127.0.0.67"]}, LOOPBACK, "warn", "does not lead back"),
        ({}, PUBLIC, "fail", "has no PTR"),
        ({"1.98.88.192.in-addr.arpa PTR": [f"{NAME}."]}, PUBLIC, "fail", "does not lead back"),
        ({}, None, "warn", "whatever address"),
    ],
)
def test_ptr(
    names: Names, records: dict[str, list[str]], address: str | None, state: str, says: str
) -> None:
    names.records |= records
    Source.objects.update(address=address)
    assert one("ptr").state == state
    assert says in one("ptr").said


def test_a_source_whose_address_is_not_here() -> None:
    Source.objects.update(address=PUBLIC)
    assert one("sources").state == "fail"
    assert PUBLIC in one("sources").said


def test_a_taken_port_is_ours_only_while_the_stack_runs(settings: Any) -> None:
    config = settings.MAILMILL
    with socket.create_server(config.relay_bind):
        (taken,) = [finding for finding in of("ports") if finding.state != "ok"]
        assert taken.state == "fail"
        assert "MAILMILL_RELAY_BIND" in taken.fix
        with FolderLock(config.data_dir):
            assert {finding.state for finding in of("ports")} == {"ok"}
    settings.MAILMILL = replace(config, http_bind=("203.0.113.9", 8000))
    assert "an address of this host" in of("ports")[0].fix


def test_the_data_folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one("data folder").state == "ok"
    monkeypatch.setattr(setup_check_host, "LITTLE_SPACE", 2**62)
    assert one("data folder").state == "warn"
    settings.MAILMILL = replace(settings.MAILMILL, data_dir=tmp_path / "missing")
    assert one("data folder").state == "fail"


def test_file_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for hard, state in ((100, "fail"), (5_000, "warn"), (65_536, "ok"), (-1, "ok")):
        monkeypatch.setattr(resource, "getrlimit", lambda _, hard=hard: (hard, hard))
        assert one("file limits").state == state


def test_connections_are_files(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAILMILL = replace(settings.MAILMILL, deliver_connections=4000)
    for hard, state in ((300, "warn"), (4511, "warn"), (4512, "ok"), (-1, "ok")):
        monkeypatch.setattr(resource, "getrlimit", lambda _, hard=hard: (hard, hard))
        assert one("connections").state == state
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert "may hold 512 of 4000 connections" in one("connections").said
    assert "MAILMILL_DELIVER_CONNECTIONS=4000 needs 4512 open files" in one("connections").fix


def test_migrations_that_are_missing() -> None:
    assert one("migrations").state == "ok"
    cache.clear()
    MigrationRecorder.Migration.objects.filter(app="events").delete()
    assert one("migrations").state == "fail"
    assert "manage.py migrate" in one("migrations").fix


def test_redis_that_forgets_and_redis_that_remembers(settings: Any, tmp_path: Path) -> None:
    assert [finding.state for finding in of("redis")] == ["ok", "warn"]
    assert "appendonly yes" in of("redis")[1].fix
    server = start_valkey(tmp_path / "valkey", append_only=True)
    try:
        settings.MAILMILL = replace(settings.MAILMILL, redis_url=server.url)
        assert [finding.state for finding in of("redis")] == ["ok"]
        with setup_check_stores.client() as client:
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
        assert [finding.state for finding in of("redis")] == ["ok", "fail"]
    finally:
        server.stop()
    assert one("redis").state == "fail"
    assert one("clock").state == "fail"
    settings.MAILMILL = replace(settings.MAILMILL, redis_url="")
    assert one("redis").state == "warn"
    assert "manage.py up" in one("redis").fix


def test_a_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one("clock").state == "ok"
    right = time.time
    for ahead, state in ((5, "warn"), (-3600, "fail")):
        monkeypatch.setattr(time, "time", lambda ahead=ahead: right() + ahead)
        assert one("clock").state == state
        monkeypatch.undo()


def test_the_secret_key(settings: Any, tmp_path: Path) -> None:
    assert "set from outside" in one("secret key").said
    settings.SECRET_KEY = "short"
    assert one("secret key").state == "fail"
    settings.SECRET_KEY = kept_secret(tmp_path)
    assert "is 0 days old" in one("secret key").said
    path = tmp_path / "secret_key"
    long_ago = time.time() - 800 * 86_400
    os.utime(path, (long_ago, long_ago))
    assert one("secret key").state == "warn"
    path.chmod(0o644)
    assert "can be read by others" in one("secret key").said


def test_keys_that_were_stored_under_another_secret(settings: Any) -> None:
    provision("shop", ["shop.example"])
    assert one("secret key").state == "ok"
    settings.SECRET_KEY = "another secret key, long enough to be one as well"
    assert one("secret key").state == "fail"
    assert "encrypted under another" in one("secret key").said


def test_the_profile_and_the_name(settings: Any) -> None:
    assert one("profile").state == one("hostname").state == "ok"
    settings.MAILMILL = replace(settings.MAILMILL, profile="demo", hostname="localhost")
    assert one("profile").state == one("hostname").state == "warn"
    assert "retry_steps" in one("profile").said
