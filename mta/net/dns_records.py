"""DNS questions asked of several resolvers, with the time their answers may be kept.

Rule 1: "does not exist" is an answer; no answer at all (SERVFAIL, time-out) is LookupFailed.
Rule 2: the resolver that answered last is asked first, so a dead one costs its time-out once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.resolver

from mta.net.dns_cache import Entry, JoinedCache

#: seconds; the bounds of what a zone may ask for
MIN_TTL = 5.0
MAX_TTL = 86_400.0
MAX_NEGATIVE_TTL = 3_600.0
#: how long a failure is believed: long enough to spare a dead server, short enough to recover
FAILURE_TTL = 15.0
MAX_CNAMES = 8


class LookupFailed(Exception):
    """No resolver gave an answer."""


@dataclass(frozen=True, slots=True)
class Records:
    """The answer to one question; empty when the name has none of the type."""

    values: tuple[dns.rdata.Rdata, ...]
    #: False: NXDOMAIN
    exists: bool
    expires_at: float


class Questions:
    """Asks, follows CNAMEs, and remembers; belongs to one event loop."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]],
        *,
        timeout: float,
        cache_size: int,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._cache: JoinedCache[Records] = JoinedCache(cache_size, clock)
        self._resolver = _resolver(nameservers)
        self._resolver.timeout = timeout
        self._resolver.lifetime = timeout * (len(self._resolver.nameservers) + 1)

    async def ask(self, name: str, rdtype: str) -> Records:
        """The records of `name`. Raises LookupFailed; it is remembered for a short time too."""

        async def load() -> Entry[Records]:
            try:
                records = await self._follow(name, rdtype)
            except LookupFailed as exc:
                return Entry(exc, self._clock() + FAILURE_TTL)
            return Entry(records, records.expires_at)

        return (await self._cache.get(f"{rdtype} {name}", load)).unwrap()

    async def _follow(self, name: str, rdtype: str) -> Records:
        """Ask until the end of a chain of CNAMEs that the resolver did not follow itself."""
        question: dns.name.Name | str = name
        ttl = MAX_TTL
        for _ in range(MAX_CNAMES):
            try:
                answer = await self._resolver.resolve(
                    question, rdtype, search=False, raise_on_no_answer=False
                )
            except dns.resolver.NXDOMAIN as exc:
                return self._records((), False, min(ttl, _negative_ttl(exc)))
            except (dns.exception.DNSException, OSError) as exc:
                raise LookupFailed(_reason(exc)) from None
            self._prefer(answer)
            ttl = min(ttl, answer.chaining_result.minimum_ttl)
            if answer.rrset is not None:
                return self._records(tuple(answer.rrset), True, ttl)
            if answer.canonical_name == answer.qname:
                return self._records((), True, min(ttl, MAX_NEGATIVE_TTL))
            question = answer.canonical_name
        raise LookupFailed("too many CNAMEs in a row")

    def _records(self, values: tuple[dns.rdata.Rdata, ...], exists: bool, ttl: float) -> Records:
        return Records(values, exists, self._clock() + max(ttl, MIN_TTL))

    def _prefer(self, answer: dns.resolver.Answer) -> None:
        servers = self._resolver.nameservers
        for position, server in enumerate(servers):
            if isinstance(server, dns.nameserver.Do53Nameserver) and (
                (server.address, server.port) == (answer.nameserver, answer.port)
            ):
                if position:
                    self._resolver.nameservers = [server, *(s for s in servers if s is not server)]
                return


def _resolver(nameservers: Sequence[tuple[str, int]]) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    if not nameservers:
        try:
            nameservers = [(str(address), 53) for address in dns.resolver.Resolver().nameservers]
        except dns.resolver.NoResolverConfiguration:
            # resolv.conf(5): without one, the resolver on this host is meant.
            nameservers = [("127.0.0.1", 53)]
    resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in nameservers]
    return resolver


def _negative_ttl(exc: dns.resolver.NXDOMAIN) -> float:
    """RFC 2308 5: the lesser of the SOA's TTL and its minimum field."""
    ttl = MAX_NEGATIVE_TTL
    # dnspython leaves the method unannotated.
    responses = cast(Any, exc).responses()
    for response in responses.values():
        if isinstance(response, dns.message.QueryMessage):
            ttl = min(ttl, response.resolve_chaining().minimum_ttl)
    return ttl


def _reason(exc: Exception) -> str:
    if isinstance(exc, dns.resolver.LifetimeTimeout | dns.exception.Timeout):
        return "no answer from any resolver in time"
    if isinstance(exc, dns.resolver.NoNameservers):
        # Each error is (server, tcp, port, what, response); what they said is the useful part.
        said = {str(error[3]) for error in exc.kwargs.get("errors", ())}
        return f"no resolver could answer ({', '.join(sorted(said))[:200]})"
    return f"look-up failed ({type(exc).__name__})"
