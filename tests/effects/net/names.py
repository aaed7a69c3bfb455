"""A small real DNS server on loopback, UDP and TCP on one port, with zones written by the test."""

import asyncio
import struct
from collections import Counter
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

SOA = "ns.test. host.test. 1 3600 600 86400 {minimum}"


@dataclass
class Names:
    """`records`: {"example.test MX": ["10 mx.example.test."]}; CNAMEs are followed as a recursive
    resolver would, unless `follows` is off."""

    records: dict[str, list[str]] = field(default_factory=dict)
    ttl: int = 300
    negative_ttl: int = 60
    follows: bool = True
    #: names that get this rcode instead
    failing: dict[str, dns.rcode.Rcode] = field(default_factory=dict)
    silent: bool = False
    truncates: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    transports: Counter[str] = field(default_factory=Counter)
    #: when set, answers wait for it
    gate: asyncio.Event | None = None
    port: int = 0

    @property
    def server(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    async def __aenter__(self) -> "Names":
        loop = asyncio.get_running_loop()
        self._pending: set[asyncio.Task[None]] = set()
        self._tcp = await asyncio.start_server(self._stream, "127.0.0.1", 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(self), local_addr=("127.0.0.1", self.port)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)

    def datagram(self, data: bytes, peer: tuple[str, int]) -> None:
        async def reply() -> None:
            wire = await self._answer(data, "udp")
            if wire is not None:
                self._udp.sendto(wire, peer)

        self._pending.add(asyncio.ensure_future(reply()))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            wire = await self._answer(await reader.readexactly(length), "tcp")
            if wire is not None:
                writer.write(struct.pack("!H", len(wire)) + wire)
                await writer.drain()
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    async def _answer(self, data: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        rdtype = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked[f"{name.to_text(omit_final_dot=True)} {rdtype}"] += 1
        self.transports[transport] += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if transport == "udp" and self.truncates:
            response.flags |= dns.flags.TC
            return response.to_wire()
        self._fill(response, name.to_text(omit_final_dot=True).lower(), rdtype)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, rdtype: str) -> None:
        failing = self.failing.get(f"{name} {rdtype}", self.failing.get(name))
        if failing is not None:
            response.set_rcode(failing)
            return
        found = self.records.get(f"{name} {rdtype}")
        if found:
            self._add(response.answer, name, rdtype, found)
            return
        alias = self.records.get(f"{name} CNAME")
        if alias:
            self._add(response.answer, name, "CNAME", alias)
            if self.follows and len(response.answer) < 20:
                self._fill(response, alias[0].rstrip("."), rdtype)
            return
        if not any(key.split()[0] == name for key in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = SOA.format(minimum=self.negative_ttl)
        self._add(response.authority, "test", "SOA", [soa])

    def _add(
        self, section: list[dns.rrset.RRset], name: str, rdtype: str, texts: list[str]
    ) -> None:
        owner = dns.name.from_text(name)
        section.append(dns.rrset.from_text_list(owner, self.ttl, dns.rdataclass.IN, rdtype, texts))


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self.names = names

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.names.datagram(data, addr)
