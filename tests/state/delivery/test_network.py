"""The sockets of a process: made at first use, and only where mail is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.delivery import network
from mta.delivery.custody import Custody
from mta.net.dns import ResolveError, Route


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


@pytest.mark.django_db
def test_a_route_or_why_there_is_none() -> None:
    found = network.route_to("[192.0.2.1]")
    assert isinstance(found, Route)
    assert found.hosts[0].addresses == ("192.0.2.1",)
    assert isinstance(network.route_to("[300.1.1.1]"), ResolveError)


@pytest.mark.django_db
def test_routes_are_looked_up_together_and_fail_apart(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = network.network().resolver
    route = resolver.route

    async def broken_for_one(domain: str) -> Route:
        if domain == "bug.test":
            raise ZeroDivisionError
        return await route(domain)

    monkeypatch.setattr(resolver, "route", broken_for_one)
    wanted = ["[192.0.2.1]", "bug.test", "[300.1.1.1]", "[192.0.2.1]"]
    found = network.routes_to(wanted)
    assert list(found) == ["[192.0.2.1]", "bug.test", "[300.1.1.1]"]
    assert isinstance(found["[192.0.2.1]"], Route)
    bug, literal = found["bug.test"], found["[300.1.1.1]"]
    assert isinstance(bug, ResolveError)
    assert (bug.permanent, bug.code, bug.enhanced) == (False, 451, "4.4.3")
    assert "bug.test" in caplog.text
    assert isinstance(literal, ResolveError)
    assert literal.permanent
    assert network.routes_to([]) == {}
