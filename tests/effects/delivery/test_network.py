"""A process has one loop and one resolver, however many threads ask for them at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mta.delivery import network as subject


def test_threads_that_ask_at_once_get_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_network", [])
    gate = threading.Barrier(16)

    def ask(_: int) -> subject.Network:
        gate.wait(10)
        return subject.network()

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(ask, range(16)))
    found[0].loop.stop()
    assert len({id(one) for one in found}) == 1
