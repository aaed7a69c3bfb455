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
    BROKER = 5


#: Seconds that one order has before the next is told to stop; they add up to less than 9.
PATIENCE: dict[StopOrder, float] = {
    StopOrder.DISPATCH: 1.0,
    StopOrder.DOORS: 1.5,
    StopOrder.WORKERS: 4.0,
    StopOrder.BEAT: 0.5,
    StopOrder.FLOWER: 0.5,
    StopOrder.BROKER: 1.0,
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
    """A command that runs until it is told to stop, or once when `once`."""

    name: str
    argv: tuple[str, ...]
    stop_order: StopOrder
    start_order: StartOrder = StartOrder.REST
    #: Runs to its end; the next start order waits for its exit code 0.
    once: bool = False
    #: Unix socket that answers PING when the program is ready.
    ready_socket: Path | None = None
    doors: tuple[Door, ...] = ()
