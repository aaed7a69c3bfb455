"""The fake world as one asyncio server: name server, peers, and what may change in them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.world.behaviour import Behaviour
from tests.world.cast import EXTRAS, ROLES, Role, mail_exchangers
from tests.world.certificate import server_context
from tests.world.ledger import Ledger
from tests.world.name_server import Datagrams, Stream
from tests.world.peer import Peer
from tests.world.site import Host, Site
from tests.world.zones import Zones

ATTEMPTS = 20
BACKLOG = 1024


class FakeWorld:
    """Zones, sites and ledger; `start` opens every port and sets `dns_port` and `smtp_port`."""

    def __init__(self, state: Path, ledger: Ledger, roles: Iterable[Role] = ROLES + EXTRAS) -> None:
        self.state = state
        self.ledger = ledger
        self.roles = tuple(roles)
        self.zones = Zones()
        self.sites: dict[str, Site] = {}
        self.servers: dict[str, asyncio.Server] = {}
        self.connections = 0
        self.added = 0
        self.dns_port = self.smtp_port = 0
        self.context: ssl.SSLContext
        self.enact()

    def enact(self) -> None:
        """Everything as the cast has it."""
        self.zones.records.clear()
        self.zones.queries.clear()
        for role in self.roles:
            self.zones.add(role.records)
            if role.hosts and role.domain in self.sites:
                self.sites[role.domain].change(role.behaviour)
                self.sites[role.domain].forget()
            elif role.hosts:
                self.sites[role.domain] = Site(
                    role.domain, role.hosts, role.behaviour, self.ledger, role.also
                )

    async def start(self, dns_host: str, dns_port: int, smtp_port: int) -> None:
        """Open all ports; 0 chooses a free one. OSError when a given port is taken."""
        hosts = [host for site in self.sites.values() for host in site.hosts]
        names = [name for host in hosts for name in (host.name, host.address)]
        self.context = server_context(names, self.state)
        for attempt in range(ATTEMPTS):
            try:
                self.smtp_port = smtp_port or free_port()
                await self.listen()
                self.dns_port = dns_port or free_port()
                await self.serve_names(dns_host)
                return
            except OSError:
                # A port that was free for one address may be taken at another.
                self.close()
                if (smtp_port and dns_port) or attempt == ATTEMPTS - 1:
                    raise

    async def serve_names(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Stream(self.zones), host, self.dns_port)
        self.servers["dns"] = server
        await loop.create_datagram_endpoint(
            lambda: Datagrams(self.zones), local_addr=(host, self.dns_port)
        )

    async def listen(self) -> None:
        """Make the listening sockets what the behaviours say."""
        wanted = {
            host.address: (site, host)
            for site in self.sites.values()
            for host in site.hosts
            if host.listens and site.behaviour.listening
        }
        for address in self.servers.keys() - wanted.keys() - {"dns"}:
            self.servers.pop(address).close()
        await asyncio.sleep(0)
        for address, (site, host) in wanted.items():
            if address not in self.servers:
                self.servers[address] = await self.open(site, host)

    async def open(self, site: Site, host: Host) -> asyncio.Server:
        def peer() -> Peer:
            self.connections += 1
            return Peer(site, self.connections, host.name, self.context)

        loop = asyncio.get_running_loop()
        return await loop.create_server(peer, host.address, self.smtp_port, backlog=BACKLOG)

    def close(self) -> None:
        for server in self.servers.values():
            server.close()
        self.servers.clear()

    # What a test changes

    async def set_behaviour(self, domain: str, behaviour: Behaviour) -> None:
        """LookupError names the domain when nothing receives for it."""
        if domain not in self.sites:
            raise LookupError(f"no site {domain}; there are {', '.join(self.sites)}")
        self.sites[domain].change(behaviour)
        await self.listen()

    async def add_site(
        self, domain: str, behaviour: Behaviour, names: list[str], also: Iterable[str]
    ) -> list[str]:
        """A new domain with one MX host per name (mx1.<domain> when none), their addresses."""
        self.added += 1
        names = names or [f"mx1.{domain}"]
        high, low = divmod(self.added, 250)
        hosts = tuple(
            Host(name, f"127.{78 + high}.{low}.{at}") for at, name in enumerate(names, start=1)
        )
        if domain in self.sites:
            raise LookupError(f"there is a site {domain} already")
        self.sites[domain] = Site(domain, hosts, behaviour, self.ledger, frozenset(also))
        self.zones.add(mail_exchangers(domain, *hosts))
        await self.listen()
        return [host.address for host in hosts]

    async def reset(self) -> None:
        """As at the start: cast, zones, counters; sites added are gone, open connections stay."""
        cast = {role.domain for role in self.roles}
        for domain in self.sites.keys() - cast:
            self.sites[domain].change(replace(self.sites[domain].behaviour, listening=False))
            del self.sites[domain]
        self.ledger.clear()
        self.enact()
        await self.listen()

    def status(self) -> dict[str, Any]:
        return {
            "total": self.ledger.total,
            "by_domain": dict(self.ledger.by_domain),
            "sites": {domain: site.status() for domain, site in self.sites.items()},
            "queries": [[*key, count] for key, count in self.zones.queries.items()],
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
