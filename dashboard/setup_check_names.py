"""DNS: do the resolvers answer, and do the names of our sources lead there and back?"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename

from dashboard.setup_check_finding import Finding, doubtful, failed, fine
from mta import wiring
from mta.egress.models import Source

#: Seconds that one resolver may take.
TIMEOUT = 3.0
ANSWERS = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def servers() -> list[tuple[str, int]]:
    """The resolvers in use: those of the settings, else the system's."""
    configured = wiring.config().dns
    if configured:
        return list(configured)
    try:
        return [(str(address), 53) for address in dns.resolver.Resolver().nameservers]
    except dns.resolver.NoResolverConfiguration:
        return []


def own_name() -> list[Finding]:
    """The name in EHLO and Received is one that the DNS can know (RFC 5321 4.1.4)."""
    name = wiring.config().hostname
    if "." in name.strip(".") and not name.endswith((".localdomain", ".local")):
        return [fine("hostname", f"this host is {name}")]
    fix = "give the full name of this host in MAILMILL_HOSTNAME."
    return [doubtful("hostname", f"{name!r} is no name that others can look up", fix)]


def resolvers() -> list[Finding]:
    """Every resolver is asked for our own name; "no such name" is an answer too."""
    found = servers()
    fix = "name resolvers that answer in MAILMILL_DNS."
    if not found:
        return [failed("dns", "no resolver is configured", fix)]
    findings = []
    for host, port in found:
        said = ask(host, port)
        where = f"resolver {host}:{port}"
        findings.append(
            failed("dns", f"{where} {said}", fix) if said else fine("dns", f"{where} answers")
        )
    if any(not one.fix for one in findings):  # one that answers is enough to work with
        findings = [
            doubtful("dns", one.said, "remove it from MAILMILL_DNS or mend it.") if one.fix else one
            for one in findings
        ]
    return findings


def ask(host: str, port: int) -> str:
    """What is wrong with the resolver; "" when nothing is."""
    try:
        query = dns.message.make_query(dns.name.from_text(wiring.config().hostname), "A")
        answer = dns.query.udp(query, host, timeout=TIMEOUT, port=port, ignore_errors=True)
    except dns.exception.Timeout:
        return f"does not answer within {TIMEOUT:g} s"
    except (dns.exception.DNSException, OSError) as error:
        return f"does not answer ({type(error).__name__})"
    code = answer.rcode()
    return "" if code in ANSWERS else f"answers {dns.rcode.to_text(code)}"


def reverse_names() -> list[Finding]:
    """PTR of each source's address is its EHLO name, and that name has the address."""
    found = []
    resolver = asking()
    for source in Source.objects.all():
        name = source.ehlo_name or wiring.config().hostname
        if source.address:
            found.append(there_and_back(resolver, source.name, source.address, name))
        else:
            found.append(
                doubtful(
                    "ptr",
                    f"source {source.name} leaves from whatever address the system chooses",
                    f"see that the PTR of that address is {name}, or give the source an address.",
                )
            )
    return found


def asking() -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers()]
    resolver.timeout = TIMEOUT
    resolver.lifetime = TIMEOUT * 2
    return resolver


def there_and_back(
    resolver: dns.resolver.Resolver, source: str, address: str, name: str
) -> Finding:
    """Many receivers refuse a public address without a matching pair; inside it hardly matters."""
    wrong = failed if ipaddress.ip_address(address).is_global else doubtful
    who = f"source {source} ({address})"
    try:
        names = look_up(resolver, dns.reversename.from_address(address), "PTR")
        if name.lower() not in names:
            said = f"{who} has PTR {', '.join(names)[:200]}" if names else f"{who} has no PTR"
            return wrong(
                "ptr",
                f"{said}, its EHLO name is {name}",
                f"let the owner of the address set its PTR to {name}.",
            )
        rdtype = "AAAA" if ":" in address else "A"
        addresses = look_up(resolver, dns.name.from_text(name), rdtype)
    except (dns.exception.DNSException, OSError) as error:
        return doubtful(
            "ptr",
            f"{who}: look-up failed ({type(error).__name__})",
            "see what the dns check says, then check again.",
        )
    if address not in addresses:
        return wrong(
            "ptr",
            f"{who}: {name} does not lead back to the address",
            f"publish {name}. IN {rdtype} {address}.",
        )
    return fine("ptr", f"{who} is {name}, there and back")


def look_up(resolver: dns.resolver.Resolver, name: dns.name.Name, rdtype: str) -> Sequence[str]:
    """The values, lower case without the root's dot; () when there are none."""
    try:
        answer = resolver.resolve(name, rdtype, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    return [value.to_text().lower().rstrip(".") for value in answer]
