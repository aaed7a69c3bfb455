"""The name server of the fake world: its zones over UDP and TCP (RFC 1035 4.2)."""

from __future__ import annotations

import asyncio
from typing import cast

import dns.exception
import dns.message

from tests.world.zones import Zones

MAX_UDP = 1232


def respond(zones: Zones, wire: bytes, limit: int) -> bytes | None:
    """One response in wire form, truncated (TC) above `limit` octets; None for noise."""
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    if not query.question:
        return None
    response = zones.answer(query)
    if response is None:
        return None
    full = response.to_wire()
    if len(full) <= limit:
        return full
    short = dns.message.make_response(query, recursion_available=True)
    short.set_rcode(response.rcode())
    short.flags |= dns.flags.TC
    return short.to_wire()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = respond(self.zones, data, MAX_UDP)
        if answer is not None and self.transport is not None:
            self.transport.sendto(answer, addr)


class Stream(asyncio.Protocol):
    """DNS over TCP: every message after its length in two octets (RFC 1035 4.2.2)."""

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 2:
            length = int.from_bytes(self.buffer[:2], "big")
            if len(self.buffer) < length + 2:
                return
            wire, self.buffer = self.buffer[2 : length + 2], self.buffer[length + 2 :]
            answer = respond(self.zones, wire, 65535)
            if answer is not None and self.transport is not None:
                self.transport.write(len(answer).to_bytes(2, "big") + answer)
