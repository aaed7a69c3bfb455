"""One process of the stack, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class StartOrder(IntEnum):
    """Programs of one order start together, once those of the order before are ready."""

    BROKER = 0
    SCHEMA = 1
    REST = 2


class StopOrder(IntEnum):
    """Programs of one order are told to stop together, once those before are gone."""

    DISPATCH = 0  # no new claims
    DOORS = 1  # no new mail
    WORKERS = 2  # they finish or return their claims, and need the broker for it
    BEAT = 3
    FLOWER = 4
    DRAIN = 5  # what still waits in the broker is returned too
    BROKER = 6


#: Seconds that one order has before the next is told to stop; they add up to less than 9.
PATIENCE: dict[StopOrder, float] = {
    StopOrder.DISPATCH: 0.6,
    StopOrder.DOORS: 1.0,
    StopOrder.WORKERS: 4.2,
    # These two need nobody: they may go on ending while the drain runs.
    StopOrder.BEAT: 0.1,
    StopOrder.FLOWER: 0.1,
    StopOrder.DRAIN: 2.3,
    StopOrder.BROKER: 0.5,
}


@dataclass(frozen=True, slots=True)
class Door:
    """An address that a program listens at."""

    #: The environment variable that sets it.
    variable: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Program:
    """A command that runs until it is told to stop, or once when `once` or `at_stop`."""

    name: str
    argv: tuple[str, ...]
    stop_order: StopOrder
    start_order: StartOrder = StartOrder.REST
    #: Runs to its end; the next start order waits for its exit code 0.
    once: bool = False
    #: A step of the stop: started, instead of told to stop, when its stop order has come.
    at_stop: bool = False
    #: Unix socket that answers PING when the program is ready.
    ready_socket: Path | None = None
    doors: tuple[Door, ...] = ()
