"""docker-compose.yml starts the same commands as `manage.py up`, and refers to nothing unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mta.supervise.program import Program
from mta.supervise.stack import Place, programs

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
#: Made elsewhere, with commands of their own.
FOREIGN = {"postgres", "valkey"}


def stack() -> list[Program]:
    """The programs under the settings of the compose file, without the steps of a stop."""
    environment = SERVICES["web"]["environment"]
    binds = {"MAILMILL_FLOWER_BIND": ("127.0.0.1", 5555)}
    for name, value in environment.items():
        if name.endswith("_BIND"):
            host, port = value.split(":")
            binds[name] = (host, int(port))
    place = Place("python", "manage.py", Path("/var/lib/mailmill"), binds)
    return [program for program in programs(place) if not program.at_stop]


def test_the_services_are_the_programs() -> None:
    assert set(SERVICES) - FOREIGN == {program.name for program in stack()}


@pytest.mark.parametrize("program", stack(), ids=lambda program: program.name)
def test_a_service_runs_the_command_of_its_program(program: Program) -> None:
    assert SERVICES[program.name]["command"] == list(program.argv)


@pytest.mark.parametrize("program", stack(), ids=lambda program: program.name)
def test_services_with_doors_and_workers_have_a_health_check(program: Program) -> None:
    check = SERVICES[program.name]["healthcheck"]
    if program.doors or "worker" in program.argv:
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
    else:
        assert check == {"disable": True}


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_declared(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert {volume.split(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])
    for variable, value in service.get("environment", {}).items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_doors_are_published_on_loopback_unless_asked() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("${PUBLISH:-127.0.0.1}:") for port in ports)


def test_flower_is_reached_through_the_dashboard_only() -> None:
    assert SERVICES["flower"]["network_mode"] == "service:web"
    assert "ports" not in SERVICES["flower"]
