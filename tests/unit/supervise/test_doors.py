"""Taken addresses are found before anything starts, and the sentence says what to change."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from mta.supervise.doors import open_ports, refuse_taken, wait_until_free
from mta.supervise.program import Door, Program, StopOrder
from mta.supervise.refusal import StartRefused


def program(*doors: Door) -> Program:
    return Program("web", ("web",), StopOrder.DOORS, doors=doors)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def door(listener: socket.socket, variable: str = "MAILMILL_HTTP_BIND") -> Door:
    return Door(variable, *listener.getsockname())


def test_the_refusal_names_variable_address_and_program(listener: socket.socket) -> None:
    taken = door(listener)
    with pytest.raises(StartRefused) as caught:
        refuse_taken([program(taken)])
    assert str(caught.value) == (
        f"MAILMILL_HTTP_BIND: 127.0.0.1:{taken.port} (wanted by web) is taken: stop what listens "
        "there, or set MAILMILL_HTTP_BIND to another address."
    )


def test_free_addresses_are_left_free(listener: socket.socket) -> None:
    free = door(listener)
    listener.close()
    refuse_taken([program(free)])
    with socket.create_server((free.host, free.port)):
        assert free.port in open_ports()
    assert free.port not in open_ports()


def test_one_address_for_two_doors(listener: socket.socket) -> None:
    free = door(listener)
    listener.close()
    with pytest.raises(StartRefused, match="MAILMILL_FLOWER_BIND"):
        refuse_taken([program(free, Door("MAILMILL_FLOWER_BIND", free.host, free.port))])


def test_an_address_of_another_machine() -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737), so no machine has it.
    with pytest.raises(
        StartRefused, match=r"MAILMILL_RELAY_BIND: .* is no address of this machine"
    ):
        refuse_taken([program(Door("MAILMILL_RELAY_BIND", "192.0.2.1", 2525))])


def test_a_killed_supervisor_leaves_its_ports_a_moment_later(listener: socket.socket) -> None:
    looks = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            listener.close()

    taken = [program(door(listener))]
    wait_until_free(taken, 10.0, now=lambda: float(len(looks)), pause=pause)
    assert len(looks) == 3


def test_waiting_for_ports_has_an_end(listener: socket.socket) -> None:
    looks: list[float] = []
    with pytest.raises(StartRefused, match="is taken"):
        wait_until_free(
            [program(door(listener))], 5.0, now=lambda: float(len(looks)), pause=looks.append
        )
    assert len(looks) == 5


def test_ipv6_is_written_in_brackets() -> None:
    assert str(Door("MAILMILL_HTTP_BIND", "::1", 8000)) == "[::1]:8000"
