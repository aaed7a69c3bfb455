"""Where the mail of a domain goes: MX hosts in order, with their addresses.

Rule 1: without MX the domain's own address is its mail host (RFC 5321 5.1).
Rule 2: hosts of equal preference come in a new order each time (RFC 5321 5.1), IPv4 addresses
        before IPv6: more receivers judge IPv4 fairly.
Rule 3: only an answer is final (NXDOMAIN, null MX, no address); a failed look-up is temporary.
"""

import asyncio
import ipaddress
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import dns.exception
import dns.name
from dns.rdtypes.mxbase import MXBase

from mta.net.dns_cache import Entry, JoinedCache
from mta.net.dns_records import FAILURE_TTL, MAX_TTL, LookupFailed, Questions

MAX_HOSTS = 10


@dataclass(frozen=True, slots=True)
class MxHost:
    """A mail host; `name` is an address literal when the domain is one."""

    name: str
    preference: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """The hosts of a domain, the best first; good until `expires_at` (the resolver's clock)."""

    domain: str
    hosts: tuple[MxHost, ...]
    expires_at: float


class ResolveError(Exception):
    """No route, told as a reply would tell it."""

    def __init__(self, permanent: bool, code: int, enhanced: str, text: str) -> None:
        super().__init__(f"{code} {enhanced} {text}")
        self.permanent = permanent
        self.code = code
        self.enhanced = enhanced
        self.text = text


class Resolver:
    """Finds routes and remembers them; belongs to one event loop.

    `nameservers`: (address, port) in order of preference; none means the system's. `timeout`:
    seconds for each resolver asked.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] = (),
        *,
        timeout: float = 5.0,
        rng: random.Random | None = None,
        ipv6: bool = True,
        clock: Callable[[], float] = time.time,
        cache_size: int = 10_000,
    ) -> None:
        self._rng = rng or random.Random()
        self._clock = clock
        self._types = ("A", "AAAA") if ipv6 else ("A",)
        self._routes: JoinedCache[Route] = JoinedCache(cache_size, clock)
        self._questions = Questions(
            nameservers, timeout=timeout, cache_size=cache_size, clock=clock
        )

    async def host_route(self, host: str) -> Route:
        """The route to one host by its own addresses, without MX: a smart host's.

        `host` is a name, an IP address, or an address literal. Raises ResolveError, whose trouble
        is the operator's and never the recipient's: it is never permanent.
        """
        if (literal := _as_literal(host)) is not None:
            return self._literal(literal)
        name = host.lower().rstrip(".")
        # No domain has a space: the keys of both kinds of route stay apart.
        entry = await self._routes.get(f"host {name}", lambda: self._load_host(name))
        return self._shuffled(entry.unwrap())

    def known_host(self, host: str) -> Route | None:
        """What `host_route` would answer at once, None when it had to ask; from any thread.

        Raises ResolveError.
        """
        if (literal := _as_literal(host)) is not None:
            return self._literal(literal)
        entry = self._routes.peek(f"host {host.lower().rstrip('.')}")
        return None if entry is None else self._shuffled(entry.unwrap())

    async def _load_host(self, host: str) -> Entry[Route]:
        failure = f"{host[:80]} is not a host name"
        expires_at = self._clock() + FAILURE_TTL
        if _is_name(host):
            addresses, expires_at, failure = await self._addresses(host)
            if addresses:
                mx = MxHost(host, 0, addresses)
                return Entry(Route(host, (mx,), expires_at), expires_at)
            failure = f"DNS of {host}: {failure}" if failure else f"{host} has no address"
            expires_at = min(expires_at, self._clock() + FAILURE_TTL)
        return Entry(ResolveError(False, 451, "4.4.3", failure), expires_at)

    async def route(self, domain: str) -> Route:
        """The route to `domain` (A-labels, or an address literal). Raises ResolveError."""
        if domain.startswith("["):
            return self._literal(domain)
        name = domain.lower().rstrip(".")
        entry = await self._routes.get(name, lambda: self._load(name))
        return self._shuffled(entry.unwrap())

    def known(self, domain: str) -> Route | None:
        """What `route` would answer at once, None when it had to ask; from any thread.

        Raises ResolveError.
        """
        if domain.startswith("["):
            return self._literal(domain)
        entry = self._routes.peek(domain.lower().rstrip("."))
        return None if entry is None else self._shuffled(entry.unwrap())

    def _shuffled(self, route: Route) -> Route:
        if len(route.hosts) == 1 and len(route.hosts[0].addresses) == 1:
            return route
        hosts = [
            MxHost(host.name, host.preference, self._addresses_in_order(host.addresses))
            for host in route.hosts
        ]
        self._rng.shuffle(hosts)
        hosts.sort(key=lambda host: host.preference)
        return Route(route.domain, tuple(hosts), route.expires_at)

    def _addresses_in_order(self, addresses: Iterable[str]) -> tuple[str, ...]:
        shuffled = list(addresses)
        self._rng.shuffle(shuffled)
        return tuple(sorted(shuffled, key=lambda address: ":" in address))

    def _literal(self, domain: str) -> Route:
        """RFC 5321 4.1.3: [192.0.2.1] or [IPv6:2001:db8::1]."""
        text = domain.strip("[]")
        try:
            address = str(ipaddress.ip_address(text.removeprefix("IPv6:")))
        except ValueError:
            raise _permanent(550, "5.1.2", f"{domain[:80]} is not an address literal") from None
        host = MxHost(domain, 0, (address,))
        return Route(domain, (host,), self._clock() + MAX_TTL)

    async def _load(self, domain: str) -> Entry[Route]:
        try:
            return await self._find(domain)
        except LookupFailed as exc:
            error = ResolveError(False, 451, "4.4.3", f"DNS of {domain}: {exc}")
            return Entry(error, self._clock() + FAILURE_TTL)

    async def _find(self, domain: str) -> Entry[Route]:
        if not _is_name(domain):
            error = _permanent(550, "5.1.2", f"{domain[:80]} is not a domain name")
            return Entry(error, self._clock() + MAX_TTL)
        answer = await self._questions.ask(domain, "MX")
        if not answer.exists:
            error = _permanent(550, "5.1.2", f"domain {domain} does not exist")
            return Entry(error, answer.expires_at)
        exchanges = self._exchanges(answer.values) if answer.values else [(0, domain)]
        if not exchanges:
            error = _permanent(556, "5.1.10", f"domain {domain} takes no mail (null MX)")
            return Entry(error, answer.expires_at)
        return await self._with_addresses(domain, exchanges, answer.expires_at)

    def _exchanges(self, values: Iterable[object]) -> list[tuple[int, str]]:
        """(preference, host) of the best hosts; empty for a null MX (RFC 7505)."""
        best: dict[str, int] = {}
        for value in values:
            record = cast(MXBase, value)
            name = record.exchange.to_text(omit_final_dot=True).lower()
            if record.exchange != dns.name.root:
                best[name] = min(record.preference, best.get(name, record.preference))
        found = [(preference, name) for name, preference in best.items()]
        # Chance decides which of many equal hosts are kept.
        self._rng.shuffle(found)
        found.sort(key=lambda exchange: exchange[0])
        return found[:MAX_HOSTS]

    async def _with_addresses(
        self, domain: str, exchanges: list[tuple[int, str]], expires_at: float
    ) -> Entry[Route]:
        found = await asyncio.gather(*(self._addresses(name) for _, name in exchanges))
        hosts = tuple(
            MxHost(name, preference, addresses)
            for (preference, name), (addresses, _, _) in zip(exchanges, found, strict=True)
            if addresses
        )
        expires_at = min(expires_at, *(until for _, until, _ in found))
        if hosts:
            return Entry(Route(domain, hosts, expires_at), expires_at)
        failures = [failure for _, _, failure in found if failure]
        if failures:
            raise LookupFailed(failures[0])
        what = "" if exchanges == [(0, domain)] else "any mail host of "
        error = _permanent(550, "5.1.2", f"no address for {what}{domain}")
        return Entry(error, expires_at)

    async def _addresses(self, host: str) -> tuple[tuple[str, ...], float, str]:
        """(addresses, expires_at, why a look-up failed or ""); some may be found despite it."""
        answers = await asyncio.gather(
            *(self._questions.ask(host, rdtype) for rdtype in self._types), return_exceptions=True
        )
        addresses: list[str] = []
        expires_at = self._clock() + MAX_TTL
        failure = ""
        for answer in answers:
            if isinstance(answer, LookupFailed):
                failure = str(answer)
                expires_at = min(expires_at, self._clock() + FAILURE_TTL)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                addresses += [value.to_text() for value in answer.values]
                expires_at = min(expires_at, answer.expires_at)
        return tuple(addresses), expires_at, failure


def _as_literal(host: str) -> str | None:
    """The address literal of an IP address; None for a name."""
    if host.startswith("["):
        return host
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return f"[{'IPv6:' if version == 6 else ''}{host}]"


def _permanent(code: int, enhanced: str, text: str) -> ResolveError:
    return ResolveError(True, code, enhanced, text)


def _is_name(domain: str) -> bool:
    try:
        name = dns.name.from_text(domain)
    except (dns.exception.DNSException, UnicodeError):
        return False
    return bool(name != dns.name.root)
