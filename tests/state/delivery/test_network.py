"""The sockets of a process: made at first use, and only where mail is sent."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from mta.delivery import network
from mta.delivery.custody import Custody
from mta.net.dns import ResolveError, Route
from mta.supervise import open_files
from mta.supervise.refusal import StartRefused
from tests.services.processes import wait_until


def test_only_a_deliver_worker_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_sender", [])
    with pytest.raises(RuntimeError, match=r"manage\.py worker deliver"):
        network.sender()
    custody = Custody(tmp_path, "deliver", claim_seconds=60)
    sender = network.open_sender(custody)
    assert network.sender() is sender
    assert custody.leases() == []
    sender.connector.close()
    custody.journal.close()


def test_a_worker_holds_the_connections_that_its_files_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(network, "_sender", [])
    monkeypatch.setattr(open_files, "connections_that_fit", lambda wanted: 512)
    custody = Custody(tmp_path, "deliver", claim_seconds=60)
    sender = network.open_sender(custody)
    assert sender.connector.most == 512
    assert "MAILMILL_DELIVER_CONNECTIONS=4000 needs 4512 open files" in caplog.text
    sender.connector.close()
    monkeypatch.setattr(open_files, "connections_that_fit", lambda wanted: 19)
    with pytest.raises(StartRefused, match="19 connections fit"):
        network.open_sender(custody)
    custody.journal.close()


@pytest.mark.django_db
def test_a_route_or_why_there_is_none() -> None:
    found = network.route_to("[192.0.2.1]")
    assert isinstance(found, Route)
    assert found.hosts[0].addresses == ("192.0.2.1",)
    assert isinstance(network.route_to("[300.1.1.1]"), ResolveError)


def test_what_is_known_is_told_at_once_and_the_rest_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = network.network().resolver
    slow = threading.Event()
    answers: dict[str, Route | ResolveError] = {
        "x.test": Route("x.test", (), 0.0),
        "none.test": ResolveError(True, 550, "", "no"),
    }

    async def route(domain: str) -> Route:
        if domain == "slow.test":
            while not slow.is_set():
                await asyncio.sleep(0.001)
        if domain == "bug.test":
            raise ZeroDivisionError
        answer = answers.get(domain, answers["x.test"])
        if isinstance(answer, ResolveError):
            raise answer
        return answer

    monkeypatch.setattr(resolver, "route", route)
    told: list[tuple[str, Route | ResolveError]] = []
    literals = ["[192.0.2.1]", "[300.1.1.1]"]
    wanted = ["slow.test", *literals, "x.test", "bug.test", "x.test", "none.test"]
    known = network.look_up(wanted, lambda domain, answer: told.append((domain, answer)))
    assert list(known) == literals
    assert isinstance(known["[192.0.2.1]"], Route)
    assert isinstance(known["[300.1.1.1]"], ResolveError)
    wait_until(lambda: len(told) == 3, 10, "a slow one holds up nobody")
    slow.set()
    wait_until(lambda: len(told) == 4, 10, "the slow one")
    assert [domain for domain, _ in told] == ["x.test", "bug.test", "none.test", "slow.test"]
    bug = dict(told)["bug.test"]
    assert isinstance(bug, ResolveError)
    assert (bug.permanent, bug.code, bug.enhanced) == (False, 451, "4.4.3")
    assert "bug.test" in caplog.text
    assert dict(told)["none.test"] is answers["none.test"]
    assert network.look_up([], lambda domain, answer: told.clear()) == {}


def test_more_silent_name_servers_than_turns_hold_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "SLOW_SECONDS", 0.01)
    resolver = network.network().resolver
    answer = Route("x.test", (), 0.0)
    slow = threading.Event()

    async def route(domain: str) -> Route:
        while domain != "x.test" and not slow.is_set():
            await asyncio.sleep(0.001)
        return answer

    monkeypatch.setattr(resolver, "route", route)
    told: list[str] = []
    silent = [f"silent{number}.test" for number in range(network.SIDE_BY_SIDE + 1)]
    network.look_up([*silent, "x.test"], lambda domain, _: told.append(domain))
    wait_until(lambda: told == ["x.test"], 10, "the only one that is answered")
    slow.set()
    wait_until(lambda: len(told) == len(silent) + 1, 10, "the others")
